import type { ExitStatus } from "./close_reason.js";

/** Facts that travel with an error beside its message; the names are those of Node's own system errors. */
export interface ErrorDetails {
  /** What led to it, as in `Error`'s own options. */
  cause?: unknown;
  /** The system call that failed. */
  syscall?: string;
  /** The address, or the path, that the call was about. */
  address?: string;
  /** The port beside that address. */
  port?: number;
}

/**
 * The root of every error this package makes. `code` is stable and has a heading in docs/errors.md; it is `ERR_EM_…`
 * for the package's own errors and the system's name (`EADDRINUSE`, …) for a failed system call.
 *
 * `instanceof` goes by a brand under `Symbol.for`, so that two loaded copies of the package agree on it.
 */
export class EventMachineError extends Error {
  /** The name of the class, by which `instanceof` knows it in every loaded copy of the package. */
  static readonly brand: string = "EventMachineError";

  /** `ERR_EM_…`, or the system's name of the error: stable, with a heading in docs/errors.md. */
  readonly code: string;
  /** The system call that failed; absent where none did. */
  readonly syscall?: string;
  /** The address, or the path, that it was about; absent where there is none. */
  readonly address?: string;
  /** The port beside that address. */
  readonly port?: number;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    if (details.syscall !== undefined) this.syscall = details.syscall;
    if (details.address !== undefined) this.address = details.address;
    if (details.port !== undefined) this.port = details.port;
    for (let at: unknown = new.target; typeof at === "function" && "brand" in at; at = Object.getPrototypeOf(at)) {
      Object.defineProperty(this, Symbol.for(`eventmachine.${String(at.brand)}`), { value: true });
    }
    Object.defineProperty(this, "name", { value: new.target.brand, configurable: true, writable: true });
  }

  /** Whether a value is an error of this class, made by whichever copy of the package. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && Symbol.for(`eventmachine.${this.brand}`) in value;
  }
}

/** A call was given a value it cannot take. The message names the argument, what came and what is allowed. */
export class ArgumentError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "ArgumentError";
  constructor(message: string, code = "ERR_EM_INVALID_ARGUMENT") {
    super(code, message);
  }
}

/** A call came at a time when it cannot be answered: before the connection is attached, outside `run`, after close. */
export class StateError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "StateError";
}

/** A connect failed: every attempt that was made and why it failed, in the order the attempts ended. */
export class ConnectError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "ConnectError";
  /** The attempts that failed, in the order they ended; empty where none could be made. */
  readonly errors: readonly EventMachineError[];

  constructor(code: string, message: string, errors: readonly EventMachineError[], details: ErrorDetails = {}) {
    super(code, message, details);
    this.errors = errors;
  }
}

/** The engine in use cannot do what was asked; `capability` is its name in `engine/capabilities.ts`. */
export class UnsupportedError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "UnsupportedError";
  /** Its name: a key of `CAPABILITIES`. */
  readonly capability: string;

  constructor(capability: string, engine: string, hint = "") {
    super("ERR_EM_UNSUPPORTED", `the ${engine} engine cannot do this: ${capability}${hint === "" ? "" : ` (${hint})`}`);
    this.capability = capability;
  }
}

/** What a command that failed has left. */
export interface ExitDetails {
  /** How it exited. */
  status: ExitStatus;
  /** What it put out. */
  output: Buffer;
  /** What it wrote to its standard error. */
  errorOutput: Buffer;
}

/** A command exited with another status than 0, or by a signal. */
export class ExitError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "ExitError";
  /** How it exited. */
  readonly status: ExitStatus;
  /** What it put out until then. */
  readonly output: Buffer;
  /** What it wrote to its standard error. */
  readonly errorOutput: Buffer;

  constructor(program: string, { status, output, errorOutput }: ExitDetails) {
    const how = status.signal === undefined ? `with status ${status.code}` : `by ${status.signal}`;
    super("ERR_EM_EXIT_STATUS", `${program} exited ${how}`);
    this.status = status;
    this.output = output;
    this.errorOutput = errorOutput;
  }
}

/** A stated bound was passed: a line too long, a body too big, too much unsent output. `limit` is the bound. */
export class LimitError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "LimitError";
  /** The bound that was passed, in the unit of the option that sets it. */
  readonly limit: number;

  constructor(code: string, message: string, limit: number) {
    super(code, message);
    this.limit = limit;
  }
}

/** A message of HTTP that breaks the protocol's rules, or a limit. `status` is what a server answers it with. */
export class HttpProtocolError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "HttpProtocolError";
  /** The status a server answers with before it closes; 502, a gateway's, where the message was a response. */
  readonly status: number;
  /** The limit that was passed, in bytes or in fields; undefined where none was. */
  readonly limit: number | undefined;

  constructor(code: string, status: number, message: string, limit?: number) {
    super(code, message);
    this.status = status;
    this.limit = limit;
  }
}

/** An alert of TLS (RFC 8446 section 6): its name there, such as `unknown_ca`, and who sent it. */
export interface TlsAlert {
  /** The alert's name in the RFC: `unknown_ca`, `handshake_failure`, … */
  readonly name: string;
  /** Who sent it. */
  readonly from: "peer" | "local";
}

/** What is known of a failure of TLS beside its code. */
export interface TlsErrorDetails extends ErrorDetails {
  /** OpenSSL's words. */
  reason?: string | undefined;
  /** The alert that was received or sent. */
  alert?: TlsAlert | undefined;
  /** OpenSSL's name of what is wrong with the peer's certificate. */
  verifyError?: string | undefined;
}

/** TLS could not be set up with what it was given, or it ended a connection. */
export class TlsError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "TlsError";
  /** OpenSSL's words, where it was asked. */
  readonly reason: string | undefined;
  /** The alert that was received or sent, where the engine knows of one. */
  readonly alert: TlsAlert | undefined;
  /** OpenSSL's name of what is wrong with the peer's certificate (`CERT_HAS_EXPIRED`, `HOSTNAME_MISMATCH`, …). */
  readonly verifyError: string | undefined;

  constructor(code: string, message: string, details: TlsErrorDetails = {}) {
    super(code, message, details);
    this.reason = details.reason;
    this.alert = details.alert;
    this.verifyError = details.verifyError;
  }
}
