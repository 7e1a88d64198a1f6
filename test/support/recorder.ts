import type { X509Certificate } from "node:crypto";
import {
  type CloseReason,
  type CloseReasonKind,
  Connection,
  type DeadlineName,
  type SendData,
  type TlsContext,
  type TlsInfo,
  type TlsStartOptions,
  type TlsVerdict,
} from "eventmachine";

/** What a test wants to happen in a connection's callbacks; all of it beside the recording. */
export interface Script {
  postInit?(me: Recorder): unknown;
  connectionCompleted?(me: Recorder): unknown;
  receiveData?(me: Recorder, data: Buffer): unknown;
  receiveEnd?(me: Recorder): unknown;
  drained?(me: Recorder): unknown;
  sslHandshakeCompleted?(me: Recorder, info: TlsInfo): unknown;
  sslVerifyPeer?(me: Recorder, certificate: X509Certificate, verdict: TlsVerdict): unknown;
  shutdownRequested?(me: Recorder): unknown;
  deadlineReached?(me: Recorder, name: DeadlineName): unknown;
  isIdle?(me: Recorder): unknown;
  unbind?(me: Recorder, reason: CloseReason): unknown;
  onError?(me: Recorder, error: unknown): unknown;
  /** Keep what was received; false for streams too large to keep. Default true. */
  keep?: boolean;
  /** A name for the log. */
  name?: string;
}

/** Where recorders announce themselves and what they find against the rules. */
export interface Witness {
  /** The reactor's clock. */
  now(): number;
  recorders: Recorder[];
  violations: string[];
}

/** Commands under way, on any recorder: no callback may come while there is one. */
let commands = 0;

function command<T>(action: () => T): T {
  commands++;
  try {
    return action();
  } finally {
    commands--;
  }
}

/**
 * A peer that notes every callback in order, does what its script says, and watches the rules that hold for every
 * connection at all times: callbacks in a legal order, one `unbind` a life, nothing behind it, nothing inside a command.
 */
export class Recorder extends Connection {
  readonly log: string[] = [];
  readonly chunks: Buffer[] = [];
  readonly reasons: CloseReason[] = [];
  readonly errors: unknown[] = [];
  readonly script: Script;
  bytes = 0;
  ends = 0;
  drains = 0;
  handshakes = 0;
  /** The lives begun: one more with each `reconnect`. */
  lives = 1;
  /** On the reactor's clock. */
  unboundAt = Number.NaN;
  readonly #witness: Witness;
  #mustBeSecure = false;
  #phase: "new" | "attached" | "open" | "ended" | "unbound" = "new";

  constructor(witness: Witness, script: Script = {}) {
    super();
    this.script = script;
    this.#witness = witness;
    witness.recorders.push(this);
    // Only a connection that has the callback is asked.
    const { sslVerifyPeer } = script;
    if (sslVerifyPeer !== undefined) {
      this.sslVerifyPeer = (certificate: X509Certificate, verdict: TlsVerdict) => {
        this.#note("sslVerifyPeer", ["attached", "open"]);
        if (this.isSecure) this.#violation("sslVerifyPeer came when it was secured already");
        return sslVerifyPeer(this, certificate, verdict) as boolean | PromiseLike<boolean>;
      };
    }
  }

  get label(): string {
    return this.script.name ?? `recorder ${this.#witness.recorders.indexOf(this)}`;
  }

  /** The log with runs of `receiveData` as one. */
  get order(): string[] {
    return this.log.filter((entry, at) => entry !== "receiveData" || this.log[at - 1] !== "receiveData");
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.received.toString();
  }

  get reason(): CloseReason | undefined {
    return this.reasons.at(-1);
  }

  get kind(): CloseReasonKind | undefined {
    return this.reason?.kind;
  }

  get isUnbound(): boolean {
    return this.#phase === "unbound";
  }

  // Callbacks ----------------------------------------------------------------------------------------------------

  override postInit(): unknown {
    this.#note("postInit", ["new"], "attached");
    return this.script.postInit?.(this);
  }

  override connectionCompleted(): unknown {
    this.#note("connectionCompleted", ["attached"], "open");
    return this.script.connectionCompleted?.(this);
  }

