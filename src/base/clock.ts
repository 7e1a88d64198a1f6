/** Something that was begun and can be called off; calling it off twice is harmless. */
export interface Cancellable extends Disposable {
  /** Calls it off: its callback is never called. Harmless when it has fired or was cancelled before. */
  cancel(): void;
}

/**
 * The time a reactor lives in. The toolbox stands on this alone, so that it runs on a real reactor, in a simulation and
 * in a browser alike.
 */
export interface Clock {
  /** Whether a turn comes for what `nextTick` is given now. Left out: one does. */
  readonly hasTurns?: boolean;
  /** Milliseconds on a monotonic clock, with fractions; only differences mean anything. */
  now(): number;
  /**
   * Calls back once, not before `delay` milliseconds have passed. A clock that can stop before that calls `stopped` instead, with
   * the error for those who wait.
   */
  addTimer(delay: number, callback: () => void, stopped?: (error: unknown) => void): Cancellable;
  /** Calls back in the reactor's next turn; first in, first out. */
  nextTick(callback: () => void): void;
  /** The same for what somebody waits for: it comes also where a stop drops the program's ticks. Left out: as `nextTick`. */
  ownTick?(callback: () => void): void;
  /** Calls back once when no tick and no timer comes any more; returns what calls that off. Left out: that never is. */
  atEnd?(callback: () => void): () => void;
}
