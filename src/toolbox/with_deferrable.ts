import { Deferred, type DeferredStatus, type TimeoutError } from "./deferred.js";

// biome-ignore lint/suspicious/noExplicitAny: TypeScript takes no other type for the constructor that a mixin extends
type Constructor<O> = new (...args: any[]) => O;

/** What `withDeferrable` adds to a class; each member is that of `Deferred`. */
export interface DeferrableFacet<T, E> {
  /** How it was settled last; `unknown` until it is. (deferred_status.) */
  readonly deferredStatus: DeferredStatus;
  /** Resolves or rejects like it; made when first asked for. */
  readonly promise: Promise<T>;
  /** Calls back with the value when it is there: at once when it is there already. (callback.) */
  callback(callback: (value: T) => unknown): this;
  /** Calls back with the error when it has failed. (errback.) */
  errback(errback: (error: E) => unknown): this;
  /** Takes a callback out that has not run yet. (cancel_callback.) */
  cancelCallback(callback: (value: T) => unknown): void;
  /** Takes an errback out that has not run yet. (cancel_errback.) */
  cancelErrback(errback: (error: E) => unknown): void;
  /** Settles with a value and runs the callbacks. (succeed, set_deferred_success.) */
  succeed(value: T): this;
  /** Settles with an error and runs the errbacks. (fail, set_deferred_failure.) */
  fail(error: E): this;
  /** `succeed`, `fail`, or back to `unknown`, where callbacks wait again. (set_deferred_status.) */
  setDeferredStatus(...status: ["succeeded", T] | ["failed", E] | ["unknown"]): this;
  /**
   * Fails after `delay` milliseconds unless it is settled before: with `error`, else with `ERR_EM_TIMEOUT`.
   * (timeout; seconds there.)
   */
  timeout(delay: number, ...error: TimeoutError<E>): this;
  /** Calls off what `timeout` began. (cancel_timeout.) */
  cancelTimeout(): void;
}

/**
 * Makes a class a deferrable one: `class Lookup extends withDeferrable<string>()(Connection)`. It has `promise`, and no
 * `then`: an object that lives on after it has settled must be able to come out of an async function as itself.
 * (include EM::Deferrable.)
 *
 * ```ts
 * class Lookup extends withDeferrable<string, Error>()(Connection) {
 *   override receiveData(data: Buffer) {
 *     this.succeed(String(data));
 *   }
 * }
 * const lookup = connect({ host: "127.0.0.1", port: 4000 }, Lookup);
 * lookup.sendData("what?\n");
 * console.log(await lookup.promise);
 * ```
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
