/** Something that was begun and can be called off; calling it off twice is harmless. */
export interface Cancellable extends Disposable {
  cancel(): void;
}

/**
 * The time a reactor lives in. The toolbox stands on this alone, so that it runs on a real reactor, in a simulation and
 * in a browser alike.
 */
export interface Clock {
  /** Whether turns come. Left out: they do. */
  readonly isRunning?: boolean;
  /** Whether no turn may come any more. Left out: turns come. */
  readonly isStopping?: boolean;
  /** Milliseconds on a monotonic clock, with fractions; only differences mean anything. */
  now(): number;
  /** Calls back once, not before `delay` milliseconds have passed. */
  addTimer(delay: number, callback: () => void): Cancellable;
  /** Calls back in the reactor's next turn; first in, first out. */
  nextTick(callback: () => void): void;
}
