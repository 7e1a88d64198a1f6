import { isPromise } from "../base/thenable.js";

/** A tick of the library's own: it runs whatever becomes of the program's. It does not throw. */
export interface OwnTick {
  onTick(): void;
}

/**
 * First in, first out; what a tick adds waits for the next turn. One tick that throws hurts no other: the error is
 * reported and the batch goes on. (EventMachine stopped the batch there.)
 *
 * The program's ticks are functions and the library's own are objects, in one queue, so that they keep their order. While
 * the reactor stops the program's are dropped, and the library's own still run.
 */
export class TickQueue {
  #waiting: ((() => unknown) | OwnTick)[] = [];
  /** Whether the program's ticks are taken; those given meanwhile are dropped. */
  #isTaking = true;
  readonly #report: (error: unknown) => void;

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** Returns whether it was taken. */
  push(callback: () => unknown): boolean {
    if (this.#isTaking) this.#waiting.push(callback);
    return this.#isTaking;
  }

  pushOwn(tick: OwnTick): void {
    this.#waiting.push(tick);
  }

  /** Drops the program's ticks that wait, and those to come until `take`. The batch under way runs to its end. */
  drop(): void {
    this.#isTaking = false;
    this.#waiting = this.#waiting.filter((tick) => typeof tick !== "function");
  }

  take(): void {
    this.#isTaking = true;
  }

  /** Forgets everything that waits, and takes the program's ticks again. */
  clear(): void {
    this.#waiting = [];
    this.#isTaking = true;
  }

  run(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    for (let at = 0; at < batch.length; at++) {
      const tick = batch[at] as (() => unknown) | OwnTick;
      try {
        if (typeof tick !== "function") {
          tick.onTick();
          continue;
        }
        const result = tick();
        if (isPromise(result)) result.then(undefined, this.#report);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
