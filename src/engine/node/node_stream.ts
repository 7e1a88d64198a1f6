import type { Duplex } from "node:stream";
import type { SocketAddress } from "../../base/addresses.js";
import { Ended, type Handle, type StreamEvents } from "../streams.js";
import { Input, type Receiver } from "./input.js";
import { Output, type OutputOwner } from "./output.js";
import { PromptOutput } from "./prompt_output.js";
import type { Ends } from "./socket_ends.js";
import * as ends from "./stream_ends.js";
import { SECURED, type StreamKind } from "./stream_kind.js";
import { asError } from "./throwing_streams.js";
import type { Turn } from "./turn.js";

export interface StreamSettings {
  readonly halfOpen: boolean;
  readonly lowWaterMark: number;
}

/** Who is told what becomes of the stream, in turns. */
export type StreamSink = Pick<StreamEvents, "data" | "end" | "writable" | "fileSent" | "closed">;

/** What stands between a connection's bytes and its socket: TLS. */
export interface Layer {
  /** Bytes that have to leave before it begins. */
  readonly unsent: number;
  /** Whether bytes have come, of which the stream sees nothing, since this was last asked. */
  readonly hasReadMore: boolean;
  flush(): void;
  /** Nothing is told any more. */
  stop(): void;
  /** Destroys what it is and the socket; `isComplete`: all output is out, and is followed by an end in order. */
  destroy(isComplete: boolean): void;
}

/**
 * A moment as a connection keeps it, never before the moment itself. A number with a fraction would be an object of its
 * own on the heap, to be fetched for every message.
 */
function wholeMilliseconds(moment: number): number {
  return Math.ceil(moment);
}

/**
 * A connection over a stream of Node's that never ends itself: the life cycle of the contract on top of it. What its kind
 * does not allow to be delivered from its callbacks, and every event but data and the peer's end, is deferred, so that
 * they keep their order.
 *
 * Its two directions end by themselves, and it has ended when both have:
 *
 *   ours         wanted by `shutdown`, `finish` or the peer's end (`#endsWith`) → all output is out (`outputDone`) → said (`#endSaid`)
 *   the peer's   read (`Input`) → everything before it is delivered (`receivedEnd`)
 */
export class NodeStream<S extends Duplex = Duplex> implements OutputOwner, Receiver {
  readonly handle: Handle;
  /** The socket, or whatever it is. */
  readonly stream: S;
  readonly kind: StreamKind;
  readonly turn: Turn;
  readonly sink: StreamSink;
  readonly released: () => void;
  output: Output;
  input: Input;
  layer: Layer | undefined;
  /** What our bytes go through: the stream, or the layer on it. */
  carrier: Duplex;
  halfOpen: boolean;
  #lowWaterMark: number;
  addresses: Ends | undefined;
  #lastRead: number;
  #lastWrite: number;

  /** See `StreamCommands`. */
  oneWay: "reads" | "writes" | undefined;
  /** A pipe or a terminal. */
  isFile = false;
  isOpen = false;
  /** `closed` is on its way or delivered: every command does nothing, every callback of the stream is too late. */
  hasEnded = false;
  /** Ended by `close` or `abort`: not even a file that was sent before is told of. */
  isSilent = false;
  failure: NodeJS.ErrnoException | undefined;
  #flushDue = false;
  awaitsWritable = false;
  #writableDue = false;
  /** The peer's end has been seen, and all before it delivered. */
  peerEnded = false;
  /** Our end follows the output; what the handle ends with when both ends are through. */
  endsWith: Ended | undefined;
  endSaid = false;
  settlingDue = false;

  constructor(
    handle: Handle,
    stream: S,
    kind: StreamKind,
    settings: StreamSettings,
    turn: Turn,
    sink: StreamSink,
    released: () => void,
  ) {
    this.handle = handle;
    this.stream = stream;
    this.carrier = stream;
    this.kind = kind;
    this.halfOpen = settings.halfOpen;
    this.#lowWaterMark = settings.lowWaterMark;
    this.turn = turn;
    this.sink = sink;
    this.released = released;
    this.output = kind.isPrompt ? new PromptOutput(this, kind, turn.scratch) : new Output(this, kind);
    this.input = new Input(turn, this, kind.isDirect);
    this.#lastRead = this.#lastWrite = wholeMilliseconds(performance.now());
    stream.on("error", (error: unknown) => this.failed(asError(error)));
  }

  /** The stream is connected, and its ends are known; reading begins, `afterDeferred` events where asked for. */
  open(addresses: Ends, afterDeferred = false): void {
    this.isOpen = true;
    this.addresses = addresses;
    this.#lastRead = this.#lastWrite = wholeMilliseconds(performance.now());
    this.output.open(this.stream);
    // The direction that is not there has ended.
    if (this.oneWay === "writes") this.peerEnded = true;
    else this.input.start(this.stream, afterDeferred, this.stream.readableEnded);
    if (this.oneWay === "reads") this.endSaid = true;
  }

  // A layer ------------------------------------------------------------------------------------------------------

  /** A layer has the stream from here on. Returns what has to leave before it begins. */
  cover(layer: Layer): Output {
    const { isPaused } = this.input;
    const before = this.output;
    this.layer = layer;
    this.input.leave();
    this.output = new Output(this, SECURED);
    this.input = new Input(this.turn, this, SECURED.isDirect);
    if (isPaused) this.input.pause();
    return before;
  }

