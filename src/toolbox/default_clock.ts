import type { Clock } from "../base/clock.js";
import { StateError } from "../base/errors.js";

let provider: (() => Clock) | undefined;

/** Says which clock serves whoever names none. The package's entry names the current reactor. */
export function setDefaultClock(provide: () => Clock): void {
  provider = provide;
}

/** The clock of whoever names none, asked for when it is needed: it depends on whose callback is running. */
export function defaultClock(): Clock {
  if (provider === undefined)
    throw new StateError("ERR_EM_NO_CLOCK", "no clock was named, and there is no default one");
  return provider();
}
