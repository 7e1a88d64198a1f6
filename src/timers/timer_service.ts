import { Timer, type TimerCallback, type TimerHost } from "./timer.js";
import { TimerWheel } from "./timer_wheel.js";
import type { WaitTimer } from "./wait_timer.js";

/** What a timer service needs of the reactor. */
export interface TimerServiceHost {
  now(): number;
  /** A timer was added that is due before all others. */
  deadlineMoved(): void;
  /** A timer began or ceased to keep the process alive. */
  refChanged(delta: 1 | -1): void;
  reportError(error: unknown): void;
  /** What a callback returned may be a promise to watch. */
  watch(result: unknown): void;
}

/**
 * One set of timers on a reactor's clock. A reactor has two: its user's, which are counted and may keep the process alive,
 * and those of its connections' own deadlines.
 */
export class TimerService implements TimerHost {
  readonly #host: TimerServiceHost;
  readonly #wheel: TimerWheel;
  #earliest = Number.POSITIVE_INFINITY;
  #isStopped = false;
  /** Timers that somebody waits for. */
  readonly waits = new Set<WaitTimer>();
  /** How many fired, and how late: in all and at worst, in milliseconds. */
  fired = 0;
  lateness = 0;
  worstLateness = 0;

  constructor(host: TimerServiceHost) {
    this.#host = host;
    this.#wheel = new TimerWheel(host.now());
  }

  now(): number {
    return this.#host.now();
  }

  get size(): number {
    return this.#wheel.size;
  }

  /** A timer of the reactor's own: it does not keep the process alive. */
  addInternal(delay: number, callback: TimerCallback): Timer {
    const timer = new Timer(this, this.#host.now() + delay, callback).unref();
    this.startTimer(timer);
    return timer;
  }

  startTimer(timer: Timer): void {
    if (this.#isStopped) {
      queueMicrotask(this.#stopWaits);
      return;
    }
    this.#wheel.add(timer);
    if (timer.refed) this.#host.refChanged(1);
    if (timer.deadline < this.#earliest) {
      this.#earliest = timer.deadline;
      this.#host.deadlineMoved();
    }
  }

  cancelTimer(timer: Timer): void {
    this.#wheel.remove(timer);
    if (timer.refed) this.#host.refChanged(-1);
  }

  refChanged(delta: 1 | -1): void {
    this.#host.refChanged(delta);
  }

  /** When the next one is due; may be early (a cancelled timer's time), never late. */
  get earliest(): number {
    return this.#earliest;
  }

  expire(now: number): void {
    if (now >= this.#earliest) this.#wheel.expire(now, this.#fire);
    this.#earliest = this.#wheel.nextDeadline();
  }

  /** Calls all timers off; those started from here on never fire, until `clear`. */
  stop(): void {
    this.#isStopped = true;
    this.#wheel.clear();
    this.#earliest = Number.POSITIVE_INFINITY;
    this.#stopWaits();
  }

  clear(): void {
    this.#isStopped = false;
    this.#wheel.clear();
    this.#earliest = Number.POSITIVE_INFINITY;
    this.#stopWaits();
  }

  readonly #stopWaits = (): void => {
    for (const timer of [...this.waits]) timer.stop();
  };

  readonly #fire = (timer: Timer): void => {
    const now = this.#host.now();
    const late = now - timer.deadline;
    this.fired++;
    this.lateness += late;
    if (late > this.worstLateness) this.worstLateness = late;
    if (timer.refed) this.#host.refChanged(-1);
    try {
      this.#host.watch(timer.fire());
    } catch (error) {
      this.#host.reportError(error);
    }
  };
}
