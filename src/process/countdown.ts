import type { Timer } from "../timers/timer.js";

/** What a countdown counts on. */
export interface CountdownClock {
  now(): number;
  addTimer(delay: number, callback: () => void): Timer;
}

/** A deadline that stands still now and then. */
export class Countdown {
  readonly #clock: CountdownClock;
  readonly #expired: () => void;
  #left: number;
  #startedAt = 0;
  #timer: Timer | undefined;

  /** Stands still until `go`. */
  constructor(clock: CountdownClock, ms: number, expired: () => void) {
    this.#clock = clock;
    this.#left = ms;
    this.#expired = expired;
  }

  go(): void {
    if (this.#timer !== undefined) return;
    this.#startedAt = this.#clock.now();
    this.#timer = this.#clock.addTimer(this.#left, this.#expired);
  }

  halt(): void {
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#timer = undefined;
    this.#left = Math.max(0, this.#left - (this.#clock.now() - this.#startedAt));
  }
}
