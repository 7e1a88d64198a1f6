import { answeredFor } from "../base/outcome.js";
import { type Syncable, sync } from "./sync.js";

type ValueOf<S> = S extends PromiseLike<infer T> ? T : S extends { readonly promise: Promise<infer T> } ? T : never;

/** Which requests succeeded, with their values, and which failed, with their errors, by name. */
export interface MultiResult<R> {
  /** The values of those that succeeded, under the names of their requests. (`responses[:callback]`.) */
  readonly callback: { readonly [K in keyof R]?: ValueOf<R[K]> };
  /** The errors of those that failed. (`responses[:errback]`.) */
  readonly errback: { readonly [K in keyof R]?: unknown };
}

/**
 * Waits until all requests have settled; never rejects. (em-synchrony's Multi, and its `responses`.)
 *
 * ```ts
 * const { callback, errback } = await multi({ hosts: readFile("/etc/hosts", "utf8"), other: readFile("/nowhere") });
 * console.log(callback.hosts, errback.other);
 * ```
 */
export function multi<R extends Record<string, Syncable<unknown>>>(requests: R): Promise<MultiResult<R>> {
  return answeredFor(settleAll(requests));
}

async function settleAll<R extends Record<string, Syncable<unknown>>>(requests: R): Promise<MultiResult<R>> {
  const callback: { [K in keyof R]?: ValueOf<R[K]> } = {};
  const errback: { [K in keyof R]?: unknown } = {};
  const names = Object.keys(requests) as (keyof R)[];
  const results = await Promise.allSettled(names.map((name) => sync(requests[name] as R[keyof R])));
  for (const [at, result] of results.entries()) {
    const name = names[at] as keyof R;
    if (result.status === "fulfilled") callback[name] = result.value as ValueOf<R[typeof name]>;
    else errback[name] = result.reason;
  }
  return { callback, errback };
}
