import { describe } from "../base/describe.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { answeredFor } from "../base/outcome.js";
import { Mutex } from "./mutex.js";
import { checkWait, PATIENT, WaitingList, type WaitOptions } from "./waiting_list.js";

/**
 * Lets holders of a mutex wait for one another. Look at the condition again after every `wait`: others may have been there
 * first. (em-synchrony's Thread::ConditionVariable.)
 */
export class ConditionVariable {
  readonly #waiting = new WaitingList<void>();

  /** Those that wait for a signal. */
  get numWaiting(): number {
    return this.#waiting.size;
  }

  /**
   * Gives the mutex up, waits for a signal, and takes it again for the same lock, also before it rejects: with the abort
   * signal's reason, or with `ERR_EM_TIMEOUT`. Rejects with `ERR_EM_NOT_LOCKED` when nobody holds the mutex.
   *
   * ```ts
   * const mutex = new Mutex();
   * const changed = new ConditionVariable();
   * const items: string[] = [];
   * await mutex.synchronize(async () => {
   *   while (items.length === 0) await changed.wait(mutex);
   * });
   * ```
   */
  wait(mutex: Mutex, options: WaitOptions = PATIENT): Promise<void> {
    return answeredFor(this.#wait(mutex, options));
  }

  async #wait(mutex: Mutex, options: WaitOptions): Promise<void> {
    if (!(mutex instanceof Mutex)) throw new ArgumentError(`mutex must be a Mutex, not ${describe(mutex)}`);
    checkWait(options);
    if (!mutex.isLocked) throw new StateError("ERR_EM_NOT_LOCKED", "wait: nobody holds the mutex");
    // In the list before the mutex is free: no signal is missed.
    await mutex.release(this.#waiting.wait(options, "wait"));
  }

  /** Wakes the one that has waited longest, if any. */
  signal(): void {
    this.#waiting.shift()?.accept();
  }

  /** Wakes all that wait now. */
  broadcast(): void {
    for (let waiter = this.#waiting.shift(); waiter !== undefined; waiter = this.#waiting.shift()) waiter.accept();
  }
}
