import { markPeer } from "../../base/error_marks.js";
import { HttpProtocolError } from "../../base/errors.js";

/** What is read: a server reads requests, a client responses. */
export type MessageKind = "request" | "response";

/** A peer's message breaks a rule, or a limit. */
export function violation(
  kind: MessageKind,
  code: string,
  status: number,
  what: string,
  limit?: number,
): HttpProtocolError {
  return markPeer(new HttpProtocolError(code, kind === "request" ? status : 502, what, limit));
}
