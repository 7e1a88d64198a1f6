import { checkDuration } from "../base/checks.js";
import type { Cancellable } from "../base/clock.js";

/** What a timer calls when its time has come; a promise it returns is watched, and its rejection counts as a throw. */
export type TimerCallback = () => unknown;

/** What a timer asks of the reactor it belongs to. */
export interface TimerHost {
  /** The moment on the clock that deadlines are told in, in milliseconds. */
  now(): number;
  /** Lets the timer wait for its `deadline`. */
  startTimer(timer: Timer): void;
  /** Takes a waiting timer out. */
  cancelTimer(timer: Timer): void;
  /** A waiting timer began (+1) or ceased (-1) to keep the process alive. */
  refChanged(delta: 1 | -1): void;
}

/** The `slot` of a timer that does not wait. */
export const IDLE = -1;

/** Deadlines are kept to 2 ** -20 of a millisecond, about a nanosecond, rounded up. */
const FRACTIONS = 2 ** 20;

/**
 * A timer that fires once; `reactor.addTimer` makes it (EventMachine's `Timer` and `add_timer`). It fires in the first
 * turn at or after its deadline, in order of deadlines, and those of one deadline in the order they were added.
 */
export class Timer implements Cancellable {
  // The fields below belong to the host and its wheel. All are set here, in one order, so that every timer has one shape.
  /** @internal */ readonly host: TimerHost;
  /** @internal Dropped with the timer's end, so that a timer somebody keeps does not keep what its callback holds. */
  callback: TimerCallback | undefined;
  /**
   * @internal The deadline's whole milliseconds, and its fraction beside it: two small integers stand in the object
   * itself, where one number with a fraction would be an object of its own on the heap.
   */
  tick = 0;
  /** @internal */ fraction = 0;
  /** @internal The list of the wheel that the timer stands in, or IDLE. */
  slot: number = IDLE;
  /** @internal */ next: Timer | undefined = undefined;
  /** @internal */ previous: Timer | undefined = undefined;
  /** @internal */ refed = true;

  /** For the reactor: makes the timer, and leaves it to the caller to start it. */
  constructor(host: TimerHost, deadline: number, callback: TimerCallback) {
    this.host = host;
    this.callback = callback;
    this.deadline = deadline;
  }

  /** @internal When to fire, on the host's clock. Not to be changed while the timer waits. */
  get deadline(): number {
    return this.tick + this.fraction / FRACTIONS;
  }

  /** @internal */
  set deadline(deadline: number) {
    const tick = Math.floor(deadline);
    const fraction = Math.ceil((deadline - tick) * FRACTIONS) | 0;
    this.tick = fraction === FRACTIONS ? tick + 1 : tick;
    this.fraction = fraction === FRACTIONS ? 0 : fraction;
  }

  /** Whether it waits to fire: false once it has fired (from within its callback on) or was cancelled. */
  get active(): boolean {
    return this.slot !== IDLE;
  }

  /** Calls the timer off and frees it at once. Harmless when it has fired or was cancelled before. */
  cancel(): void {
    if (this.slot !== IDLE) this.host.cancelTimer(this);
    this.callback = undefined;
  }

  /** The same as `cancel`. */
  [Symbol.dispose](): void {
    this.cancel();
  }

  /** Lets the timer keep the process alive while it waits, as it does from the start. */
  ref(): this {
    if (!this.refed) {
      this.refed = true;
      if (this.slot !== IDLE) this.host.refChanged(1);
    }
    return this;
  }

  /** Lets the process end although the timer waits. */
  unref(): this {
    if (this.refed) {
      this.refed = false;
      if (this.slot !== IDLE) this.host.refChanged(-1);
    }
    return this;
  }

  /** Whether the timer keeps the process alive while it waits: true unless `unref` was called. */
  hasRef(): boolean {
    return this.refed;
  }

  /**
   * For the reactor: runs the callback of a timer that the wheel has let go, and returns what it returned. What it throws
   * comes through.
   *
   * @internal
   */
  fire(): unknown {
    const callback = this.callback;
    this.callback = undefined;
    return callback?.();
  }
}

/**
 * A timer that fires every `interval` milliseconds until cancelled; `reactor.addPeriodicTimer` makes it (EventMachine's
 * `PeriodicTimer` and `add_periodic_timer`). Its beats stand at whole intervals from its start, whatever time callbacks
 * take: it does not drift. When the reactor was busy for several beats it fires once and goes on with the next beat to
 * come. A callback that throws does not end it. With an interval of 0 it fires once in every turn.
 */
export class PeriodicTimer extends Timer {
  #interval: number;
  /** Beat n stands at `#origin + n * interval`; by multiplication, because a sum of many intervals would drift. */
  #origin: number;
  #beat = 0;

  /** For the reactor: makes the timer with its first beat one interval after `now`. */
  constructor(host: TimerHost, now: number, interval: number, callback: TimerCallback) {
    super(host, now + interval, callback);
    this.#interval = interval;
    this.#origin = now;
  }

  /**
   * Milliseconds from beat to beat. A new interval counts from the last beat (or the start): the next one is due one new
   * interval after that, or in the next turn if that time has passed. Setting it throws ArgumentError for what is not a
   * delay.
   */
  get interval(): number {
    return this.#interval;
  }

  set interval(interval: number) {
    checkDuration(interval, "interval");
    this.#origin += this.#beat * this.#interval;
    this.#beat = 0;
    this.#interval = interval;
    if (!this.active) return;
    this.host.cancelTimer(this);
    this.deadline = this.#origin + interval;
    this.host.startTimer(this);
  }

  /**
   * Started again before the callback runs, so that a throw cannot end it and `cancel` and `interval` work from within.
   *
   * @internal
   */
  override fire(): unknown {
    const callback = this.callback;
    if (callback === undefined) return undefined;
    const now = this.host.now();
    const interval = this.#interval;
    if (interval === 0) {
      this.#origin = now;
    } else {
      // The quotient can be rounded to just below the beat that has come: it is never counted twice.
      this.#beat = Math.max(this.#beat + 1, Math.floor((now - this.#origin) / interval));
    }
    this.deadline = this.#origin + (interval === 0 ? 0 : (this.#beat + 1) * interval);
    this.host.startTimer(this);
    return callback();
  }
}
