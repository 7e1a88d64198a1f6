import type { Socket } from "node:net";
import type { SocketAddress } from "../../base/addresses.js";
import { Input, type Receiver } from "../node/input.js";
import { Output, type OutputOwner } from "../node/output.js";
import { PromptOutput } from "../node/prompt_output.js";
import { SECURED } from "../node/stream_kind.js";
import type { EngineTurn } from "../node/turn.js";
import { Ended, type Handle } from "../streams.js";
import type { TlsFailure, TlsStart, TlsState } from "../tls.js";
import { errnoOf } from "./errno.js";
import { descriptorOf } from "./owned_descriptors.js";
import { type SecureOwner, SecureSession } from "./secure_session.js";
import type { Ends } from "./socket_addresses.js";
import type { PortableTlsContext } from "./tls_contexts.js";
import { failure } from "./tls_failures.js";

export interface StreamSettings {
  readonly halfOpen: boolean;
  readonly lowWaterMark: number;
}

/**
 * A moment as a connection keeps it, never before the moment itself. A number with a fraction would be an object of its
 * own on the heap, to be fetched for every message.
 */
function wholeMilliseconds(moment: number): number {
  return Math.ceil(moment);
}

/**
 * A connection: a node:net socket that is always half-open, with the life cycle of the contract on top of it. Data is
 * delivered from the socket's own callback, every other event deferred, so that they keep their order.
 */
export class PortableStream implements OutputOwner, SecureOwner, Receiver {
  readonly handle: Handle;
  readonly socket: Socket;
  readonly #turn: EngineTurn;
  readonly #released: () => void;
  #output: Output;
  #incoming: Input;
  /** TLS, from `startTls` on. */
  #secure: SecureSession | undefined;
  #halfOpen: boolean;
  #lowWaterMark: number;
  #ends: Ends | undefined;
  #lastRead: number;
  #lastWrite: number;

  #isOpen = false;
  /** `closed` is on its way or delivered: every command does nothing, every callback of the socket is too late. */
  #hasEnded = false;
  /** Ended by `close` or `abort`: not even a file that was sent before is told of. */
  #isSilent = false;
  #errno = 0;
  #flushDue = false;
  #awaitsWritable = false;
  #writableDue = false;
  /** The peer's FIN has been seen, and all before it delivered. */
  #peerEnded = false;
  /** A FIN follows the output; what the handle ends with when both FINs are through. */
  #endsWith: Ended | undefined;
  #finSent = false;
  #settlingDue = false;

  constructor(handle: Handle, socket: Socket, settings: StreamSettings, turn: EngineTurn, released: () => void) {
    this.handle = handle;
    this.socket = socket;
    this.#halfOpen = settings.halfOpen;
    this.#lowWaterMark = settings.lowWaterMark;
    this.#turn = turn;
    this.#released = released;
    this.#output = new PromptOutput(this, turn.scratch);
    this.#incoming = new Input(turn, this, true);
    this.#lastRead = this.#lastWrite = wholeMilliseconds(performance.now());
    socket.on("error", (error: NodeJS.ErrnoException) => this.failed(error));
  }

  /** The socket is connected, and its ends are known; reading begins, `afterDeferred` events where asked for. */
  open(ends: Ends, afterDeferred = false): void {
    this.#isOpen = true;
    this.#ends = ends;
    this.#lastRead = this.#lastWrite = wholeMilliseconds(performance.now());
    this.#output.open(this.socket);
    this.#incoming.start(this.socket, afterDeferred);
  }

