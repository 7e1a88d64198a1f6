import type { CloseReason } from "../base/close_reason.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";

let unbindOfNobody: ConnectionCallbacks["unbind"] | undefined;

/** The kinds of a connect that failed; one that was called off is no news to who did it. */
const FAILED: ReadonlySet<string> = new Set([
  "connect-refused",
  "connect-timeout",
  "connect-unreachable",
  "connect-failed",
  "name-not-found",
]);

/** What has been said, by class and code: a program that connects again and again is warned once. */
const said = new WeakMap<object, Set<string>>();

/** Names the `unbind` of a class that has none of its own. */
export function setDefaultUnbind(unbind: ConnectionCallbacks["unbind"]): void {
  unbindOfNobody = unbind;
}

/** Warns of a connect that failed and that nobody can have heard of: without `unbind`, and nobody asked for its promises. */
export function warnIfUnheard(receiver: ConnectionCallbacks, reason: CloseReason): void {
  if (receiver.unbind !== unbindOfNobody || !FAILED.has(reason.kind) || !("error" in reason)) return;
  const { code, message } = reason.error as { code: string; message: string };
  const codes = said.get(receiver.constructor) ?? new Set();
  said.set(receiver.constructor, codes);
  if (codes.has(code)) return;
  codes.add(code);
  const { name } = receiver.constructor;
  const hint = `${name || "its class"} has no unbind(reason), and nobody asked for its promise opened or closed`;
  process.emitWarning(`${message} (${hint})`, { type: "EventMachine", code });
}
