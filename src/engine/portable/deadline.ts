/** The longest delay setTimeout takes; a longer wait is cut into several. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/**
 * One moment to call back at, over one setTimeout that never holds the process. Node counts from its loop's rounded
 * clock, so its timer may come early by part of a millisecond: then it is set once more.
 *
 * Node's loop runs timers before it looks at sockets. In a loop that was held up, a deadline would so be judged by what had
 * been read before; the callback therefore waits for the check phase, when what came meanwhile is delivered. What comes
 * while that is delivered is not: the callback is told when Node's timer fired, before the loop looked.
 */
export class Deadline {
  readonly #passed: (seenAt: number) => void;
  #at = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #due: NodeJS.Immediate | undefined;

  constructor(passed: (seenAt: number) => void) {
    this.#passed = passed;
  }

  /** Infinity for never. */
  set(at: number): void {
    this.#at = at;
    // What is due already finds the moment when it is called back.
    if (this.#due !== undefined) return;
    // A timer that is due before the moment finds out when it fires; only one that is due after it must be replaced.
    if (this.#timerAt <= at) return;
    this.#arm();
  }

  clear(): void {
    this.#at = Number.POSITIVE_INFINITY;
    this.#timerAt = Number.POSITIVE_INFINITY;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    clearImmediate(this.#due);
    this.#due = undefined;
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
    const seenAt = performance.now();
    this.#due = setImmediate(() => this.#judge(seenAt));
  }

  #judge(seenAt: number): void {
    this.#due = undefined;
    if (this.#at === Number.POSITIVE_INFINITY) return;
    if (performance.now() < this.#at) {
      this.#arm();
      return;
    }
    this.#at = Number.POSITIVE_INFINITY;
    this.#passed(seenAt);
  }
}
