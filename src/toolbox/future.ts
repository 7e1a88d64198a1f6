import { isThenable } from "../base/thenable.js";
import { Deferred } from "./deferred.js";

/** What a Deferrable has, a class made with `withDeferrable` too. */
interface Attachable<T, E> {
  callback(callback: (value: T) => unknown): unknown;
  errback(errback: (error: E) => unknown): unknown;
}

/**
 * Evaluates what may be a value, a function that gives one, or something that settles later; attaches the callbacks to
 * the latter, and returns it. A plain value comes back as it is, and the callbacks are not called. (Deferrable.future.)
 *
 * ```ts
 * future(new Deferrable<number>(), (value) => console.log("later", value));
 * console.log("at once", future(() => 42));
 * ```
 */
export function future<T, E = unknown>(
  source: Attachable<T, E> | (() => Attachable<T, E>),
  callback?: (value: T) => unknown,
  errback?: (error: E) => unknown,
): Attachable<T, E>;
export function future<T>(
  source: PromiseLike<T> | (() => PromiseLike<T>),
  callback?: (value: T) => unknown,
  errback?: (error: unknown) => unknown,
): PromiseLike<T>;
export function future<T>(source: T | (() => T)): T;
export function future(
  source: unknown,
  callback?: (value: unknown) => unknown,
  errback?: (error: unknown) => unknown,
): unknown {
  const value: unknown = typeof source === "function" ? source() : source;
  if (isAttachable(value)) {
    if (callback !== undefined) value.callback(callback);
    if (errback !== undefined) value.errback(errback);
  } else if (isThenable(value) && (callback !== undefined || errback !== undefined)) {
    value.then(callback, errback);
  }
  return value;
}

function isAttachable(value: unknown): value is Attachable<unknown, unknown> {
  if (value instanceof Deferred) return true;
  return typeof value === "object" && value !== null && "callback" in value && "errback" in value;
}
