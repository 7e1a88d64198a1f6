import type { ConnectError, EventMachineError, LimitError, TlsError } from "./errors.js";
import type { SystemError } from "./system_error.js";

/** The deadline of a connection that passed. `linger` is none of them: a local close stays a local close. */
export type DeadlineName =
  | "inactivity"
  | "first-byte"
  | "read"
  | "write"
  | "lifetime"
  | "handshake"
  /** Those of HTTP: a header section, the content of a request, a response, and the time between two requests. */
  | "header"
  | "body"
  | "response"
  | "keep-alive";

/**
 * Why a connection ended: what `unbind` is given and `closed` resolves to. One `kind` for each cause a program can want
 * to tell apart; where something failed, `error` says what. (EventMachine gave an Errno or nil here, and nil meant the
 * peer's FIN, a local close and the reactor's stop alike.)
 */
export type CloseReason = Ending & {
  /** How a child process exited, whatever the connection to it ended for; absent on other connections, and where it is not known. */
  readonly exit?: ExitStatus;
};

/** How a process exited. (Process::Status.) */
export interface ExitStatus {
  /** What it exited with, 0 to 255; undefined where a signal ended it. */
  readonly code: number | undefined;
  /** The signal that ended it. */
  readonly signal: NodeJS.Signals | undefined;
  /** Whether `code` is 0. */
  readonly isSuccess: boolean;
}

type Ending =
  /**
   * The peer ended its side, and everything queued for it has been sent. Under TLS, `truncated` tells whether its end came
   * without the close_notify that a complete stream ends with; undefined where the engine cannot know (`tlsTruncation`).
   */
  | { readonly kind: "peer-closed"; readonly truncated?: boolean | undefined }
  /** The peer reset the connection (ECONNRESET, EPIPE), or the network did. */
  | { readonly kind: "peer-reset"; readonly error: SystemError }
  /** `closeConnection`, or `closeConnectionAfterWriting`; `lingerExpired` when the peer's FIN did not come in time. */
  | { readonly kind: "local-close"; readonly lingerExpired: boolean }
  /** `abort`. */
  | { readonly kind: "local-abort" }
  /** No address could be connected to; the kinds tell why the last of them failed. */
  | { readonly kind: "connect-refused"; readonly error: ConnectError }
  | { readonly kind: "connect-timeout"; readonly error: ConnectError }
  | { readonly kind: "connect-unreachable"; readonly error: ConnectError }
  | { readonly kind: "name-not-found"; readonly error: ConnectError }
  | { readonly kind: "connect-failed"; readonly error: ConnectError }
  /** The caller gave up: its AbortSignal, or a close before the connection was made. */
  | { readonly kind: "connect-aborted"; readonly error: ConnectError }
  /** TLS failed: in its handshake, over a certificate, or on what came afterwards. */
  | { readonly kind: "tls-error"; readonly error: TlsError }
  /** A deadline of the connection passed. */
  | { readonly kind: "timeout"; readonly deadline: DeadlineName; readonly error: EventMachineError }
  /** `sendData` was called with more than the outbound limit already unsent, or the reactor's own limit was passed. */
  | { readonly kind: "outbound-limit"; readonly error: LimitError }
  /** The peer has broken the protocol that the connection speaks; it was told so where the protocol has words for it. */
  | { readonly kind: "protocol-error"; readonly error: EventMachineError }
  /** A callback threw, or its promise was rejected. */
  | { readonly kind: "handler-error"; readonly error: unknown }
  /** A file being sent ended before the length that was promised. */
  | { readonly kind: "file-truncated"; readonly error: EventMachineError }
  /** The reactor stopped. */
  | { readonly kind: "stop" }
  /** `drain` waited as long as it was told to. */
  | { readonly kind: "drain-deadline" }
  /**
   * The child process exited by itself, and its outputs have ended; `outputHeld` where they had not 5 s after the exit, for a process of
   * its own still has them.
   */
  | { readonly kind: "exited"; readonly exit: ExitStatus; readonly outputHeld: boolean }
  /** The program of a child process could not be run: `ENOENT`, `EACCES`, …, with its name as `address`. */
  | { readonly kind: "exec-failed"; readonly error: SystemError }
  /** The child process put out more than `outputLimit`. */
  | { readonly kind: "output-limit"; readonly error: LimitError }
  /** `detach` handed the descriptor out. */
  | { readonly kind: "detached" }
  /** Any other failure of the system under an open connection (ETIMEDOUT from keep-alive, ENOBUFS, …). */
  | { readonly kind: "system-error"; readonly error: EventMachineError };

/** The `kind` of a close reason, for tables and switches. */
export type CloseReasonKind = CloseReason["kind"];
