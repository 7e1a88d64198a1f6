import { Timer, type TimerCallback, type TimerHost } from "../timers/timer.js";

/** The timers that a program has made on one connection: they go with the life they were made in. */
export class LifeTimers {
  readonly #host: TimerHost;
  readonly #waiting = new Set<Timer>();

  constructor(host: TimerHost) {
    this.#host = host;
  }

  add(deadline: number, callback: TimerCallback): Timer {
    const timer = new LifeTimer(this.#host, deadline, callback, this.#waiting);
    this.#waiting.add(timer);
    this.#host.startTimer(timer);
    return timer;
  }

  cancel(): void {
    for (const timer of this.#waiting) timer.cancel();
  }
}

/** Leaves the list of its connection however it ends: a long life makes and cancels many. */
class LifeTimer extends Timer {
  readonly #list: Set<Timer>;

  constructor(host: TimerHost, deadline: number, callback: TimerCallback, list: Set<Timer>) {
    super(host, deadline, callback);
    this.#list = list;
  }

  override cancel(): void {
    this.#list.delete(this);
    super.cancel();
  }

  override fire(): unknown {
    this.#list.delete(this);
    return super.fire();
  }
}
