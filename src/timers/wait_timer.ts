import { Timer, type TimerCallback, type TimerHost } from "./timer.js";

/** A timer that somebody waits for: where the reactor clears its timers first, it says so. */
export class WaitTimer extends Timer {
  readonly #waits: Set<WaitTimer>;
  readonly #stopped: () => void;

  /** It stands in `waits` until it has fired, was cancelled or stopped. */
  constructor(host: TimerHost, deadline: number, callback: TimerCallback, waits: Set<WaitTimer>, stopped: () => void) {
    super(host, deadline, callback);
    this.#waits = waits;
    this.#stopped = stopped;
    waits.add(this);
  }

  override cancel(): void {
    this.#waits.delete(this);
    super.cancel();
  }

  override fire(): unknown {
    this.#waits.delete(this);
    return super.fire();
  }

  /** It will never fire. */
  stop(): void {
    if (this.#waits.delete(this)) this.#stopped();
  }
}
