import type { CloseReason } from "../base/close_reason.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";

let unbindOfNobody: ConnectionCallbacks["unbind"] | undefined;

/** The kinds of a connect that failed; one that was called off is no news to who did it. */
const CONNECT_FAILED: ReadonlySet<string> = new Set([
  "connect-refused",
  "connect-timeout",
  "connect-unreachable",
  "connect-failed",
  "name-not-found",
]);

/** The kinds of an end before TLS was secured that is no doing of the program's. */
const HANDSHAKE_FAILED: ReadonlySet<string> = new Set(["peer-reset", "timeout", "system-error"]);

/** What has been said, by class and code: a program that connects again and again is warned once. */
const said = new WeakMap<object, Set<string>>();

/** Names the `unbind` of a class that has none of its own. */
export function setDefaultUnbind(unbind: ConnectionCallbacks["unbind"]): void {
  unbindOfNobody = unbind;
}

/** What a client's connect or its TLS failed with, where it did; undefined for any other end. */
export function failureOf(reason: CloseReason, wasOpened: boolean, isSecured: boolean): unknown {
  const { kind } = reason;
  const isFailure = wasOpened
    ? kind === "tls-error" || (!isSecured && HANDSHAKE_FAILED.has(kind))
    : CONNECT_FAILED.has(kind);
  return isFailure && "error" in reason ? reason.error : undefined;
}

/** Warns of a failure that nobody can have heard of: without `unbind`, and nobody asked for its promises. */
export function warnIfUnheard(receiver: ConnectionCallbacks, failure: unknown, prefix: string): void {
  if (receiver.unbind !== unbindOfNobody) return;
  const { code, message } = failure as { code: string; message: string };
  const codes = said.get(receiver.constructor) ?? new Set();
  said.set(receiver.constructor, codes);
  if (codes.has(code)) return;
  codes.add(code);
  const { name } = receiver.constructor;
  const hint = `${name || "its class"} has no unbind(reason), and nobody asked for its promise opened, secured or closed`;
  process.emitWarning(`${prefix}${message} (${hint})`, { type: "EventMachine", code });
}