  /** The layer carries bytes; `ended` where the peer has ended already. */
  carryOver(carrier: Duplex, ended: boolean): void {
    this.carrier = carrier;
    this.#lastRead = this.#lastWrite = wholeMilliseconds(performance.now());
    this.output.open(carrier);
    this.input.start(carrier, true, ended);
    this.flushLater();
  }

  // Output -------------------------------------------------------------------------------------------------------

  get takesOutput(): boolean {
    // Under TLS, and on what has to finish, our own end takes its time also where it follows the peer's.
    if (!this.isOpen || this.hasEnded || this.endSaid) return false;
    return this.endsWith === undefined || this.endsWith === Ended.peer;
  }

  write(data: Uint8Array): void {
    if (!this.takesOutput || data.length === 0) return;
    this.output.write(data);
    this.#grown(data.length);
  }

  writeOwned(data: Buffer): void {
    if (!this.takesOutput || data.length === 0) return;
    this.output.writeOwned(data);
    this.#grown(data.length);
  }

  writeText(text: string, encoding: BufferEncoding): number {
    if (!this.takesOutput || text === "") return 0;
    const bytes = this.output.writeText(text, encoding);
    this.#grown(bytes);
    return bytes;
  }

  sendFile(fd: number, offset: number, length: number): void {
    if (!this.takesOutput) return;
    this.output.sendFile(fd, offset, length);
    this.flushLater();
  }

  get outboundSize(): number {
    return this.layer === undefined ? this.output.unsent : this.output.unsent + this.layer.unsent;
  }

  awaitWritable(): void {
    if (this.hasEnded) return;
    this.awaitsWritable = true;
    this.#checkWritable();
  }

  setLowWaterMark(bytes: number): void {
    this.#lowWaterMark = bytes;
    this.#checkWritable();
  }

  #grown(bytes: number): void {
    this.turn.unsent += bytes;
    if (this.output.isReady) this.output.flush();
    else this.flushLater();
  }

  flushLater(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.turn.flushLater(this);
  }

  /** The turn ends: what it queued goes out. */
  flush(): void {
    this.#flushDue = false;
    this.layer?.flush();
    this.output.flush();
  }

  wrote(bytes: number, fileBytes: number): void {
    this.turn.unsent -= bytes;
    this.turn.counters.bytesOut += bytes + fileBytes;
    this.#lastWrite = wholeMilliseconds(this.turn.now());
    if (this.awaitsWritable) this.#checkWritable();
  }

  #checkWritable(): void {
    if (!this.awaitsWritable || this.#writableDue || this.outboundSize > this.#lowWaterMark) return;
    this.#writableDue = true;
    this.turn.defer(() => this.#deliverWritable());
  }

  #deliverWritable(): void {
    this.#writableDue = false;
    // What was queued since may stand above the mark again: then the wait goes on.
    if (this.hasEnded || !this.awaitsWritable || this.outboundSize > this.#lowWaterMark) return;
    // All is out and the peer has ended: nobody is asked for more.
    if (this.settlingDue && this.output.isDone) return;
    this.awaitsWritable = false;
    this.turn.counters.events++;
    this.sink.writable(this.handle);
  }

  fileSent(): void {
    this.turn.defer(() => {
      if (this.isSilent) return;
      this.turn.counters.events++;
      this.sink.fileSent(this.handle);
    });
  }

  // Input --------------------------------------------------------------------------------------------------------

  /** Bytes that were read and not delivered; under a layer there are none in clear. */
  get undelivered(): number {
    return this.layer === undefined ? this.input.undelivered : 0;
  }

  pause(): void {
    if (!this.hasEnded && !this.input.discards) this.input.pause();
  }

  resume(): void {
    if (this.hasEnded) return;
    this.input.resume();
    if (this.peerEnded && this.endsWith === Ended.peer) ends.settleLater(this);
  }

  wasRead(bytes: number): void {
    this.#lastRead = wholeMilliseconds(performance.now());
    this.turn.counters.bytesIn += bytes;
  }

  received(chunk: Buffer): void {
    this.turn.counters.events++;
    this.sink.data(this.handle, chunk, 0, chunk.length);
  }

  // Ending: stream_ends.ts --------------------------------------------------------------------------------------------

  holdOpen(): void {
    if (!this.peerEnded) this.halfOpen = true;
  }

  shutdown(): void {
    ends.shutdown(this);
  }

  finish(): void {
    ends.finish(this);
  }

  close(): void {
    ends.close(this);
  }

  abort(): void {
    ends.abort(this);
  }

  receivedEnd(): void {
    ends.peerEnded(this);
  }

  outputDone(): void {
    ends.outputDone(this);
  }

  /** The stream failed or threw, could not be made, or a file could not be read. */
  failed(error: NodeJS.ErrnoException): void {
    ends.failed(this, error);
  }

  fileTruncated(): void {
    ends.end(this, Ended.fileTruncated);
  }

  layerFailed(): void {
    ends.end(this, Ended.tls);
  }

  // Questions ----------------------------------------------------------------------------------------------------

  get localAddress(): SocketAddress | undefined {
    return this.addresses?.local;
  }

  get remoteAddress(): SocketAddress | undefined {
    return this.addresses?.remote;
  }

  get lastRead(): number {
    if (this.layer?.hasReadMore === true) this.#lastRead = wholeMilliseconds(performance.now());
    return this.#lastRead;
  }

  get lastWrite(): number {
    return this.#lastWrite;
  }
}
