import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Layer, NodeStream } from "../node/node_stream.js";
import type { Output, OutputOwner } from "../node/output.js";
import type { EngineTurn } from "../node/turn.js";
import type { TlsFailure, TlsStart, TlsState } from "../tls.js";
import { type SecureOwner, SecureSession } from "./secure_session.js";
import type { PortableTlsContext } from "./tls_contexts.js";
import { failure } from "./tls_failures.js";

/** TLS on one stream: begins when what was queued in clear is out, and carries what comes after it. */
export class SecureLayer implements Layer, OutputOwner, SecureOwner {
  readonly #stream: NodeStream<Socket>;
  readonly #turn: EngineTurn;
  readonly #session: SecureSession;
  /** What has to leave in clear before TLS begins. */
  #clear: Output | undefined;

  constructor(stream: NodeStream<Socket>, turn: EngineTurn, context: PortableTlsContext, start: TlsStart) {
    this.#stream = stream;
    this.#turn = turn;
    this.#session = new SecureSession(stream.stream, context, start, this);
    const left = stream.undelivered;
    const clear = stream.cover(this);
    this.#clear = clear;
    if (left > 0) this.tlsFailed(failure("ERR_EM_TLS_PLAINTEXT", `${left} bytes were read and not delivered`));
    else if (stream.peerEnded) this.tlsFailed(failure("ERR_EM_TLS_HANDSHAKE", "the peer has ended its side"));
    else if (clear.isDone) this.outputDone();
    else {
      clear.passTo(this);
      this.#session.readAhead();
      stream.flushLater();
    }
  }

  answerName(answer: PortableTlsContext | "same" | "refuse"): void {
    this.#session.answerName(answer);
  }

  answerVerify(accepted: boolean): void {
    this.#session.answerVerify(accepted);
  }

  get state(): TlsState | undefined {
    return this.#session.state;
  }

  /** Why it came to an end. */
  get failure(): TlsFailure {
    return this.#session.failure ?? failure("ERR_EM_TLS_HANDSHAKE", "");
  }

  // What the stream asks -----------------------------------------------------------------------------------------

  get unsent(): number {
    return this.#clear === undefined ? 0 : this.#clear.unsent;
  }

  get hasReadMore(): boolean {
    return this.#session.hasReadMore;
  }

  flush(): void {
    this.#clear?.flush();
  }

  stop(): void {
    this.#session.stop();
    this.#clear?.stop();
  }

  destroy(isComplete: boolean): void {
    const { socket, isSecured } = this.#session;
    if (socket === undefined) this.#stream.stream.destroy();
    else if (isComplete && isSecured) socket.destroySoon();
    else socket.destroy();
  }

  // What leaves in clear -----------------------------------------------------------------------------------------

  wrote(bytes: number, fileBytes: number): void {
    this.#stream.wrote(bytes, fileBytes);
  }

  outputDone(): void {
    this.#clear = undefined;
    this.#session.begin();
  }

  fileSent(): void {
    this.#stream.fileSent();
  }

  fileTruncated(): void {
    this.#stream.fileTruncated();
  }

  // What the session tells; deferred all of it: node:tls calls some from within a command --------------------------

  serverName(name: string): void {
    this.#tell(() => this.#turn.events.tlsServerName(this.#stream.handle, name));
  }

  verify(): void {
    this.#tell(() => this.#turn.events.tlsVerify(this.#stream.handle));
  }

  secured(socket: TLSSocket, ended: boolean): void {
    this.#tell(() => this.#turn.events.secured(this.#stream.handle));
    this.#stream.carryOver(socket, ended);
  }

  session(session: Buffer): void {
    this.#tell(() => this.#turn.events.tlsSession(this.#stream.handle, session));
  }

  keyLog(line: string): void {
    this.#tell(() => this.#turn.events.tlsKeyLog(this.#stream.handle, line));
  }

  #tell(event: () => void): void {
    this.#turn.defer(() => {
      if (this.#stream.hasEnded) return;
      this.#turn.counters.events++;
      event();
    });
  }

  tlsFailed(found: TlsFailure): void {
    this.#session.failure ??= found;
    this.#stream.layerFailed();
  }

  failed(error: NodeJS.ErrnoException): void {
    this.#stream.failed(error);
  }
}
