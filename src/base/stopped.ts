import { StateError } from "./errors.js";

const reactors = new WeakMap<object, object>();

/** What a call comes to, or a promise, because its reactor stops. */
export function stopped(reactor: object, message: string): StateError {
  return markStopped(new StateError("ERR_EM_NOT_RUNNING", message), reactor);
}

/** Notes that an error says nothing but that this reactor stops, or drains to stop. Returns it. */
export function markStopped<E>(error: E, reactor: object): E {
  if (typeof error === "object" && error !== null) reactors.set(error, reactor);
  return error;
}

/**
 * Whether the stop of this reactor made the error. Its program has asked for the stop: such an error, thrown out of one of
 * its callbacks or the reason why a promise of theirs was rejected, is no failure.
 */
export function isStopped(reactor: object, error: unknown): boolean {
  return typeof error === "object" && error !== null && reactors.get(error) === reactor;
}
