import { constants } from "node:os";
import type { Duplex } from "node:stream";
import { type SocketAddress, unmapAddress } from "../../base/addresses.js";
import { UnsupportedError } from "../../base/errors.js";
import type { Capability } from "../capabilities.js";
import type { StreamEngine } from "../engine.js";
import { Input, type Receiver } from "../node/input.js";
import { Output, type OutputOwner } from "../node/output.js";
import { FOREIGN } from "../node/stream_kind.js";
import { asError, attempt, guardWrites } from "../node/throwing_streams.js";
import type { Turn } from "../node/turn.js";
import { lackedFor, type SocketOptions } from "../socket_options.js";
import { Ended, type Handle } from "../streams.js";

export interface DuplexSettings {
  readonly halfOpen: boolean;
  readonly lowWaterMark: number;
}

/** What a stream tells: the events of an engine, for one handle. */
export interface DuplexEvents {
  onConnected(): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  onWritable(): void;
  onFileSent(): void;
  /** `error` is what the stream failed with, if it did; one of the system's has an errno. */
  onClosed(ended: Ended, error: NodeJS.ErrnoException | undefined): void;
}

/** A socket's members that a stream may have. */
interface MaybeSocket extends Duplex {
  readonly connecting?: boolean;
  resetAndDestroy?(): unknown;
  setNoDelay?(on: boolean): unknown;
  setKeepAlive?(on: boolean, delay?: number): unknown;
}

/**
 * The stream commands of the engine contract over one Node stream. There is one of these for each stream, so the handle
 * that every call carries says nothing here.
 *
 * A stream may answer within the very call that writes to it, and a reactor must never be entered from inside a command:
 * every event waits for a turn of its own, and what is written leaves when the turn that wrote it has ended.
 */
export class DuplexStream implements StreamEngine, OutputOwner, Receiver {
  readonly name = "duplex";
  readonly capabilities: ReadonlySet<Capability> = new Set();
  readonly lending = undefined;
  /** A stream that is destroyed has not finished. */
  readonly closesInOrder = false;
  readonly #duplex: MaybeSocket;
  readonly #turn: Turn;
  readonly #events: DuplexEvents;
  readonly #output: Output;
  #endsOutput = false;
  #flushDue = false;
  #halfOpen: boolean;
  #lowWaterMark: number;
  #awaitsWritable = false;
  #writableDue = false;
  #lastRead: number;
  #lastWrite: number;

  readonly #input: Input;
  #peerEnded = false;

  /** What the handle ends with when both directions have ended. */
  #endsWith: Ended | undefined;
  #hasEnded = false;
  #isSilent = false;

