import type { Cancellable, Clock } from "../base/clock.js";
import { EventMachineError } from "../base/errors.js";
import { defaultTimers } from "./default_clock.js";

/**
 * Calls `fail` after `delay` milliseconds: with the error given, else with `ERR_EM_TIMEOUT`. Where the clock's reactor stops
 * before, it fails with what that reactor gives as the reason.
 */
export function startTimeout(
  clock: Clock | undefined,
  delay: number,
  error: readonly unknown[],
  fail: (why: unknown) => void,
): Cancellable {
  const late = () => new EventMachineError("ERR_EM_TIMEOUT", `not settled in ${delay} ms`);
  return (clock ?? defaultTimers()).addTimer(delay, () => fail(error.length > 0 ? error[0] : late()), fail);
}
