import type { Clock } from "../base/clock.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { MAX_TIMER_DELAY } from "../base/limits.js";

export function checkFunction<F extends (...args: never[]) => unknown>(value: F, name: string): F {
  if (typeof value !== "function") throw new ArgumentError(`${name} must be a function, not ${describe(value)}`);
  return value;
}

/** A whole number from `least` on, or Infinity for no bound. */
export function checkCount(value: number, name: string, least = 0): number {
  if (value !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(value) || value < least)) {
    throw new ArgumentError(`${name} must be a whole number from ${least} on, or Infinity, not ${describe(value)}`);
  }
  return value;
}

/** Throws for a controller given in place of its signal, too. */
export function checkSignal(value: AbortSignal | undefined): void {
  if (value !== undefined && !(value instanceof AbortSignal)) {
    throw new ArgumentError(`signal must be an AbortSignal, not ${describe(value)}`);
  }
}

export function checkClock(value: Clock | undefined): void {
  if (value !== undefined && typeof value?.addTimer !== "function") {
    throw new ArgumentError(`clock must be a Reactor or another Clock, not ${describe(value)}`);
  }
}

export function checkFlag(value: boolean, name: string): boolean {
  if (typeof value !== "boolean") throw new ArgumentError(`${name} must be true or false, not ${describe(value)}`);
  return value;
}

/** A number of milliseconds, fractions allowed. */
export function checkDuration(value: number, name: string): number {
  if (typeof value !== "number" || !(value >= 0 && value <= MAX_TIMER_DELAY)) {
    throw new ArgumentError(
      `${name} must be a number of milliseconds from 0 to ${MAX_TIMER_DELAY}, not ${describe(value)}`,
    );
  }
  return value;
}