  constructor(duplex: Duplex, settings: DuplexSettings, turn: Turn, events: DuplexEvents) {
    this.#duplex = duplex;
    this.#turn = turn;
    this.#events = events;
    this.#output = new Output(this, FOREIGN);
    guardWrites(duplex);
    this.#input = new Input(turn, this, FOREIGN.isDirect);
    this.#halfOpen = settings.halfOpen;
    this.#lowWaterMark = settings.lowWaterMark;
    this.#lastRead = this.#lastWrite = performance.now();
    const opened = (): void =>
      turn.defer(() => {
        if (!this.#hasEnded) events.onConnected();
      });
    // A socket that still connects says so; other streams are as open as they will be.
    if (this.#duplex.connecting === true) duplex.once("connect", opened);
    else opened();
    duplex.on("error", (error: unknown) => this.failed(asError(error)));
    duplex.on("close", () => this.#closedUnder());
    duplex.on("finish", () => this.#endIfDone());
    this.#output.open(duplex);
    this.#input.start(duplex, true, duplex.readableEnded);
  }

  // Output -----------------------------------------------------------------------------------------------------------

  get #takesOutput(): boolean {
    return !this.#hasEnded && !this.#endsOutput;
  }

  write(_handle: Handle, data: Uint8Array): void {
    if (!this.#takesOutput || data.length === 0) return;
    this.#output.write(data);
    this.#turn.unsent += data.length;
    this.#flushLater();
  }

  writeString(_handle: Handle, text: string, encoding: BufferEncoding): number {
    const data = Buffer.from(text, encoding);
    this.write(_handle, data);
    return this.#takesOutput ? data.length : 0;
  }

  sendFile(_handle: Handle, fd: number, offset: number, length: number): void {
    if (!this.#takesOutput) return;
    this.#output.sendFile(fd, offset, length);
    this.#flushLater();
  }

  #flushLater(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#turn.flushLater(this);
  }

  #endOutput(): void {
    this.#endsOutput = true;
    this.#flushLater();
  }

  outputDone(): void {
    if (this.#endsOutput && !this.#duplex.writableEnded) attempt(this, this.#duplex, "end");
  }

  outboundSize(): number {
    return this.#output.unsent;
  }

  totalOutbound(): number {
    return this.#turn.unsent;
  }

  awaitWritable(): void {
    if (this.#hasEnded) return;
    this.#awaitsWritable = true;
    this.#checkWritable();
  }

  setLowWaterMark(_handle: Handle, bytes: number): void {
    this.#lowWaterMark = bytes;
    this.#checkWritable();
  }

  wrote(bytes: number): void {
    this.#turn.unsent -= bytes;
    this.#lastWrite = performance.now();
    this.#checkWritable();
  }

  #checkWritable(): void {
    if (!this.#awaitsWritable || this.#writableDue || this.#output.unsent > this.#lowWaterMark) return;
    this.#writableDue = true;
    this.#turn.defer(() => {
      this.#writableDue = false;
      // What was queued since may stand above the mark again: then the wait goes on.
      if (this.#hasEnded || !this.#awaitsWritable || this.#output.unsent > this.#lowWaterMark) return;
      this.#awaitsWritable = false;
      this.#events.onWritable();
    });
  }

  fileSent(): void {
    this.#turn.defer(() => {
      if (!this.#isSilent) this.#events.onFileSent();
    });
  }

  flush(): void {
    this.#flushDue = false;
    this.#output.flush();
  }

  // Input ------------------------------------------------------------------------------------------------------------

  wasRead(): void {
    this.#lastRead = performance.now();
  }

  received(chunk: Buffer): void {
    this.#events.onData(chunk);
  }

  receivedEnd(): void {
    this.#peerEnded = true;
    if (this.#halfOpen && !this.#input.discards) this.#events.onEnd();
    else this.#endsWith ??= Ended.peer;
    if (this.#endsWith !== undefined) this.#endOutput();
    this.#endIfDone();
  }

  holdOpen(): void {
    if (!this.#peerEnded) this.#halfOpen = true;
  }

  pause(): void {
    if (!this.#hasEnded && !this.#input.discards) this.#input.pause();
  }

  resume(): void {
    if (!this.#hasEnded) this.#input.resume();
  }

  // Ending -----------------------------------------------------------------------------------------------------------

  shutdown(): void {
    if (!this.#takesOutput) return;
    this.#endsWith ??= Ended.local;
    this.#endOutput();
  }

  finish(): void {
    if (this.#hasEnded || this.#input.discards) return;
    this.#endsWith ??= Ended.local;
    this.#awaitsWritable = false;
    this.#input.discard();
    this.#endOutput();
  }

  /** Both directions are through: the stream's own end is all that is left to tell. */
  #endIfDone(): void {
    if (this.#endsWith === undefined || !this.#peerEnded || !this.#duplex.writableFinished) return;
    this.#end(this.#endsWith, undefined);
  }

  close(): void {
    this.#isSilent = true;
    this.#end(Ended.local, undefined);
  }

  abort(): void {
    this.#isSilent = true;
    this.#end(Ended.local, undefined, () => {
      const { destroyed, resetAndDestroy } = this.#duplex;
      if (!destroyed && typeof resetAndDestroy === "function") resetAndDestroy.call(this.#duplex);
      else this.#duplex.destroy();
    });
  }

  failed(error: NodeJS.ErrnoException): void {
    this.#end(Ended.error, error);
  }

  fileTruncated(): void {
    this.#end(Ended.fileTruncated, undefined);
  }

  /** Somebody else has destroyed the stream: to the connection that is a reset, unless everything had ended before. */
  #closedUnder(): void {
    if (this.#hasEnded) return;
    if (this.#input.hasEnd && this.#duplex.writableFinished) {
      // What is held is still delivered, in its turn.
      this.#endsWith ??= Ended.peer;
      this.#endIfDone();
      return;
    }
    const error = new Error("the stream was destroyed");
    this.failed(Object.assign(error, { code: "ECONNRESET", errno: -constants.errno.ECONNRESET, syscall: "read" }));
  }

  #end(
    ended: Ended,
    error: NodeJS.ErrnoException | undefined,
    destroy = (): void => void this.#duplex.destroy(),
  ): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#output.stop();
    this.#turn.unsent -= this.#output.unsent;
    this.#input.stop();
    try {
      destroy();
    } catch (thrown) {
      // It has ended all the same, and what it ended with first stands.
      if (error === undefined && ended !== Ended.local) {
        this.#turn.defer(() => this.#events.onClosed(Ended.error, asError(thrown)));
        return;
      }
    }
    this.#turn.defer(() => this.#events.onClosed(ended, error));
  }

  detach(): never {
    throw new UnsupportedError("detach", this.name);
  }

  takeDetached(): never {
    throw new UnsupportedError("detach", this.name);
  }

  // TLS: a stream that is to be secured is given to node:tls first ----------------------------------------------------

  startTls(): never {
    throw new UnsupportedError("tls", this.name);
  }

  undelivered(): number {
    return this.#input.undelivered;
  }

  answerServerName(): void {}
  answerVerify(): void {}

  tlsState(): undefined {
    return undefined;
  }

  tlsFailure(): never {
    throw new UnsupportedError("tls", this.name);
  }

  tlsTruncated(): undefined {
    return undefined;
  }

  // Options and questions --------------------------------------------------------------------------------------------

  /** A stream that is a socket takes them; to others they mean nothing. */
  setOptions(_handle: Handle, options: SocketOptions & { keepAliveOff?: boolean }): void {
    const lacked = lackedFor(options, this.capabilities);
    if (lacked !== undefined) this.#refuse(lacked);
    const { keepAlive, keepAliveOff, noDelay } = options;
    if (noDelay !== undefined) this.#duplex.setNoDelay?.(noDelay);
    if (keepAliveOff === true) this.#duplex.setKeepAlive?.(false);
    else if (keepAlive !== undefined) this.#duplex.setKeepAlive?.(true, Math.ceil((keepAlive.idle ?? 0) / 1000) * 1000);
  }

  #refuse(capability: Capability): never {
    throw new UnsupportedError(capability, this.name);
  }

  getSocketOption(): never {
    throw new UnsupportedError("socketOptions", this.name);
  }

  setSocketOption(): never {
    throw new UnsupportedError("socketOptions", this.name);
  }

  socketError(): number {
    return 0;
  }

  unacknowledged(): number {
    return 0;
  }

  localAddress(): SocketAddress | undefined {
    const { localAddress, localPort } = this.#duplex as { localAddress?: unknown; localPort?: unknown };
    return addressOf(localAddress, localPort);
  }

  remoteAddress(): SocketAddress | undefined {
    const { remoteAddress, remotePort } = this.#duplex as { remoteAddress?: unknown; remotePort?: unknown };
    return addressOf(remoteAddress, remotePort);
  }

  peerCredentials(): never {
    throw new UnsupportedError("peerCredentials", this.name);
  }

  lastRead(): number {
    return this.#lastRead;
  }

  lastWrite(): number {
    return this.#lastWrite;
  }

  now(): number {
    return performance.now();
  }
}

function addressOf(host: unknown, port: unknown): SocketAddress | undefined {
  return typeof host === "string" && typeof port === "number" ? unmapAddress(host, port) : undefined;
}
