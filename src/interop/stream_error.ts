import { constants } from "node:os";
import type { CloseReason } from "../base/close_reason.js";
import { EventMachineError, StateError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";

/**
 * What a stream over the connection is destroyed with: the error node:net would give for the same end (`read ECONNRESET`,
 * `connect ECONNREFUSED 127.0.0.1:80`, `ETIMEDOUT`), so that libraries which look at `code` and `syscall` know it.
 * Undefined where it would give none: for an orderly end, and where the program itself closed the connection.
 */
export function streamError(reason: CloseReason): Error | undefined {
  if (!("error" in reason)) return undefined;
  switch (reason.kind) {
    case "timeout":
      return timedOut(reason.deadline === "write" ? "write" : "read", reason.error);
    case "connect-timeout":
      return timedOut("connect", reason.error);
    case "connect-refused":
    case "connect-unreachable":
    case "name-not-found":
    case "connect-failed": {
      // With one attempt its own error says it all; with several they are in `errors`, as in node:net's AggregateError.
      const { errors } = reason.error;
      return errors.length === 1 ? errors[0] : reason.error;
    }
    case "handler-error":
      return reason.error instanceof Error ? reason.error : new Error(String(reason.error), { cause: reason.error });
    default:
      // Reading tells it as well, where the peer had ended before it was gone; node:net does not read any more then.
      return reason.error.code === "EPIPE" ? brokenPipe() : reason.error;
  }
}

function timedOut(syscall: string, cause: Error): SystemError {
  return new SystemError(-constants.errno.ETIMEDOUT, syscall, { cause });
}

/** What becomes of a write that the end of the connection has overtaken. */
export function writeLost(reason: CloseReason): StateError {
  return new StateError("ERR_EM_CLOSED", `the connection ended (${reason.kind}) before this was sent`);
}

/** What the kernel answers who writes to a peer that has ended and is gone. */
export function brokenPipe(): SystemError {
  return new SystemError(-constants.errno.EPIPE, "write");
}

/** What is written after the end that the peer's brought about. */
export function peerEnded(): EventMachineError {
  return new EventMachineError("EPIPE", "the peer has ended this stream");
}

/** What becomes of a write that waited for the connection to open: node:net's name for it. */
export function neverOpened(): EventMachineError {
  return new EventMachineError("ERR_SOCKET_CLOSED_BEFORE_CONNECTION", "the stream was closed before it was connected");
}
