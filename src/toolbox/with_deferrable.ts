import { Deferred, type DeferredStatus, type TimeoutError } from "./deferred.js";

// biome-ignore lint/suspicious/noExplicitAny: TypeScript takes no other type for the constructor that a mixin extends
type Constructor<O> = new (...args: any[]) => O;

/** What `withDeferrable` adds to a class; each member is that of `Deferred`. */
export interface DeferrableFacet<T, E> {
  readonly deferredStatus: DeferredStatus;
  readonly promise: Promise<T>;
  callback(callback: (value: T) => unknown): this;
  errback(errback: (error: E) => unknown): this;
  cancelCallback(callback: (value: T) => unknown): void;
  cancelErrback(errback: (error: E) => unknown): void;
  succeed(value: T): this;
  fail(error: E): this;
  setDeferredStatus(...status: ["succeeded", T] | ["failed", E] | ["unknown"]): this;
  timeout(delay: number, ...error: TimeoutError<E>): this;
  cancelTimeout(): void;
}

/**
 * Makes a class a deferrable one: `class Lookup extends withDeferrable<string>()(Connection)`. It has `promise`, and no
 * `then`: an object that lives on after it has settled must be able to come out of an async function as itself.
 * (include EM::Deferrable.)
 */
export function withDeferrable<T = void, E = unknown>() {
  return <B extends Constructor<object>>(Base: B): B & Constructor<DeferrableFacet<T, E>> =>
    class extends Base implements DeferrableFacet<T, E> {
      readonly #deferred = new Deferred<T, E>();

      get deferredStatus(): DeferredStatus {
        return this.#deferred.status;
      }

      get promise(): Promise<T> {
        return this.#deferred.promise;
      }

      callback(callback: (value: T) => unknown): this {
        this.#deferred.callback(callback);
        return this;
      }

      errback(errback: (error: E) => unknown): this {
        this.#deferred.errback(errback);
        return this;
      }

      cancelCallback(callback: (value: T) => unknown): void {
        this.#deferred.cancelCallback(callback);
      }

      cancelErrback(errback: (error: E) => unknown): void {
        this.#deferred.cancelErrback(errback);
      }

      succeed(value: T): this {
        this.#deferred.succeed(value);
        return this;
      }

      fail(error: E): this {
        this.#deferred.fail(error);
        return this;
      }

      setDeferredStatus(...status: ["succeeded", T] | ["failed", E] | ["unknown"]): this {
        this.#deferred.setDeferredStatus(...status);
        return this;
      }

      timeout(delay: number, ...error: TimeoutError<E>): this {
        this.#deferred.timeout(delay, ...error);
        return this;
      }

      cancelTimeout(): void {
        this.#deferred.cancelTimeout();
      }
    };
}
