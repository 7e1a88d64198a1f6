import { checkDuration, checkFunction } from "../base/checks.js";
import type { Cancellable, Clock } from "../base/clock.js";
import { describe } from "../base/describe.js";
import { ArgumentError, type EventMachineError, StateError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { outcome } from "../base/outcome.js";
import { append, type CallbackList, without, withoutFirst } from "./callback_list.js";
import { checkClock } from "./checks.js";
import { Failures } from "./failures.js";
import { startTimeout } from "./start_timeout.js";

/** The states of a Completion and what comes with each. */
export interface CompletionStates {
  /** What `succeed` takes and `callback` gets. */
  succeeded: unknown;
  /** What `fail` takes and `errback` gets. */
  failed: unknown;
}

/** What a `Completion` may be given. */
export interface CompletionOptions<S> {
  /** The states that end it, beside `succeeded` and `failed`. Default none. */
  completionStates?: readonly (keyof S & string)[];
  /** What `timeout` counts on. Default: the reactor whose callback is running, else the one that runs, else the process's own timers. */
  clock?: Clock;
}

const OPTIONS: Names<CompletionOptions<CompletionStates>> = { completionStates: true, clock: true };

type Callback = (value: never) => unknown;

/** What waits for a state. */
interface Waiting {
  callbacks: CallbackList<never>;
  /** Those added by callbacks of the state while these run: they wait for the next time. */
  added: CallbackList<never>;
  /** The runs under way, one within the other. */
  runs: number;
}

/**
 * A Deferrable with states of your own: `Completion<{ succeeded: string; failed: Error; progress: number }>`. Callbacks
 * run inside `changeState`, in the order they were added, and are gone when they have run: one that adds itself again hears
 * of the next time. Those of `completion` run after those of the completing state. Once completed, waiting callbacks of
 * other completing states are dropped; those of the others stay, as it may be set going again. One that throws keeps the others from nothing: `changeState` throws what it
 * threw when all are through. (EventMachine's Completion.)
 *
 * ```ts
 * const copy = new Completion<{ succeeded: string; failed: Error; progress: number }>();
 * copy.stateback("progress", (percent) => console.log(percent));
 * copy.callback((path) => console.log("copied to", path));
 * copy.changeState("progress", 50);
 * copy.succeed("/tmp/copy");
 * ```
 */
export class Completion<S extends CompletionStates = CompletionStates> implements PromiseLike<S["succeeded"]> {
  #state: keyof S | "unknown" = "unknown";
  #value: S[keyof S] | undefined;
  readonly #waiting = new Map<keyof S | "completed", Waiting>();
  readonly #completing: ReadonlySet<keyof S>;
  readonly #clock: Clock | undefined;
  #timer: Cancellable | undefined;
  #promise: Promise<S["succeeded"]> | undefined;

  constructor(options: CompletionOptions<S> = {}) {
    checkOptions(options, OPTIONS);
    checkClock(options.clock);
    const { completionStates = [] } = options;
    if (!Array.isArray(completionStates)) {
      throw new ArgumentError(`completionStates must be an array of names, not ${describe(completionStates)}`);
    }
    this.#completing = new Set<keyof S>(["succeeded", "failed", ...completionStates]);
    this.#clock = options.clock;
  }

  /** `unknown` until the first change. */
  get state(): keyof S | "unknown" {
    return this.#state;
  }

  /** What came with the state. */
  get value(): S[keyof S] | undefined {
    return this.#value;
  }

  /** Whether it is in a state that ends it. (completed?) */
  get isCompleted(): boolean {
    return this.#completing.has(this.#state as keyof S);
  }

  /** Every state that ends it: `succeeded`, `failed` and those of the options. (completion_states.) */
  get completionStates(): (keyof S)[] {
    return [...this.#completing];
  }

  /**
   * Ends it with a value: the callbacks run before this returns. A completed one may succeed or fail again, which concerns
   * those that are added from then on. Throws what callbacks threw, after all have run (an AggregateError, where several did). (succeed.)
   */
  succeed(value: S["succeeded"]): this {
    return this.changeState("succeeded", value);
  }

  /** Ends it with an error, on the same terms: the errbacks run. (fail.) */
  fail(error: S["failed"]): this {
    return this.changeState("failed", error);
  }

  /** Enters a state and runs what waits for it. (change_state, set_deferred_status.) */
  changeState<K extends keyof S>(state: K, value: S[K]): this {
    this.#state = state;
    this.#value = value;
    const waiting = this.#waiting.get(state);
    if (waiting !== undefined) admit(waiting);
    this.#runCallbacks();
    return this;
  }

  /**
   * Calls back in a state: at once when it is in it, the next time when asked in a callback of that very state; never when
   * it has completed otherwise. (stateback.)
   */
  stateback<K extends keyof S>(state: K, callback: (value: S[K]) => unknown): this {
    checkFunction(callback, "callback");
    if (!this.isCompleted || this.#state === state) this.#add(state, callback);
    return this;
  }

  /**
   * Calls back when it has succeeded: at once when it has already. The same as `stateback("succeeded",
   * callback)`. (callback.)
   */
  callback(callback: (value: S["succeeded"]) => unknown): this {
    return this.stateback("succeeded", callback);
  }

  /** Calls back when it has failed. The same as `stateback("failed", errback)`. (errback.) */
  errback(errback: (error: S["failed"]) => unknown): this {
    return this.stateback("failed", errback);
  }

  /** Calls back when it has completed, in whichever state. */
  completion(callback: (value: S[keyof S]) => unknown): this {
    this.#add("completed", checkFunction(callback, "callback"));
    return this;
  }

  /** Takes out a callback that waits for a state. Harmless when it does not wait. (cancel_stateback.) */
  cancelStateback<K extends keyof S>(state: K, callback: (value: S[K]) => unknown): void {
    this.#cancel(state, callback);
  }

  /** Takes out one that `callback` added. (cancel_callback.) */
  cancelCallback(callback: (value: S["succeeded"]) => unknown): void {
    this.#cancel("succeeded", callback);
  }

  /** Takes out one that `errback` added. (cancel_errback.) */
  cancelErrback(errback: (error: S["failed"]) => unknown): void {
    this.#cancel("failed", errback);
  }

  /** Takes out one that `completion` added. */
  cancelCompletion(callback: (value: S[keyof S]) => unknown): void {
    this.#cancel("completed", callback);
  }

  /**
   * Resolves when it has succeeded, rejects with its error when it has failed, and with `ERR_EM_NOT_SUCCEEDED` when it
   * has completed in a state of your own. Made when first asked for, and always the same one.
   */
  get promise(): Promise<S["succeeded"]> {
    this.#promise ??= outcome((resolve, reject) => {
      this.completion((value) => {
        if (this.#state === "succeeded") resolve(value);
        else if (this.#state === "failed") reject(value);
        else reject(new StateError("ERR_EM_NOT_SUCCEEDED", `completed in state ${String(this.#state)}`));
      });
    });
    return this.#promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: to be awaited is what this class is for
  then<A = S["succeeded"], B = never>(
    onFulfilled?: ((value: S["succeeded"]) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.promise.then(onFulfilled, onRejected);
  }

  /**
   * Fails after `delay` milliseconds unless it has completed: with `error`, else with `ERR_EM_TIMEOUT`. Another call starts anew; on a
   * completed one it does nothing. Throws ArgumentError for what is no delay. (timeout; seconds there.)
   */
  timeout(
    delay: number,
    ...error: EventMachineError extends S["failed"] ? [error?: S["failed"]] : [S["failed"]]
  ): this {
    checkDuration(delay, "delay");
    if (this.isCompleted) return this;
    this.cancelTimeout();
    this.#timer = startTimeout(this.#clock, delay, error, (why) => {
      this.#timer = undefined;
      this.fail(why as S["failed"]);
    });
    return this;
  }

  /** Calls off what `timeout` began. Harmless when there is none. (cancel_timeout.) */
  cancelTimeout(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #add(state: keyof S | "completed", callback: Callback): void {
    const waiting = this.#waiting.get(state) ?? { callbacks: undefined, added: undefined, runs: 0 };
    this.#waiting.set(state, waiting);
    if (waiting.runs > 0 && !this.isCompleted) {
      waiting.added = append(waiting.added, callback);
      return;
    }
    waiting.callbacks = append(waiting.callbacks, callback);
    this.#runCallbacks();
  }

  #cancel(state: keyof S | "completed", callback: Callback): void {
    const waiting = this.#waiting.get(state);
    if (waiting === undefined) return;
    waiting.callbacks = without(waiting.callbacks, callback);
    waiting.added = without(waiting.added, callback);
  }

  #runCallbacks(): void {
    const failures: Failures[] = [];
    if (this.#state !== "unknown") this.#runState(this.#state, failures);
    if (this.isCompleted) {
      this.#runState("completed", failures);
      for (const state of this.#completing) this.#drop(state);
      this.cancelTimeout();
    }
    failures[0]?.rethrow();
  }

  #runState(state: keyof S | "completed", failures: Failures[]): void {
    const waiting = this.#waiting.get(state);
    if (waiting === undefined) return;
    waiting.runs++;
    while (waiting.callbacks !== undefined) {
      const { call } = waiting.callbacks.next;
      waiting.callbacks = withoutFirst(waiting.callbacks);
      try {
        // The value of now: a callback may have changed the state.
        call(this.#value as never);
      } catch (error) {
        if (failures.length === 0) failures.push(new Failures());
        failures[0]?.add(error);
      }
    }
    if (--waiting.runs === 0) admit(waiting);
  }

  #drop(state: keyof S): void {
    const waiting = this.#waiting.get(state);
    if (waiting === undefined) return;
    this.#waiting.delete(state);
    // A run of them may be under way.
    waiting.callbacks = undefined;
    waiting.added = undefined;
  }
}

/** Lets those wait in the ordinary way that were added while others ran. */
function admit(waiting: Waiting): void {
  for (let last = waiting.added; last !== undefined; last = withoutFirst(last)) {
    waiting.callbacks = append(waiting.callbacks, last.next.call);
  }
  waiting.added = undefined;
}