  /** The socket failed, or could not be made. */
  failed(error: NodeJS.ErrnoException): void {
    if (this.#hasEnded) return;
    this.#errno = errnoOf(error);
    this.#end(Ended.error, this.#errno, error.syscall ?? "open");
  }

  /** None once node:net has let go of it. */
  *descriptors(): Generator<number> {
    const fd = descriptorOf(this.socket);
    if (fd !== undefined) yield fd;
  }

  // Output -------------------------------------------------------------------------------------------------------

  write(data: Uint8Array): void {
    if (!this.#takesOutput || data.length === 0) return;
    this.#output.write(data);
    this.#grown(data.length);
  }

  writeText(text: string, encoding: BufferEncoding): number {
    if (!this.#takesOutput || text === "") return 0;
    const bytes = this.#output.writeText(text, encoding);
    this.#grown(bytes);
    return bytes;
  }

  sendFile(fd: number, offset: number, length: number): void {
    if (!this.#takesOutput) return;
    this.#output.sendFile(fd, offset, length);
    this.#flushLater();
  }

  get #takesOutput(): boolean {
    // Under TLS our own end takes its time also where it follows the peer's.
    if (!this.#isOpen || this.#hasEnded || this.#finSent) return false;
    return this.#endsWith === undefined || this.#endsWith === Ended.peer;
  }

  get outboundSize(): number {
    return this.#secure === undefined ? this.#output.unsent : this.#output.unsent + this.#secure.clearUnsent;
  }

  awaitWritable(): void {
    if (this.#hasEnded) return;
    this.#awaitsWritable = true;
    this.#checkWritable();
  }

  setLowWaterMark(bytes: number): void {
    this.#lowWaterMark = bytes;
    this.#checkWritable();
  }

  #grown(bytes: number): void {
    this.#turn.unsent += bytes;
    if (this.#output.isReady) this.#output.flush();
    else this.#flushLater();
  }

  #flushLater(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#turn.flushLater(this);
  }

  /** The turn ends: what it queued goes out. */
  flush(): void {
    this.#flushDue = false;
    this.#secure?.clear?.flush();
    this.#output.flush();
  }

  wrote(bytes: number, fileBytes: number): void {
    this.#turn.unsent -= bytes;
    this.#turn.counters.bytesOut += bytes + fileBytes;
    this.#lastWrite = wholeMilliseconds(this.#turn.now());
    if (this.#awaitsWritable) this.#checkWritable();
  }

  #checkWritable(): void {
    if (!this.#awaitsWritable || this.#writableDue || this.outboundSize > this.#lowWaterMark) return;
    this.#writableDue = true;
    this.#turn.defer(() => this.#deliverWritable());
  }

  #deliverWritable(): void {
    this.#writableDue = false;
    // What was queued since may stand above the mark again: then the wait goes on.
    if (this.#hasEnded || !this.#awaitsWritable || this.outboundSize > this.#lowWaterMark) return;
    // All is out and the peer has ended: nobody is asked for more.
    if (this.#settlingDue && this.#output.isDone) return;
    this.#awaitsWritable = false;
    this.#turn.counters.events++;
    this.#turn.events.writable(this.handle);
  }

  fileSent(): void {
    this.#turn.defer(() => {
      if (this.#isSilent) return;
      this.#turn.counters.events++;
      this.#turn.events.fileSent(this.handle);
    });
  }

  fileTruncated(): void {
    this.#end(Ended.fileTruncated, 0, "");
  }

  outputDone(): void {
    if (this.#secure?.clear !== undefined) {
      this.#secure.begin();
      return;
    }
    if (this.#endsWith === undefined || this.#hasEnded) return;
    if (this.#peerEnded && this.#endsWith === Ended.peer && !this.#finSent) {
      this.#settleLater();
      return;
    }
    // Closing the descriptor sends the FIN too: no separate shutdown where the peer's is here. But not a close_notify.
    if (this.#peerEnded && this.#secure === undefined) this.#end(this.#endsWith, 0, "");
    else if (!this.#finSent) {
      this.#finSent = true;
      this.#channel.end();
    }
    if (this.#peerEnded) this.#endWhenSaid(this.#endsWith);
  }

  /** The peer has ended, and nothing is left to be said: unless the program says more before it hears of it. */
  #settleLater(): void {
    if (this.#settlingDue) return;
    this.#settlingDue = true;
    this.#turn.defer(() => this.#settle());
  }

  #settle(): void {
    this.#settlingDue = false;
    if (this.#hasEnded || !this.#output.isDone) return;
    if (this.#incoming.isPaused && !this.#incoming.discards) return;
    const { socket } = this.#secure ?? {};
    // Closing the descriptor sends the FIN too, but not a close_notify.
    this.#stop(() => (socket === undefined ? this.socket.destroy() : socket.destroySoon()));
    this.#deliverClosed(Ended.peer, 0, "");
  }

  /** The peer's end is here, and ours on its way. */
  #endWhenSaid(endsWith: Ended): void {
    const channel = this.#channel;
    if (this.#secure === undefined || channel.writableFinished) this.#end(endsWith, 0, "");
    else channel.once("finish", () => this.#end(endsWith, 0, ""));
  }

  /** What our bytes go through: the socket, or TLS on it. */
  get #channel(): Socket {
    return this.#secure?.socket ?? this.socket;
  }

  // TLS ----------------------------------------------------------------------------------------------------------

  get undelivered(): number {
    return this.#secure === undefined ? this.#incoming.undelivered : 0;
  }

  startTls(context: PortableTlsContext, start: TlsStart): void {
    if (!this.#takesOutput || this.#secure !== undefined) return;
    const left = this.undelivered;
    const before = this.#incoming;
    const clear = this.#output;
    this.#secure = new SecureSession(this.socket, context, start, this);
    this.#output = new Output(this, SECURED);
    this.#incoming = new Input(this.#turn, this, true);
    if (before.isPaused) this.#incoming.pause();
    before.leave();
    if (left > 0) this.tlsFailed(failure("ERR_EM_TLS_PLAINTEXT", `${left} bytes were read and not delivered`));
    else if (this.#peerEnded) this.tlsFailed(failure("ERR_EM_TLS_HANDSHAKE", "the peer has ended its side"));
    else if (clear.isDone) this.#secure.begin();
    else {
      this.#secure.readAhead(clear);
      this.#flushLater();
    }
  }

  answerServerName(answer: PortableTlsContext | "same" | "refuse"): void {
    this.#secure?.answerName(answer);
  }

  answerVerify(accepted: boolean): void {
    this.#secure?.answerVerify(accepted);
  }

  get tlsState(): TlsState | undefined {
    return this.#secure?.state;
  }

  get tlsFailure(): TlsFailure {
    return this.#secure?.failure ?? failure("ERR_EM_TLS_HANDSHAKE", "");
  }

  // Deferred all of them: node:tls calls some from within a command.

  serverName(name: string): void {
    this.#tell(() => this.#turn.events.tlsServerName(this.handle, name));
  }

  verify(): void {
    this.#tell(() => this.#turn.events.tlsVerify(this.handle));
  }

  secured(socket: Socket, ended: boolean): void {
    this.#lastRead = this.#lastWrite = wholeMilliseconds(performance.now());
    this.#tell(() => this.#turn.events.secured(this.handle));
    this.#output.open(socket);
    this.#incoming.start(socket, true, ended);
    this.#flushLater();
  }

  session(session: Buffer): void {
    this.#tell(() => this.#turn.events.tlsSession(this.handle, session));
  }

  keyLog(line: string): void {
    this.#tell(() => this.#turn.events.tlsKeyLog(this.handle, line));
  }

  #tell(event: () => void): void {
    this.#turn.defer(() => {
      if (this.#hasEnded) return;
      this.#turn.counters.events++;
      event();
    });
  }

  tlsFailed(found: TlsFailure): void {
    if (this.#secure !== undefined) this.#secure.failure ??= found;
    this.#end(Ended.tls, 0, "");
  }

  // Input --------------------------------------------------------------------------------------------------------

  pause(): void {
    if (this.#hasEnded || this.#incoming.discards) return;
    this.#incoming.pause();
  }

  resume(): void {
    if (this.#hasEnded) return;
    this.#incoming.resume();
    if (this.#peerEnded && this.#endsWith === Ended.peer) this.#settleLater();
  }

  wasRead(bytes: number): void {
    this.#lastRead = wholeMilliseconds(performance.now());
    this.#turn.counters.bytesIn += bytes;
  }

  received(chunk: Buffer): void {
    this.#turn.counters.events++;
    this.#turn.events.data(this.handle, chunk, 0, chunk.length);
  }

  receivedEnd(): void {
    this.#peerEnded = true;
    if (this.#halfOpen && !this.#incoming.discards) {
      this.#turn.counters.events++;
      this.#turn.events.end(this.handle);
    } else {
      this.#endsWith ??= Ended.peer;
    }
    if (this.#endsWith === undefined) return;
    // What this turn has written is not flushed yet, and goes out first.
    if (this.#output.isDone) this.outputDone();
    else this.#flushLater();
  }

  // Ending -------------------------------------------------------------------------------------------------------

  holdOpen(): void {
    if (!this.#peerEnded) this.#halfOpen = true;
  }

  shutdown(): void {
    if (!this.#takesOutput) return;
    this.#endsWith ??= Ended.local;
    this.#flushLater();
  }

  finish(): void {
    if (!this.#isOpen || this.#hasEnded || this.#incoming.discards) return;
    this.#endsWith ??= Ended.local;
    this.#awaitsWritable = false;
    this.#incoming.discard();
    this.#flushLater();
  }

  close(): void {
    this.#isSilent = true;
    // A stream that is complete says so; one whose output is dropped must not.
    const { socket } = this.#secure ?? {};
    if (socket !== undefined && this.#secure?.isSecured && this.#output.isDone && !this.#finSent) {
      this.#end(Ended.local, 0, "", () => socket.destroySoon());
    } else this.#end(Ended.local, 0, "");
  }

  abort(): void {
    this.#isSilent = true;
    this.#end(Ended.local, 0, "", () => this.#reset());
  }

  #reset(): void {
    const { socket } = this;
    const isSaid = this.#channel.writableFinished;
    // node:net cannot reset a Unix socket, and waits with it on a connecting one until it is connected.
    if (!this.#isOpen || this.#ends?.local?.family === "unix" || socket.destroyed) socket.destroy();
    // libuv refuses a reset in the moment between the last write and the FIN, and node:net loses the descriptor then.
    else if (this.#finSent && !isSaid) this.#channel.once("finish", () => socket.resetAndDestroy());
    else socket.resetAndDestroy();
  }

  #end(ended: Ended, errno: number, syscall: string, destroy = (): void => void this.#channel.destroy()): void {
    if (this.#hasEnded) return;
    this.#stop(destroy);
    this.#turn.defer(() => this.#deliverClosed(ended, errno, syscall));
  }

  #stop(destroy: () => void): void {
    this.#hasEnded = true;
    this.#secure?.stop();
    this.#output.stop();
    this.#incoming.stop();
    destroy();
  }

  #deliverClosed(ended: Ended, errno: number, syscall: string): void {
    this.#turn.counters.events++;
    this.#turn.events.closed(this.handle, ended, errno, syscall);
    this.#turn.unsent -= this.outboundSize;
    this.#released();
  }

  ref(): void {
    this.socket.ref();
  }

  unref(): void {
    this.socket.unref();
  }

  // Questions ----------------------------------------------------------------------------------------------------

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** What the connection failed with: a negative errno, or 0. */
  get errno(): number {
    return this.#errno;
  }

  get localAddress(): SocketAddress | undefined {
    return this.#ends?.local;
  }

  get remoteAddress(): SocketAddress | undefined {
    return this.#ends?.remote;
  }

  /** node:tls tells nothing of a handshake's bytes but their number: what came since this was last asked came just now. */
  get lastRead(): number {
    if (this.#secure?.hasReadMore === true) this.#lastRead = wholeMilliseconds(performance.now());
    return this.#lastRead;
  }

  get lastWrite(): number {
    return this.#lastWrite;
  }
}
