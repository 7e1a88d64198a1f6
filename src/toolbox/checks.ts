import type { Clock } from "../base/clock.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";

export function checkClock(value: Clock | undefined): void {
  if (value !== undefined && typeof value?.addTimer !== "function") {
    throw new ArgumentError(`clock must be a Reactor or another Clock, not ${describe(value)}`);
  }
}
