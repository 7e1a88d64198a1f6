import type { CloseReason } from "../base/close_reason.js";
import { StateError } from "../base/errors.js";

/** What calls on a connection come to that can no longer do them. */
export function writeEnded(): StateError {
  return new StateError("ERR_EM_WRITE_AFTER_END", "nothing can be sent after halfClose");
}

export function readOnly(): StateError {
  return new StateError(
    "ERR_EM_NOT_WRITABLE",
    "nothing can be sent: the descriptor that was attached can only be read",
  );
}

export function notOpened(reason: CloseReason | undefined): unknown {
  return failure(reason, "before it was open");
}

export function notSecured(reason: CloseReason | undefined): unknown {
  return failure(reason, "before it was secured");
}

function failure(reason: CloseReason | undefined, when: string): unknown {
  if (reason !== undefined && "error" in reason) return reason.error;
  return new StateError("ERR_EM_CLOSED", `the connection closed ${when} (${reason?.kind ?? "unknown"})`);
}

export function notDetached(reason: CloseReason): StateError {
  return new StateError("ERR_EM_CLOSED", `the connection closed (${reason.kind}) before it could be detached`);
}

export function alreadyClaimed(): StateError {
  return new StateError("ERR_EM_CLAIMED", "a stream or an iterator has taken the connection's data already");
}

/** `what` is asked of a connection that takes part in a relay, which is in its way. */
export function relaying(what: string): StateError {
  return new StateError("ERR_EM_RELAYING", `${what} while a relay is under way: stop it first`);
}

export function inputDiscarded(bytes: number): StateError {
  const message = `${bytes} bytes have come in that nobody took: take the connection over, or pause it, in postInit`;
  return new StateError("ERR_EM_INPUT_DISCARDED", message);
}

export function nothingToClaim(): StateError {
  return new StateError("ERR_EM_CLOSED", "the connection is closing or closed: there is nothing to take over");
}
