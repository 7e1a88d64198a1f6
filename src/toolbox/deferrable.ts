import { Deferred } from "./deferred.js";

/**
 * A Deferred that can be awaited: `await deferrable` gives its value, or throws its error. (EventMachine's
 * DefaultDeferrable; for the mixin see `withDeferrable`.)
 *
 * ```ts
 * const answer = new Deferrable<string, Error>();
 * answer.callback((text) => console.log(text)).errback((error) => console.error(error));
 * answer.timeout(5_000);
 * setTimeout(() => answer.succeed("42"), 100);
 * console.log(await answer);
 * ```
 */
export class Deferrable<T = void, E = unknown> extends Deferred<T, E> implements PromiseLike<T> {
  // biome-ignore lint/suspicious/noThenProperty: to be awaited is what this class is for
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.promise.then(onFulfilled, onRejected);
  }
}
