import { checkDuration, checkFunction } from "../base/checks.js";
import type { Cancellable, Clock } from "../base/clock.js";
import type { EventMachineError } from "../base/errors.js";
import { outcome } from "../base/outcome.js";
import { append, type CallbackList, without, withoutFirst } from "./callback_list.js";
import { checkClock } from "./checks.js";
import { Failures } from "./failures.js";
import { startTimeout } from "./start_timeout.js";

/** Whether a Deferred waits (`unknown`), and how it was settled last. */
export type DeferredStatus = "unknown" | "succeeded" | "failed";

/** What a timeout fails with: any error will do where the error's type allows the package's own. */
export type TimeoutError<E> = EventMachineError extends E ? [error?: E] : [error: E];

interface Settlement<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A value that arrives later, with callbacks that run at once when it does: inside `succeed` or `fail`, in the order they
 * were added. This is a Deferrable without a `then`: what `withDeferrable` gives a class. (EventMachine's Deferrable.)
 *
 * The rules beyond that are the original's:
 * - A callback added after `succeed` runs at once; an errback is dropped then, and the other way round after `fail`.
 * - Settling drops the callbacks of the other kind.
 * - Settling again is allowed. It changes status and value for callbacks added from then on, and, from within a
 *   callback, for those that have not run yet: with the other status these are dropped, and the errbacks run.
 * - The promise keeps to the first settling after it was asked for.
 *
 * One rule is not: a callback that throws does not keep the others from running. `succeed` and `fail` throw what it threw
 * when all are through (an AggregateError, where several did).
 */
export class Deferred<T = void, E = unknown> {
  #status: DeferredStatus = "unknown";
  #value: T | E | undefined = undefined;
  #callbacks: CallbackList<T> = undefined;
  #errbacks: CallbackList<E> = undefined;
  #settlement: Settlement<T> | undefined = undefined;
  #timer: Cancellable | undefined = undefined;
  readonly #clock: Clock | undefined;

  /**
   * `clock` is what `timeout` counts on. Default: the reactor whose callback is running, else the one that runs, else the process's
   * own timers.
   */
  constructor(clock?: Clock) {
    if (clock !== undefined) checkClock(clock);
    this.#clock = clock;
  }

  /** How it was settled last; `unknown` until it is. (deferred_status.) */
  get status(): DeferredStatus {
    return this.#status;
  }

  /** Calls back with the value when it is there: at once when it is there already. */
  callback(callback: (value: T) => unknown): this {
    checkFunction(callback, "callback");
    if (this.#status === "unknown") this.#callbacks = append(this.#callbacks, callback);
    else if (this.#status === "succeeded") callback(this.#value as T);
    return this;
  }

  /** Calls back with the error when it has failed. */
  errback(errback: (error: E) => unknown): this {
    checkFunction(errback, "errback");
    if (this.#status === "unknown") this.#errbacks = append(this.#errbacks, errback);
    else if (this.#status === "failed") errback(this.#value as E);
    return this;
  }

  /** Takes a callback out that has not run yet. */
  cancelCallback(callback: (value: T) => unknown): void {
    this.#callbacks = without(this.#callbacks, callback);
  }

  /** Takes an errback out that has not run yet. (cancel_errback.) */
  cancelErrback(errback: (error: E) => unknown): void {
    this.#errbacks = without(this.#errbacks, errback);
  }

  /** Settles with a value and runs the callbacks. (succeed, set_deferred_success.) */
  succeed(value: T): this {
    this.#begin("succeeded", value);
    this.#settlement?.resolve(value);
    let failures: Failures | undefined;
    // Status and value from the fields: a callback may have settled anew.
    while (this.#callbacks !== undefined && this.#status === "succeeded") {
      const link = this.#callbacks.next;
      this.#callbacks = withoutFirst(this.#callbacks);
      try {
        link.call(this.#value as T);
      } catch (error) {
        failures = (failures ?? new Failures()).add(error);
      }
    }
    if (this.#status === "succeeded") this.#errbacks = undefined;
    failures?.rethrow();
    return this;
  }

  /** Settles with an error and runs the errbacks. (fail, set_deferred_failure.) */
  fail(error: E): this {
    this.#begin("failed", error);
    this.#settlement?.reject(error);
    let failures: Failures | undefined;
    while (this.#errbacks !== undefined && this.#status === "failed") {
      const link = this.#errbacks.next;
      this.#errbacks = withoutFirst(this.#errbacks);
      try {
        link.call(this.#value as E);
      } catch (error) {
        failures = (failures ?? new Failures()).add(error);
      }
    }
    if (this.#status === "failed") this.#callbacks = undefined;
    failures?.rethrow();
    return this;
  }

  /** `succeed`, `fail`, or back to `unknown`, where callbacks wait again. (set_deferred_status.) */
  setDeferredStatus(...status: ["succeeded", T] | ["failed", E] | ["unknown"]): this {
    if (status[0] === "succeeded") return this.succeed(status[1]);
    if (status[0] === "failed") return this.fail(status[1]);
    this.#begin("unknown", undefined);
    return this;
  }

  /**
   * Fails after `delay` milliseconds unless it is settled before: with `error`, else with `ERR_EM_TIMEOUT`. A second call
   * starts anew; on a settled one it does nothing. (timeout; seconds there.)
   */
  timeout(delay: number, ...error: TimeoutError<E>): this {
    checkDuration(delay, "delay");
    if (this.#status !== "unknown") return this;
    this.cancelTimeout();
    this.#timer = startTimeout(this.#clock, delay, error, (why) => {
      this.#timer = undefined;
      this.fail(why as E);
    });
    return this;
  }

  /** Calls off what `timeout` began. Harmless when there is none. (cancel_timeout.) */
  cancelTimeout(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Resolves or rejects like it; made when first asked for, and always the same one. */
  get promise(): Promise<T> {
    this.#settlement ??= settlement();
    if (this.#status === "succeeded") this.#settlement.resolve(this.#value as T);
    else if (this.#status === "failed") this.#settlement.reject(this.#value);
    return this.#settlement.promise;
  }

  #begin(status: DeferredStatus, value: T | E | undefined): void {
    if (this.#timer !== undefined) this.cancelTimeout();
    this.#status = status;
    this.#value = value;
  }
}

function settlement<T>(): Settlement<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = outcome<T>((accept, refuse) => {
    resolve = accept;
    reject = refuse;
  });
  return { promise, resolve, reject };
}
