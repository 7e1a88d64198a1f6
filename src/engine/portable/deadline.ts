/** The longest delay setTimeout takes; a longer wait is cut into several. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/**
 * One moment to call back at, over one setTimeout that never holds the process. Node counts from its loop's rounded
 * clock, so its timer may come early by part of a millisecond: then it is set once more.
 */
export class Deadline {
  readonly #passed: () => void;
  #at = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(passed: () => void) {
    this.#passed = passed;
  }

  /** Infinity for never. */
  set(at: number): void {
    this.#at = at;
    // A timer that is due before the moment finds out when it fires; only one that is due after it must be replaced.
    if (this.#timerAt <= at) return;
    this.#arm();
  }

  clear(): void {
    this.#at = Number.POSITIVE_INFINITY;
    this.#timerAt = Number.POSITIVE_INFINITY;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    const delay = Math.min(Math.max(1, Math.ceil(this.#at - now)), LONGEST_TIMEOUT);
    this.#timerAt = now + delay;
    this.#timer = setTimeout(() => this.#fired(), delay).unref();
  }

  #fired(): void {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    if (this.#at === Number.POSITIVE_INFINITY) return;
    if (performance.now() < this.#at) {
      this.#arm();
      return;
    }
    this.#at = Number.POSITIVE_INFINITY;
    this.#passed();
  }
}
