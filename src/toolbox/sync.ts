import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { outcome } from "../base/outcome.js";
import { isPromise } from "../base/thenable.js";

/** What `sync` and `multi` wait for: a promise, a Deferrable, or an object of a class made with `withDeferrable`. */
export type Syncable<T> = PromiseLike<T> | { readonly promise: Promise<T> };

/** A promise of what a deferrable object settles with. Throws ArgumentError for what is no object. (em-synchrony's sync.) */
export function sync<T>(source: Syncable<T>): Promise<T> {
  if (typeof source !== "object" || source === null) {
    throw new ArgumentError(`source must be a promise or a deferrable object, not ${describe(source)}`);
  }
  const { promise } = source as { readonly promise?: Promise<T> };
  if (promise !== undefined) return promise;
  return isPromise(source) ? (source as Promise<T>) : outcome((resolve) => resolve(source as PromiseLike<T>));
}
