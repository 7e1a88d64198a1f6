import { constants } from "node:os";
import type { SocketAddress } from "../../base/addresses.js";
import { EventMachineError, StateError } from "../../base/errors.js";
import { SystemError } from "../../base/system_error.js";
import { CAPABILITIES, type Capability } from "../capabilities.js";
import type { Engine, EngineCounters, EngineEvents } from "../engine.js";
import {
  type ConnectOptions,
  Ended,
  HANDLE_INDEX_MASK,
  type Handle,
  type ListenOptions,
  type SocketOptions,
} from "../streams.js";
import type { TlsContextId, TlsContextSettings, TlsEvents, TlsFailure, TlsStart, TlsState } from "../tls.js";
import type { Binding } from "./binding.js";
import { listenSettings, lowWater, plain } from "./call_arguments.js";
import { LentBytes } from "./lent_bytes.js";
import { NativeTls } from "./native_tls.js";
import {
  Figure,
  Flag,
  Kind,
  MAX_PIECES,
  OUT_SLAB_SIZE,
  Settled,
  type SharedViews,
  SMALL_WRITE,
  SYSCALLS,
  viewShared,
  Word,
} from "./ring.js";
import { checkResult, optionTriples, readCredentials, readError, readOption } from "./socket_options.js";

const ALL_CAPABILITIES: ReadonlySet<Capability> = new Set(Object.keys(CAPABILITIES) as Capability[]);

/** `buffer.write` looks its encoding up by name each time; these are what it comes down to. */
interface TextBuffer extends Buffer {
  latin1Write(text: string, offset: number, length: number): number;
  utf8Write(text: string, offset: number, length: number): number;
}

/** Bytes that a string may become at most and still be written into the shared memory directly. */
const SMALL_TEXT = 64 * 1024;

/** What the engine sees while it is not started: no handle is alive in it. */
const NOTHING: SharedViews = {
  words: new Int32Array(16),
  figures: new Float64Array(32),
  events: new Int32Array(0),
  pieces: new Int32Array(0),
  outbound: new Float64Array(0),
  handles: new Int32Array(0),
  flags: new Uint8Array(0),
};

/**
 * The engine on epoll. The addon fills a ring with what has happened and calls once for the whole batch; small writes
 * and small questions need no call at all, for the tables they go by are shared.
 */
export class NativeEngine implements Engine {
  readonly name = "native";
  readonly capabilities = ALL_CAPABILITIES;
  readonly lending = new LentBytes();

  readonly #native: Binding;
  readonly #tls: NativeTls;
  #loop = -1;
  #events: EngineEvents | undefined;
  #views = NOTHING;
  #words = NOTHING.words;
  #figures = NOTHING.figures;
  #outbound = NOTHING.outbound;
  #handles = NOTHING.handles;
  #flags = NOTHING.flags;
  #outSlab = Buffer.alloc(0);
  /** From `performance.now()` to the clock of the addon. */
  #clockOffset = 0;

  constructor(native: Binding) {
    this.#native = native;
    this.#tls = new NativeTls(native);
  }

  start(events: EngineEvents): void {
    const seed = Number(process.env.EVENTMACHINE_TORTURE_SEED ?? 0) >>> 0;
    const [loop, control, eventSlab, outSlab] = this.#create(seed);
    this.#loop = loop;
    this.#events = events;
    this.#view(viewShared(control));
    this.lending.use(eventSlab);
    this.#outSlab = Buffer.from(outSlab);
    this.#clockOffset = measureOffset(this.#native);
  }

