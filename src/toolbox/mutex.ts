import { checkFunction } from "../base/checks.js";
import { StateError } from "../base/errors.js";
import { answeredFor, begun } from "../base/outcome.js";
import { checkWait, PATIENT, WaitingList, type WaitOptions } from "./waiting_list.js";

/** Held by one at a time, handed on in the order it was asked for. (em-synchrony's Thread::Mutex.) */
export class Mutex {
  readonly #waiting = new WaitingList<MutexLock>();
  #holder: MutexLock | undefined;

  /** Whether somebody holds it. (locked?) */
  get isLocked(): boolean {
    return this.#holder !== undefined;
  }

  /** Those that wait for it. */
  get numWaiting(): number {
    return this.#waiting.size;
  }

  /**
   * Waits for the mutex and takes it: `using lock = await mutex.lock()`, or `unlock` later. Rejects with the signal's
   * reason, and with `ERR_EM_TIMEOUT`.
   *
   * ```ts
   * const mutex = new Mutex();
   * {
   *   using lock = await mutex.lock({ timeout: 1_000 });
   *   console.log("nobody else is here");
   * }
   * ```
   */
  lock(options: WaitOptions = PATIENT): Promise<MutexLock> {
    return begun(() => {
      checkWait(options);
      options.signal?.throwIfAborted();
      const lock = this.tryLock();
      return lock === undefined ? this.#waiting.wait(options, "lock") : Promise.resolve(lock);
    });
  }

  /** Takes it if nobody holds it. */
  tryLock(): MutexLock | undefined {
    return this.#holder === undefined ? this.#grant() : undefined;
  }

  /** Gives it up, whoever took it. Throws `ERR_EM_NOT_LOCKED` when nobody holds it. */
  unlock(): void {
    if (this.#holder === undefined) throw new StateError("ERR_EM_NOT_LOCKED", "unlock: nobody holds the mutex");
    this.#holder.release();
  }

  /** Runs `work` while holding it, until what it returned has settled. */
  synchronize<T>(work: () => T | PromiseLike<T>, options: WaitOptions = PATIENT): Promise<T> {
    return answeredFor(this.#synchronize(work, options));
  }

  async #synchronize<T>(work: () => T | PromiseLike<T>, options: WaitOptions): Promise<T> {
    checkFunction(work, "work");
    using _ = await this.lock(options);
    return await work();
  }

  /**
   * Gives the mutex up while something is awaited, and takes it again for the same lock, so that its holder need not know.
   *
   * @internal
   */
  async release(during: PromiseLike<void>): Promise<void> {
    const lock = this.#holder;
    this.unlock();
    try {
      await during;
    } finally {
      await this.lock();
      this.#holder = lock;
    }
  }

  #grant(): MutexLock {
    const lock = new MutexLock((released) => {
      if (this.#holder !== released) return;
      this.#holder = undefined;
      this.#waiting.shift()?.accept(this.#grant());
    });
    this.#holder = lock;
    return lock;
  }
}

/** One taking of a mutex. */
export class MutexLock implements Disposable {
  readonly #release: (lock: MutexLock) => void;

  /** @internal */
  constructor(release: (lock: MutexLock) => void) {
    this.#release = release;
  }

  /** Gives the mutex up, if it is still this one that holds it. Harmless otherwise. */
  release(): void {
    this.#release(this);
  }

  /** The same as `release`: `using lock = await mutex.lock()`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
