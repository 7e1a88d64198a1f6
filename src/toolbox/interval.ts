import { checkDuration } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import { answeredSteps } from "../base/outcome.js";
import { defaultTimers } from "./default_clock.js";
import { checkSleepOptions, type SleepOptions, sleep } from "./sleep.js";

/**
 * `for await (const beat of interval(1_000))`: goes round once every `period` milliseconds, the first time after one
 * period, and gives the number of periods since it was called. Beats stand at whole periods from then on, whatever time
 * the loop's body takes; when that took several, it goes round once, at once, and goes on with the next beat to come. With a
 * period of 0 it goes round once in every turn. Leaving the loop ends it; `signal` ends it with its reason. (What a
 * PeriodicTimer is with a callback, EventMachine's add_periodic_timer.)
 *
 * Throws ArgumentError for a period that is no number of milliseconds, and for options that are none.
 */
export function interval(period: number, options: SleepOptions = {}): AsyncGenerator<number, never, undefined> {
  checkDuration(period, "period");
  checkSleepOptions(options);
  const { clock = defaultTimers() } = options;
  return answeredSteps(beats(period, clock, clock.now(), { ...options, clock }));
}

async function* beats(
  period: number,
  clock: Clock,
  origin: number,
  options: SleepOptions,
): AsyncGenerator<number, never, undefined> {
  for (let beat = 1; ; beat++) {
    const now = clock.now();
    // The last one missed stands for all that were.
    if (period > 0) beat = Math.max(beat, Math.floor((now - origin) / period));
    // By multiplication, because a sum of many periods would drift.
    await sleep(Math.max(0, origin + beat * period - now), options);
    yield beat;
  }
}
