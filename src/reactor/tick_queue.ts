import { isThenable } from "../base/thenable.js";

/**
 * First in, first out; what a tick adds waits for the next turn. One tick that throws hurts no other: the error is
 * reported and the batch goes on. (EventMachine stopped the batch there.)
 */
export class TickQueue {
  #waiting: (() => unknown)[] = [];
  readonly #report: (error: unknown) => void;

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  get size(): number {
    return this.#waiting.length;
  }

  push(callback: () => unknown): void {
    this.#waiting.push(callback);
  }

  clear(): void {
    this.#waiting = [];
  }

  run(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    for (let at = 0; at < batch.length; at++) {
      try {
        const result = (batch[at] as () => unknown)();
        if (isThenable(result)) Promise.resolve(result).then(undefined, this.#report);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
