import { type CloseReason, Connection, TlsError } from "eventmachine";
import { pattern } from "../../support/bytes.js";
import type { Report } from "../report.js";

/** How long our ends allow a handshake, and a life. */
export const HANDSHAKE_TIMEOUT = 1_500;
export const LIFETIME = 4_000;

/** What a busy machine may add to it, sanitizers included. */
const SLACK = 8_000;

/** The kinds that an attack may end a connection with. */
const KINDS: ReadonlySet<string> = new Set([
  "tls-error",
  "timeout",
  "peer-closed",
  "peer-reset",
  "local-close",
  "connect-failed",
]);

const CODES: ReadonlySet<string> = new Set([
  "ERR_EM_TLS_HANDSHAKE",
  "ERR_EM_TLS_PROTOCOL",
  "ERR_EM_TLS_VERIFY",
  "ERR_EM_TLS_NO_CONTEXT",
  "ERR_EM_TLS_NOT_SERVED",
]);

/** Bytes an honest end sends. */
export const MESSAGE = pattern(3_000);

/** Our end of a connection that is attacked: what may come of it, and nothing else. */
export class Target extends Connection {
  readonly #report: Report;
  /** What the other end really sends, where it is an honest one behind a mutating wire. */
  readonly #expected: Buffer | undefined;
  readonly #born = performance.now();
  readonly #ended: () => void;
  #taken = 0;
  #isOver = false;

  constructor(report: Report, expected: Buffer | undefined, ended: () => void = () => {}) {
    super();
    this.#report = report;
    this.#expected = expected;
    this.#ended = ended;
  }

  override postInit(): void {
    this.#report.count("connections attacked");
  }

  override sslHandshakeCompleted(): void {
    this.#report.count("secured all the same");
    if (this.#expected?.length === 0) this.#report.wrong("a handshake of bytes from another connection went through");
    this.sendData(MESSAGE);
  }

  override receiveData(data: Buffer): void {
    if (!this.isSecure) this.#report.wrong(`${data.length} bytes were delivered in clear`);
    if (this.#isOver) this.#report.wrong("data after unbind");
    const expected = this.#expected?.subarray(this.#taken, this.#taken + data.length);
    if (expected !== undefined && !expected.equals(data)) this.#report.wrong("other bytes than the honest end sent");
    this.#taken += data.length;
  }

  override unbind(reason: CloseReason): void {
    const report = this.#report;
    const fault = faultOf(reason);
    if (fault !== undefined) report.wrong(fault);
    if (this.#isOver) report.wrong("unbound twice");
    this.#isOver = true;
    report.count(`ended: ${reason.kind}${reason.kind === "tls-error" ? ` ${reason.error.code}` : ""}`);
    const lived = performance.now() - this.#born;
    if (lived > HANDSHAKE_TIMEOUT + LIFETIME + SLACK) report.wrong(`it lived for ${Math.round(lived)} ms`);
    this.#ended();
  }
}

export function faultOf(reason: CloseReason): string | undefined {
  if (!KINDS.has(reason.kind)) return `an attack ended with ${reason.kind}: ${(reason as { error?: unknown }).error}`;
  if (reason.kind !== "tls-error") return undefined;
  const { error } = reason;
  if (!(error instanceof TlsError)) return `the error of a tls-error is none: ${error}`;
  return CODES.has(error.code) ? undefined : `a tls-error has the code ${error.code}: ${error.message}`;
}
