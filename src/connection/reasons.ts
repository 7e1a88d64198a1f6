import { constants } from "node:os";
import type { CloseReason, DeadlineName } from "../base/close_reason.js";
import { ArgumentError, ConnectError, EventMachineError, LimitError, StateError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";

/** Reasons that carry nothing of their own exist once. */
export const PEER_CLOSED: CloseReason = Object.freeze({ kind: "peer-closed" });
export const LOCAL_CLOSE: CloseReason = Object.freeze({ kind: "local-close", lingerExpired: false });
export const LINGER_EXPIRED: CloseReason = Object.freeze({ kind: "local-close", lingerExpired: true });
export const LOCAL_ABORT: CloseReason = Object.freeze({ kind: "local-abort" });
export const STOPPED: CloseReason = Object.freeze({ kind: "stop" });
export const DRAIN_DEADLINE: CloseReason = Object.freeze({ kind: "drain-deadline" });
export const DETACHED: CloseReason = Object.freeze({ kind: "detached" });

const PEER_RESET = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "ENOTCONN"]);

/** A system call failed under an open connection. */
export function systemFailure(errno: number, syscall: string): CloseReason {
  const error = new SystemError(errno, syscall);
  return PEER_RESET.has(error.code) ? { kind: "peer-reset", error } : { kind: "system-error", error };
}

export function deadlinePassed(deadline: DeadlineName, after: number): CloseReason & { kind: "timeout" } {
  const error = new EventMachineError("ERR_EM_TIMEOUT", `the connection's ${deadline} deadline of ${after} ms passed`);
  return { kind: "timeout", deadline, error };
}

export function outboundLimitPassed(unsent: number, limit: number, whose: "connection" | "reactor"): CloseReason {
  const message = `${unsent} bytes of unsent output are over the ${whose}'s limit of ${limit}`;
  return { kind: "outbound-limit", error: new LimitError("ERR_EM_OUTBOUND_LIMIT", message, limit) };
}

export function fileTruncated(): CloseReason {
  const message = "a file ended before the length that was to be sent";
  return { kind: "file-truncated", error: new EventMachineError("ERR_EM_FILE_TRUNCATED", message) };
}

const EEXIST = -constants.errno.EEXIST;
const EPERM = -constants.errno.EPERM;

/** A descriptor from outside that nobody can wait for. */
function notPollable(fd: number): ArgumentError {
  const message = `descriptor ${fd} is a file that is always ready, as regular files and folders are: read and write it at any time`;
  return new ArgumentError(message, "ERR_EM_NOT_POLLABLE");
}

/** A descriptor from outside was not taken, with EPERM where it can never be waited for. EEXIST is how an engine says that a reactor owns it. */
export function attachError(fd: number, errno: number, syscall: string): EventMachineError {
  if (errno === EPERM) return notPollable(fd);
  if (errno !== EEXIST) return new SystemError(errno, syscall);
  return new StateError("ERR_EM_DESCRIPTOR_OWNED", `descriptor ${fd} belongs to a reactor; detach it there first`);
}

/** Every attempt of a connect has failed: the last one decides the kind. */
export function connectFailure(target: string, attempts: readonly EventMachineError[]): CloseReason {
  const last = attempts.at(-1);
  const code = last?.code ?? "ERR_EM_CONNECT_FAILED";
  const details = attempts.map(({ message }) => message).join("; ");
  const error = new ConnectError(code, `cannot connect to ${target}: ${details}`, attempts, { cause: last });
  switch (code) {
    case "ECONNREFUSED":
    case "ENOENT":
      return { kind: "connect-refused", error };
    case "ETIMEDOUT":
      return { kind: "connect-timeout", error };
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "ENETDOWN":
    case "EHOSTDOWN":
      return { kind: "connect-unreachable", error };
    default:
      return last?.syscall === "getaddrinfo" ? { kind: "name-not-found", error } : { kind: "connect-failed", error };
  }
}

export function connectTimedOut(target: string, after: number, attempts: readonly EventMachineError[]): CloseReason {
  const message = `cannot connect to ${target}: not connected within ${after} ms`;
  return { kind: "connect-timeout", error: new ConnectError("ERR_EM_CONNECT_TIMEOUT", message, attempts) };
}

export function connectAborted(target: string, attempts: readonly EventMachineError[], cause?: unknown): CloseReason {
  const message = `the connect to ${target} was called off`;
  return { kind: "connect-aborted", error: new ConnectError("ERR_EM_CONNECT_ABORTED", message, attempts, { cause }) };
}
