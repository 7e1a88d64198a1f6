import { checkDuration, checkSignal } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { outcome } from "../base/outcome.js";
import { checkClock } from "./checks.js";
import { defaultTimers } from "./default_clock.js";

/** What `sleep` may be given. */
export interface SleepOptions {
  /** Wakes early; the promise rejects with its reason. */
  signal?: AbortSignal;
  /** Default: the reactor whose callback is running, else the one that runs, else the process's own timers. */
  clock?: Clock;
}

const OPTIONS: Names<SleepOptions> = { signal: true, clock: true };

/**
 * Resolves after `delay` milliseconds, and no earlier; rejects with `ERR_EM_NOT_RUNNING` when its reactor stops before.
 * (em-synchrony's sleep; seconds there.)
 */
export function sleep(delay: number, options: SleepOptions = {}): Promise<void> {
  return outcome((resolve, reject) => {
    checkDuration(delay, "delay");
    checkSleepOptions(options);
    const { signal, clock = defaultTimers() } = options;
    signal?.throwIfAborted();
    const awake = () => signal?.removeEventListener("abort", abort);
    const timer = clock.addTimer(
      delay,
      () => {
        awake();
        resolve();
      },
      (error) => {
        awake();
        reject(error);
      },
    );
    const abort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}

export function checkSleepOptions(options: SleepOptions): void {
  checkOptions(options, OPTIONS);
  checkSignal(options.signal);
  checkClock(options.clock);
}
