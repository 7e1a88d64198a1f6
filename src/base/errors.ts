/** Facts that travel with an error beside its message; the names are those of Node's own system errors. */
export interface ErrorDetails {
  cause?: unknown;
  syscall?: string;
  address?: string;
  port?: number;
}

/**
 * The root of every error this package makes. `code` is stable and has a heading in docs/errors.md; it is `ERR_EM_…`
 * for the package's own errors and the system's name (`EADDRINUSE`, …) for a failed system call.
 *
 * `instanceof` goes by a brand under `Symbol.for`, so that two loaded copies of the package agree on it.
 */
export class EventMachineError extends Error {
  static readonly brand: string = "EventMachineError";

  readonly code: string;
  readonly syscall?: string;
  readonly address?: string;
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

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && Symbol.for(`eventmachine.${this.brand}`) in value;
  }
}

/** A call was given a value it cannot take. The message names the argument, what came and what is allowed. */
export class ArgumentError extends EventMachineError {
  static override readonly brand: string = "ArgumentError";
  constructor(message: string, code = "ERR_EM_INVALID_ARGUMENT") {
    super(code, message);
  }
}

/** A call came at a time when it cannot be answered: before the connection is attached, outside `run`, after close. */
export class StateError extends EventMachineError {
  static override readonly brand: string = "StateError";
}

/** A connect failed: every attempt that was made and why it failed, in the order the attempts ended. */
export class ConnectError extends EventMachineError {
  static override readonly brand: string = "ConnectError";
  readonly errors: readonly EventMachineError[];

  constructor(code: string, message: string, errors: readonly EventMachineError[], details: ErrorDetails = {}) {
    super(code, message, details);
    this.errors = errors;
  }
}

/** The engine in use cannot do what was asked; `capability` is its name in `engine/capabilities.ts`. */
export class UnsupportedError extends EventMachineError {
  static override readonly brand: string = "UnsupportedError";
  readonly capability: string;

  constructor(capability: string, engine: string, hint = "") {
    super("ERR_EM_UNSUPPORTED", `the ${engine} engine cannot do this: ${capability}${hint === "" ? "" : ` (${hint})`}`);
    this.capability = capability;
  }
}

/** A stated bound was passed: a line too long, a body too big, too much unsent output. `limit` is the bound. */
export class LimitError extends EventMachineError {
  static override readonly brand: string = "LimitError";
  readonly limit: number;

  constructor(code: string, message: string, limit: number) {
    super(code, message);
    this.limit = limit;
  }
}

/** An alert of TLS (RFC 8446 section 6): its name there, such as `unknown_ca`, and who sent it. */
export interface TlsAlert {
  readonly name: string;
  readonly from: "peer" | "local";
}

/** What is known of a failure of TLS beside its code. */
export interface TlsErrorDetails extends ErrorDetails {
  reason?: string | undefined;
  alert?: TlsAlert | undefined;
  verifyError?: string | undefined;
}

/** TLS could not be set up with what it was given, or it ended a connection. */
export class TlsError extends EventMachineError {
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
