import type { Clock } from "../base/clock.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { checkClock, checkDuration, checkSignal } from "./checks.js";
import { defaultClock } from "./default_clock.js";

export interface SleepOptions {
  /** Wakes early; the promise rejects with its reason. */
  signal?: AbortSignal;
  /** Default: the current reactor. */
  clock?: Clock;
}

const OPTIONS: Names<SleepOptions> = { signal: true, clock: true };

/** Resolves after `delay` milliseconds, and no earlier. (em-synchrony's sleep; seconds there.) */
export async function sleep(delay: number, options: SleepOptions = {}): Promise<void> {
  checkDuration(delay, "delay");
  checkSleepOptions(options);
  const { signal, clock = defaultClock() } = options;
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const timer = clock.addTimer(delay, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
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
