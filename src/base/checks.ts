import { describe } from "./describe.js";
import { ArgumentError } from "./errors.js";
import { MAX_TIMER_DELAY } from "./limits.js";

/** Checks of what a program gives, each in one place and in the same words: what `name` must be, and what it was. */

export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw refused(name, "true or false", value);
  return value;
}

export function checkFunction<F>(value: F, name: string): F {
  if (typeof value !== "function") throw refused(name, "a function", value);
  return value;
}

export function checkObject(value: unknown, name: string): void {
  if (typeof value !== "object" || value === null) throw refused(name, "an object", value);
}

/** Milliseconds, fractions allowed. */
export function checkDuration(value: unknown, name: string): number {
  if (typeof value !== "number" || !(value >= 0 && value <= MAX_TIMER_DELAY)) {
    throw refused(name, `milliseconds from 0 to ${MAX_TIMER_DELAY}`, value);
  }
  return value;
}

/** A count or a size that may have no bound. */
export function checkCount(value: unknown, name: string, least = 0): number {
  const isCount = Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY;
  if (!isCount || (value as number) < least) {
    throw refused(name, `a whole number from ${least} on, or Infinity`, value);
  }
  return value as number;
}

/** By default a number that travels to the kernel as a C int. */
export function checkInteger(value: unknown, name: string, least = 0, most = 0x7fffffff): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    throw refused(name, `a whole number from ${least} to ${most}`, value);
  }
  return value as number;
}

export function checkNumber(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== "number" || !(value >= least && value <= most)) {
    throw refused(name, `a number from ${least} to ${most}`, value);
  }
  return value;
}

/** Throws for a controller given in place of its signal, too. */
export function checkSignal(value: unknown): AbortSignal | undefined {
  if (value !== undefined && !(value instanceof AbortSignal)) throw refused("signal", "an AbortSignal", value);
  return value;
}

function refused(name: string, what: string, value: unknown): ArgumentError {
  return new ArgumentError(`${name} must be ${what}, not ${describe(value)}`);
}
