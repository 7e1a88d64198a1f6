import { types } from "node:util";

/**
 * Whether a callback's result is watched: a promise, whoever made it, and no other thenable. `() => deferrable.fail(error)` returns
 * the Deferrable because its methods can be chained, and not to have it awaited.
 */
export function isPromise(value: unknown): value is Promise<unknown> {
  return types.isPromise(value);
}

/** Whether a value settles later, as promises and Deferrables do. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