  /** Not in the log, which is the same over every medium; `handshakes` counts. */
  override sslHandshakeCompleted(info: TlsInfo): unknown {
    this.handshakes++;
    if (commands > 0) this.#violation("sslHandshakeCompleted came inside a command");
    if (this.#phase !== "attached" && this.#phase !== "open") {
      this.#violation(`sslHandshakeCompleted came when ${this.#phase}`);
    }
    if (!this.isSecure) this.#violation("sslHandshakeCompleted came before isSecure");
    return this.script.sslHandshakeCompleted?.(this, info);
  }

  override receiveData(data: Buffer): unknown {
    this.#note("receiveData", ["attached", "open"], "open");
    if (this.#mustBeSecure && !this.isSecure) this.#violation("receiveData came before it was secured");
    if (data.length === 0) this.#violation("receiveData came with no bytes");
    if (this.isPaused) this.#violation("receiveData came while paused");
    this.bytes += data.length;
    if (this.script.keep !== false) this.chunks.push(data);
    return this.script.receiveData?.(this, data);
  }

  override receiveEnd(): unknown {
    this.#note("receiveEnd", ["attached", "open"], "ended");
    if (this.isPaused) this.#violation("receiveEnd came while paused");
    this.ends++;
    return this.script.receiveEnd?.(this);
  }

  override drained(): unknown {
    this.#note("drained", ["attached", "open", "ended"]);
    this.drains++;
    return this.script.drained?.(this);
  }

  override shutdownRequested(): unknown {
    this.#note("shutdownRequested", ["attached", "open", "ended"]);
    return this.script.shutdownRequested?.(this);
  }

  /** Not in the log: it is a question. */
  override isIdle(): unknown {
    return this.script.isIdle?.(this) ?? false;
  }

  override deadlineReached(name: DeadlineName): unknown {
    this.#note(`deadlineReached ${name}`, ["attached", "open", "ended"]);
    return this.script.deadlineReached?.(this, name);
  }

  override unbind(reason: CloseReason): unknown {
    this.#note(`unbind ${reason.kind}`, ["attached", "open", "ended"], "unbound");
    this.reasons.push(reason);
    this.unboundAt = this.#witness.now();
    if (this.state !== "closed") this.#violation(`the state is ${this.state} in unbind`);
    if (this.closeReason !== reason) this.#violation("closeReason is not what unbind was given");
    return this.script.unbind?.(this, reason);
  }

  override onError(error: unknown): unknown {
    this.errors.push(error);
    this.log.push("onError");
    return this.script.onError?.(this, error) ?? false;
  }

  // Commands -----------------------------------------------------------------------------------------------------

  override sendData(data: SendData, encoding?: BufferEncoding): boolean {
    return command(() => super.sendData(data, encoding));
  }

  override closeConnection(afterWriting?: boolean): void {
    command(() => super.closeConnection(afterWriting));
  }

  override closeConnectionAfterWriting(): void {
    command(() => super.closeConnectionAfterWriting());
  }

  override halfClose(): void {
    command(() => super.halfClose());
  }

  override abort(): void {
    command(() => super.abort());
  }

  override pause(): void {
    command(() => super.pause());
  }

  override resume(): void {
    command(() => super.resume());
  }

  override startTls(tls?: TlsContext | TlsStartOptions): void {
    command(() => super.startTls(tls));
    this.#mustBeSecure = true;
  }

  override streamFileData(path: string, options?: { httpChunks?: boolean }): Promise<number> {
    return command(() => super.streamFileData(path, options));
  }

  override reconnect(address: Parameters<Connection["reconnect"]>[0]): boolean {
    if (!command(() => super.reconnect(address))) return false;
    this.lives++;
    this.#phase = "attached";
    this.log.push("reconnect");
    return true;
  }

  #note(callback: string, from: readonly string[], to?: "attached" | "open" | "ended" | "unbound"): void {
    if (commands > 0) this.#violation(`${callback} came inside a command`);
    if (!from.includes(this.#phase)) this.#violation(`${callback} came when ${this.#phase}`);
    this.log.push(callback);
    if (to !== undefined) this.#phase = to;
  }

  #violation(what: string): void {
    this.#witness.violations.push(`${this.label}: ${what} (so far: ${this.order.join(", ")})`);
  }
}