  /** The core needs memory and descriptors of its own; where the system has none left, the run says so. */
  #create(seed: number): ReturnType<Binding["create"]> {
    try {
      return this.#native.create(this.#dispatch, this.#ticks, seed);
    } catch (cause) {
      const { message } = cause as Error;
      throw new EventMachineError("ERR_EM_ENGINE_UNAVAILABLE", `the native engine cannot start: ${message}`, { cause });
    }
  }

  stop(): void {
    if (this.#loop < 0) return;
    const last = this.#figures.slice(0, 32);
    this.#native.close(this.#loop);
    this.#loop = -1;
    this.#events = undefined;
    this.#view({ ...NOTHING, words: new Int32Array(16), figures: last });
    this.lending.use(new ArrayBuffer(0));
    this.#outSlab = Buffer.alloc(0);
  }

  #view(views: SharedViews): void {
    this.#views = views;
    this.#words = views.words;
    this.#figures = views.figures;
    this.#outbound = views.outbound;
    this.#handles = views.handles;
    this.#flags = views.flags;
  }

  ref(): void {
    this.#native.holdProcess(this.#loop, true);
  }

  unref(): void {
    this.#native.holdProcess(this.#loop, false);
  }

  now(): number {
    return performance.now();
  }

  setDeadline(at: number): void {
    this.#figures[Figure.deadline] = at + this.#clockOffset;
  }

  requestTurn(): void {
    this.#words[Word.ticksWanted] = 1;
  }

  flush(): void {
    this.#native.flush(this.#loop);
  }

  counters(): EngineCounters {
    const figures = this.#figures;
    return {
      accepted: figures[Figure.accepted]!,
      connected: figures[Figure.connected]!,
      bytesIn: figures[Figure.bytesIn]!,
      bytesOut: figures[Figure.bytesOut]!,
      events: figures[Figure.events]!,
      batches: figures[Figure.batches]!,
      systemCalls: figures[Figure.systemCalls]!,
    };
  }

  // Delivery -----------------------------------------------------------------------------------------------------

  readonly #ticks = (): void => {
    this.#events?.ticks();
  };

  readonly #dispatch = (): void => {
    const events = this.#events;
    if (events === undefined) return;
    // A program can detach the memory it was lent; it gets no more than a new window.
    if (this.lending.slab.length === 0) this.lending.use(this.#native.slab(this.#loop)!);
    const words = this.#words;
    const count = words[Word.eventCount]!;
    let at = words[Word.eventsRead]!;
    events.enter();
    try {
      // `stop` may come in any event; then this engine has no loop and no more events.
      while (at < count && this.#loop >= 0) {
        words[Word.eventsRead] = at + 1;
        this.#deliver(events, at++ * 4);
      }
    } finally {
      // The slab is the addon's again: a view of it that is sent from here on goes the way of any other bytes.
      this.lending.lastView = undefined;
      events.leave();
    }
  };

  #deliver(events: EngineEvents, at: number): void {
    const ring = this.#views.events;
    const head = ring[at]!;
    const handle = ring[at + 1]!;
    const flags = this.#flags[handle & HANDLE_INDEX_MASK]!;
    switch (head & 0xff) {
      case Kind.data: {
        const start = ring[at + 2]!;
        const length = ring[at + 3]!;
        if ((flags & (Flag.paused | Flag.muted)) === 0) events.data(handle, this.lending.slab, start, start + length);
        else this.#native.hold(this.#loop, handle, start, length);
        return;
      }
      case Kind.accepted:
        events.accepted(ring[at + 2]!, handle, ring[at + 3]!, head >>> 16);
        return;
      case Kind.acceptedOther:
        events.accepted(ring[at + 2]!, handle, 0, -1);
        return;
      case Kind.connected:
        if ((flags & Flag.muted) === 0) events.connected(handle);
        return;
      case Kind.listening:
        if ((flags & Flag.muted) === 0) events.listening(handle);
        return;
      case Kind.writable:
        if ((flags & Flag.muted) === 0) events.writable(handle);
        return;
      case Kind.fileSent:
        if ((flags & Flag.silent) === 0) events.fileSent(handle);
        return;
      case Kind.fin:
        this.#settle(events, handle);
        return;
      case Kind.closed:
        events.closed(handle, ((head >>> 8) & 0xff) as Ended, ring[at + 2]!, SYSCALLS[head >>> 16]!);
        return;
      case Kind.timer:
        events.timer();
        return;
      default: {
        const kind = head & 0xff;
        const { slab } = this.lending;
        const start = ring[at + 2]!;
        this.#tls.deliver(events as unknown as TlsEvents, kind, handle, flags, slab, start, ring[at + 3]!);
        return;
      }
    }
  }

  #settle(events: EngineEvents, handle: Handle): void {
    switch (this.#native.settle(this.#loop, handle)) {
      case Settled.closedByPeer:
        events.closed(handle, Ended.peer, 0, "");
        return;
      case Settled.closedHere:
        events.closed(handle, Ended.local, 0, "");
        return;
      case Settled.end:
        events.end(handle);
        return;
    }
  }

  // Opening ------------------------------------------------------------------------------------------------------

  listen(address: SocketAddress, options: ListenOptions): Handle {
    const [family, host, port] = plain(address);
    const triples = optionTriples(options, this.#native.constants);
    const settings = listenSettings(options);
    return this.#opened("listen", this.#native.listen(this.#loop, family, host, port, triples, ...settings));
  }

  adoptListener(fd: number, options: ListenOptions): Handle {
    const triples = optionTriples(options, this.#native.constants);
    return this.#opened("listen", this.#native.adoptListener(this.#loop, fd, triples, ...listenSettings(options)));
  }

  connect(address: SocketAddress, options: ConnectOptions): Handle {
    const [family, host, port] = plain(address);
    const triples = optionTriples(options, this.#native.constants);
    const local = plain(options.localAddress);
    const low = lowWater(options.lowWaterMark);
    return this.#opened(
      "connect",
      this.#native.connect(this.#loop, family, host, port, triples, options.halfOpen, low, ...local),
    );
  }

  adoptStream(fd: number, options: ConnectOptions): Handle {
    const triples = optionTriples(options, this.#native.constants);
    const low = lowWater(options.lowWaterMark);
    return this.#opened("connect", this.#native.adoptStream(this.#loop, fd, triples, options.halfOpen, low));
  }

  #opened(syscall: string, handle: number | undefined): Handle {
    if (handle === undefined) throw new StateError("ERR_EM_NOT_RUNNING", "the native engine is not started");
    // As many connections as a handle can tell apart are open: out of descriptors, to the program.
    if (handle < 0) throw new SystemError(-constants.errno.EMFILE, syscall);
    return handle;
  }

  // Output -------------------------------------------------------------------------------------------------------

  write(handle: Handle, data: Uint8Array): void {
    const length = data.length;
    const index = handle & HANDLE_INDEX_MASK;
    if (length === 0 || !this.#takesOutput(handle, index)) return;
    if (length > SMALL_WRITE) {
      const { lending } = this;
      if (data === lending.lastView) this.#native.writeLent(this.#loop, handle, lending.lastStart, length);
      else this.#native.write(this.#loop, handle, data);
      return;
    }
    const offset = this.#reserve(handle, index, length);
    if (offset < 0) return;
    this.#outSlab.set(data, offset);
    this.#queue(handle, index, offset, length);
  }

  writeString(handle: Handle, text: string, encoding: BufferEncoding): number {
    const index = handle & HANDLE_INDEX_MASK;
    if (text.length === 0 || !this.#takesOutput(handle, index)) return 0;
    const most = encoding === "utf8" || encoding === "utf-8" ? text.length * 3 : text.length;
    if (most > SMALL_TEXT || (most === text.length && encoding !== "latin1" && encoding !== "ascii")) {
      const data = Buffer.from(text, encoding);
      this.write(handle, data);
      return data.length;
    }
    const offset = this.#reserve(handle, index, most);
    if (offset < 0) return 0;
    const slab = this.#outSlab as TextBuffer;
    const length = most === text.length ? slab.latin1Write(text, offset, most) : slab.utf8Write(text, offset, most);
    this.#queue(handle, index, offset, length);
    return length;
  }

  #takesOutput(handle: Handle, index: number): boolean {
    return this.#handles[index] === handle && (this.#flags[index]! & Flag.noWrite) === 0;
  }

  /** Where `length` bytes of output can go; -1 where making room has shown that the connection is dead. */
  #reserve(handle: Handle, index: number, length: number): number {
    const words = this.#words;
    if (words[Word.outUsed]! + length > OUT_SLAB_SIZE || words[Word.pieceCount]! >= MAX_PIECES) {
      this.#native.flush(this.#loop);
      if (!this.#takesOutput(handle, index)) return -1;
    }
    return words[Word.outUsed]!;
  }

  #queue(handle: Handle, index: number, offset: number, length: number): void {
    const words = this.#words;
    const pieces = this.#views.pieces;
    const count = words[Word.pieceCount]!;
    const last = (count - 1) * 4;
    // Pieces lie one behind the other, so that a connection's next one only lengthens its last.
    if (count > words[Word.absorbed]! && pieces[last] === handle) {
      pieces[last + 2]! += length;
    } else {
      pieces[last + 4] = handle;
      pieces[last + 5] = offset;
      pieces[last + 6] = length;
      words[Word.pieceCount] = count + 1;
    }
    words[Word.outUsed] = offset + length;
    this.#outbound[index]! += length;
    this.#figures[Figure.totalOutbound]! += length;
  }

  sendFile(handle: Handle, fd: number, offset: number, length: number): void {
    this.#native.sendFile(this.#loop, handle, fd, offset, length);
  }

  outboundSize(handle: Handle): number {
    const index = handle & HANDLE_INDEX_MASK;
    return this.#handles[index] === handle ? this.#outbound[index]! : 0;
  }

  totalOutbound(): number {
    return this.#figures[Figure.totalOutbound]!;
  }

  awaitWritable(handle: Handle): void {
    this.#native.awaitWritable(this.#loop, handle);
  }

  setLowWaterMark(handle: Handle, bytes: number): void {
    this.#native.setLowWaterMark(this.#loop, handle, lowWater(bytes));
  }

  // Input --------------------------------------------------------------------------------------------------------

  pause(handle: Handle): void {
    const index = handle & HANDLE_INDEX_MASK;
    if (this.#handles[index] === handle) this.#flags[index]! |= Flag.paused;
  }

  resume(handle: Handle): void {
    const index = handle & HANDLE_INDEX_MASK;
    if (this.#handles[index] !== handle) return;
    if ((this.#flags[index]! & Flag.needsResume) !== 0) this.#native.resume(this.#loop, handle);
    else this.#flags[index]! &= ~Flag.paused;
  }

  // Ends ---------------------------------------------------------------------------------------------------------

  holdOpen(handle: Handle): void {
    this.#native.holdOpen(this.#loop, handle);
  }

  shutdown(handle: Handle): void {
    this.#native.shutdown(this.#loop, handle);
  }

  finish(handle: Handle): void {
    this.#native.finish(this.#loop, handle);
  }

  close(handle: Handle): void {
    this.#native.closeHandle(this.#loop, handle);
  }

  abort(handle: Handle): void {
    this.#native.abort(this.#loop, handle);
  }

  detach(handle: Handle): void {
    this.#native.detach(this.#loop, handle);
  }

  takeDetached(handle: Handle): { fd: number; unread: Buffer } {
    const taken = this.#native.takeDetached(this.#loop, handle);
    if (taken === undefined) throw new StateError("ERR_EM_NOT_DETACHED", "this handle has no descriptor to take");
    return { fd: taken[0], unread: taken[1] };
  }

  // TLS ----------------------------------------------------------------------------------------------------------

  createTlsContext(settings: TlsContextSettings): TlsContextId {
    return this.#tls.createContext(this.#loop, settings);
  }

  setTicketKeys(context: TlsContextId, keys: readonly Buffer[]): void {
    this.#native.setTicketKeys(this.#loop, context, Buffer.concat(keys));
  }

  setStaple(context: TlsContextId, response: Buffer | undefined): void {
    this.#native.setStaple(this.#loop, context, response ?? Buffer.alloc(0));
  }

  releaseTlsContext(context: TlsContextId): void {
    this.#native.releaseTlsContext(this.#loop, context);
  }

  undelivered(handle: Handle): number {
    return this.#native.undelivered(this.#loop, handle);
  }

  startTls(handle: Handle, start: TlsStart): void {
    this.#tls.start(this.#loop, handle, start);
  }

  answerServerName(handle: Handle, answer: TlsContextId | "same" | "refuse"): void {
    this.#tls.answerServerName(this.#loop, handle, answer);
  }

  answerVerify(handle: Handle, accepted: boolean): void {
    this.#native.answerVerify(this.#loop, handle, accepted);
  }

  tlsState(handle: Handle): TlsState | undefined {
    return this.#tls.state(this.#loop, handle);
  }

  tlsFailure(handle: Handle): TlsFailure {
    return this.#tls.failure(this.#loop, handle);
  }

  tlsTruncated(handle: Handle): boolean | undefined {
    return this.#native.tlsTruncated(this.#loop, handle);
  }

  // Options and questions ----------------------------------------------------------------------------------------

  setOptions(handle: Handle, options: SocketOptions & { keepAliveOff?: boolean }): void {
    const triples = optionTriples(options, this.#native.constants);
    checkResult(this.#native.setOptions(this.#loop, handle, triples), "setsockopt");
  }

  getSocketOption(handle: Handle, level: number, name: number, size: number): Buffer {
    return readOption(this.#native, this.#loop, handle, level, name, size);
  }

  setSocketOption(handle: Handle, level: number, name: number, value: Uint8Array): void {
    checkResult(this.#native.setOption(this.#loop, handle, level, name, value), "setsockopt");
  }

  socketError(handle: Handle): number {
    return readError(this.#native, this.#loop, handle);
  }

  localAddress(handle: Handle): SocketAddress | undefined {
    return this.#address(handle, false);
  }

  remoteAddress(handle: Handle): SocketAddress | undefined {
    return this.#address(handle, true);
  }

  #address(handle: Handle, peer: boolean): SocketAddress | undefined {
    const text = this.#native.address(this.#loop, handle, peer);
    if (text === undefined) return undefined;
    const family = this.#words[Word.addressFamily]!;
    if (family === 1) return { family: "unix", path: text };
    return { family: family === 4 ? "IPv4" : "IPv6", host: text, port: this.#words[Word.addressPort]! };
  }

  peerCredentials(handle: Handle): { pid: number; uid: number; gid: number } {
    return readCredentials(this.#native, this.#loop, handle);
  }

  lastRead(handle: Handle): number {
    return this.#stamp(handle, false);
  }

  lastWrite(handle: Handle): number {
    return this.#stamp(handle, true);
  }

  #stamp(handle: Handle, write: boolean): number {
    const stamp = this.#native.stamp(this.#loop, handle, write);
    return stamp === 0 ? 0 : stamp - this.#clockOffset;
  }
}

/**
 * What to add to `performance.now()` for the addon's clock. Reading one clock after the other makes this too large by the
 * time in between, never too small: deadlines come that much late, and never early.
 */
function measureOffset(native: Binding): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10; i++) {
    const before = performance.now();
    least = Math.min(least, native.monotonic() - before);
  }
  // Doubles this large carry rounding errors below a nanosecond.
  return least + 1e-6;
}
