import type { Clock } from "../base/clock.js";
import { StateError } from "../base/errors.js";

let provider: (() => Clock) | undefined;
let timers: (() => Clock) | undefined;

/** Says which clocks serve whoever names none, for turns and for timers. The package's entry names the current reactor. */
export function setDefaultClock(provide: () => Clock, provideTimers: () => Clock): void {
  provider = provide;
  timers = provideTimers;
}

/** The clock for the timers of whoever names none: it runs, whether or not there is a reactor that does. */
export function defaultTimers(): Clock {
  return timers === undefined ? defaultClock() : timers();
}

/** The clock of whoever names none, asked for when it is needed: it depends on whose callback is running. */
export function defaultClock(): Clock {
  if (provider === undefined)
    throw new StateError("ERR_EM_NO_CLOCK", "no clock was named, and there is no default one");
  return provider();
}
