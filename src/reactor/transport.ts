import type { AsyncResource } from "node:async_hooks";
import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { EventMachineError } from "../base/errors.js";
import { isThenable } from "../base/thenable.js";
import { Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import type { ConnectionCallbacks } from "./connection_callbacks.js";
import { scopeOf } from "./context_scope.js";
import { Deadlines } from "./deadlines.js";
import { connectionClose, connectionError, connectionOpen } from "./diagnostics.js";
import { Endpoint } from "./endpoint.js";
import { closeFile, FileSends, type OpenFile } from "./file_sends.js";
import type { StreamSettings } from "./options.js";
import type { Origin } from "./origin.js";
import * as reasons from "./reasons.js";
import { alreadyClaimed, notDetached, nothingToClaim, notOpened, writeEnded } from "./refusals.js";
import { type Settling, settling } from "./settling.js";
import type { Timer } from "./timer.js";
import { type TlsHooks, TlsLife } from "./tls_life.js";
import type { TlsPlan } from "./tls_start.js";
import type { TransportHome } from "./transport_home.js";

export const State = { connecting: 0, open: 1, closing: 2, closed: 3 } as const;
export type State = (typeof State)[keyof typeof State];

/** What a transport waits to do until it is connected, in order. */
type Queued = Uint8Array | (() => void);

/** What few connections need, so that the others do not pay for it. */
interface Extras {
  deadlines?: Deadlines;
  linger?: Timer;
  files?: FileSends;
  queue?: Queued[];
  queuedBytes?: number;
  opened?: Settling<void>;
  closed?: Settling<CloseReason>;
  detaching?: Settling<{ fd: number; unread: Buffer }>;
  tls?: TlsLife;
  local?: SocketAddress | undefined;
  remote?: SocketAddress | undefined;
  /** The connection itself, where another has claimed its callbacks. */
  owner?: ConnectionCallbacks;
}

const PAUSED = 1;
const BORROWS = 2;
const AWAITS_DRAIN = 4;
const WRITE_ENDED = 8;
const PEER_ENDED = 16;
const FINISHING = 32;
const LIVE_ADDRESS = 64;
const MARKS_CHANGED = 128;
const HELD_OPEN = 256;

/** `#peerPort` of a peer that is not IPv4: the engine knows its address. */
const ASK_ENGINE = -1;
/** `#peerPort` while there is no peer yet. */
const NO_PEER = -2;

/**
 * One life of a connection: the state machine between a user's object and an engine's handle. A connection that
 * reconnects gets a new transport, and with it fresh reason, counters, promises and deadlines.
 */
export class Transport extends Endpoint {
  readonly core: TransportHome;
  readonly origin: Origin;
  #connection: ConnectionCallbacks;
  readonly #context: AsyncResource | undefined;
  handle: Handle = NO_HANDLE;
  settings: StreamSettings;
  state: State = State.connecting;
  bytesIn = 0;
  reason: CloseReason | undefined;
  #flags: number;
  #written = 0;
  #peerIpv4 = 0;
  #peerPort = NO_PEER;
  #extras: Extras | undefined;

  constructor(
    core: TransportHome,
    origin: Origin,
    connection: ConnectionCallbacks,
    settings: StreamSettings,
    context: AsyncResource | undefined,
    borrows: boolean,
    paused: boolean,
  ) {
    super();
    this.core = core;
    this.origin = origin;
    this.#connection = connection;
    this.settings = settings;
    this.#context = context;
    this.#flags = (borrows ? BORROWS : 0) | (paused ? PAUSED : 0);
    core.connectionCount++;
  }

  // Opening ------------------------------------------------------------------------------------------------------

  /** An accepted connection is open from its first moment. */
  accepted(handle: Handle, ipv4: number, port: number): void {
    this.#peerIpv4 = ipv4;
    this.#peerPort = port;
    if (port === ASK_ENGINE || this.origin.sharedLocalAddress === undefined) this.#flags |= LIVE_ADDRESS;
    this.#open(handle);
    this.call(this.#connection.postInit);
  }

  /** A connect went through. */
  connected(handle: Handle): void {
    this.core.dialing.delete(this);
    this.#peerPort = ASK_ENGINE;
    this.#flags |= LIVE_ADDRESS;
    this.#open(handle);
    this.#extras?.opened?.resolve();
    this.call(this.#connection.connectionCompleted);
  }

  #open(handle: Handle): void {
    this.handle = handle;
    this.state = State.open;
    if (this.#flags & PAUSED) this.core.engine.pause(handle);
    if (this.#flags & HELD_OPEN) this.core.engine.holdOpen(handle);
    if (Deadlines.wanted(this.settings)) this.#deadlines().start();
    if (this.#flags & MARKS_CHANGED) this.core.engine.setLowWaterMark(handle, this.settings.lowWaterMark);
    if (connectionOpen.hasSubscribers) connectionOpen.publish(this.#message());
    const queue = this.#extras?.queue;
    if (queue !== undefined) this.#sendQueued(queue);
  }

  /** What is published of this connection. */
  #message(): { reactor: object; connection: object } {
    return { reactor: this.core.host.reactor, connection: this.#extras?.owner ?? this.#connection };
  }

  #sendQueued(queue: Queued[]): void {
    const { engine } = this.core;
    const extras = this.#more();
    delete extras.queue;
    extras.queuedBytes = 0;
    extras.deadlines?.outputBegins();
    for (const entry of queue) {
      if (typeof entry === "function") entry();
      else engine.write(this.handle, entry);
    }
    if (this.#flags & AWAITS_DRAIN) engine.awaitWritable(this.handle);
  }

  /** The connect came to nothing. */
  failed(reason: CloseReason): void {
    this.#ended(this.reason ?? reason);
  }

  // Output -------------------------------------------------------------------------------------------------------

  /** Unsent bytes, file bytes apart. */
  outboundSize(): number {
    if (this.handle !== NO_HANDLE) return this.core.engine.outboundSize(this.handle);
    return this.#extras?.queuedBytes ?? 0;
  }

  /** Bytes handed to the kernel, file bytes included when a file is through. */
  bytesOut(): number {
    return this.#written - this.outboundSize();
  }

  sendBytes(data: Uint8Array): boolean {
    if (this.state !== State.open) return this.#sendUnopened(data);
    const { engine } = this.core;
    const { handle } = this;
    if (!this.#mayWrite(engine.outboundSize(handle))) return false;
    engine.write(handle, data);
    this.#written += data.length;
    return this.#belowHighWater(engine.outboundSize(handle));
  }

  sendString(text: string, encoding: BufferEncoding): boolean {
    if (this.state !== State.open) return this.#sendUnopened(Buffer.from(text, encoding));
    const { engine } = this.core;
    const { handle } = this;
    if (!this.#mayWrite(engine.outboundSize(handle))) return false;
    this.#written += engine.writeString(handle, text, encoding);
    return this.#belowHighWater(engine.outboundSize(handle));
  }

  #mayWrite(unsent: number): boolean {
    if (this.#flags & WRITE_ENDED) throw writeEnded();
    if (unsent === 0) {
      if (this.#extras !== undefined) this.#outputBegins();
      return true;
    }
    if (unsent > this.settings.outboundLimit) {
      this.end(reasons.outboundLimitPassed(unsent, this.settings.outboundLimit, "connection"));
      return false;
    }
    return true;
  }

  /** Output comes behind none: that of a file under way has begun before. */
  #outputBegins(): void {
    if (!this.isSendingFile) this.#extras?.deadlines?.outputBegins();
  }

  #belowHighWater(unsent: number): boolean {
    const { core } = this;
    if (unsent >= this.settings.highWaterMark) {
      if (core.engine.totalOutbound() > core.outboundLimit) relieve(core);
      if (this.state === State.open && (this.#flags & AWAITS_DRAIN) === 0) {
        this.#flags |= AWAITS_DRAIN;
        core.engine.awaitWritable(this.handle);
      }
      return false;
    }
    if (unsent > 0 && core.engine.totalOutbound() > core.outboundLimit) relieve(core);
    return true;
  }

  #sendUnopened(data: Uint8Array): boolean {
    if (this.state !== State.connecting || this.#flags & FINISHING) return false;
    if (this.#flags & WRITE_ENDED) throw writeEnded();
    const extras = this.#more();
    const unsent = extras.queuedBytes ?? 0;
    if (unsent > this.settings.outboundLimit) {
      this.end(reasons.outboundLimitPassed(unsent, this.settings.outboundLimit, "connection"));
      return false;
    }
    this.#queue(Buffer.from(data));
    extras.queuedBytes = unsent + data.length;
    this.#written += data.length;
    if (extras.queuedBytes < this.settings.highWaterMark) return true;
    this.#flags |= AWAITS_DRAIN;
    return false;
  }

  #queue(entry: Queued): void {
    const extras = this.#more();
    extras.queue ??= [];
    extras.queue.push(entry);
  }

  /** Sends an open file, after `head` and before `tail` where those are given. */
  sendFile(file: OpenFile, head: string, tail: string): Promise<number> {
    if (head !== "") this.sendString(head, "latin1");
    const sent = this.#sendRange(file);
    if (tail !== "") this.sendString(tail, "latin1");
    return sent;
  }

  #sendRange(file: OpenFile): Promise<number> {
    if (file.size === 0) {
      closeFile(file.fd);
      return Promise.resolve(0);
    }
    const extras = this.#more();
    extras.files ??= new FileSends();
    if (this.outboundSize() === 0) this.#outputBegins();
    const sent = extras.files.add(file);
    this.#whenOpen(() => this.core.engine.sendFile(this.handle, file.fd, 0, file.size));
    return sent;
  }

  get isSendingFile(): boolean {
    return (this.#extras?.files?.size ?? 0) > 0;
  }

  /** Has `drained` called when all that was sent is with the kernel: for the owner of an output that has ended. */
  awaitFlushed(): void {
    this.adjust({ lowWaterMark: 0 });
    if (this.#flags & AWAITS_DRAIN) return;
    this.#flags |= AWAITS_DRAIN;
    if (this.state === State.open) this.core.engine.awaitWritable(this.handle);
  }

  #whenOpen(action: () => void): void {
    if (this.state === State.open) action();
    else if (this.state === State.connecting) this.#queue(action);
  }

  // TLS ----------------------------------------------------------------------------------------------------------

  get tls(): TlsLife | undefined {
    return this.#extras?.tls;
  }

  /** Begins TLS behind what was sent before, when the connection is open. */
  startTls(plan: TlsPlan, hooks: TlsHooks): void {
    const tls = new TlsLife(this, plan, hooks);
    this.#more().tls = tls;
    this.#whenOpen(() => tls.begin());
  }

  override onTlsServerName(name: string): void {
    this.#extras?.tls?.onServerName(name);
  }

  override onTlsVerify(): void {
    this.#extras?.tls?.onVerify();
  }

  override onSecured(): void {
    this.#extras?.tls?.onSecured();
  }

  override onTlsSession(session: Buffer): void {
    this.#extras?.tls?.onSession(session);
  }

  override onTlsKeyLog(line: string): void {
    this.#extras?.tls?.onKeyLog(line);
  }

  // Input --------------------------------------------------------------------------------------------------------

  get isPaused(): boolean {
    return (this.#flags & PAUSED) !== 0;
  }

  pause(): void {
    if (this.isPaused || this.state > State.open) return;
    this.#flags |= PAUSED;
    if (this.state === State.open) {
      this.core.engine.pause(this.handle);
      this.#extras?.deadlines?.paused();
    }
  }

  resume(): void {
    if (!this.isPaused || this.state > State.open) return;
    this.#flags &= ~PAUSED;
    if (this.state === State.open) {
      this.core.engine.resume(this.handle);
      this.#extras?.deadlines?.resumed();
    }
  }

  // Ending -------------------------------------------------------------------------------------------------------

  get isOpen(): boolean {
    return this.state === State.open;
  }

  get isClosed(): boolean {
    return this.state === State.closed;
  }

  get isWriteEnded(): boolean {
    return (this.#flags & WRITE_ENDED) !== 0;
  }

  get isPeerEnded(): boolean {
    return (this.#flags & PEER_ENDED) !== 0;
  }

  halfClose(): void {
    if (this.state > State.open || this.#flags & (WRITE_ENDED | FINISHING)) return;
    this.#flags |= WRITE_ENDED;
    this.#whenOpen(() => this.core.engine.shutdown(this.handle));
  }

  /** Sends everything, then closes: `closeConnectionAfterWriting`. */
  finish(): void {
    if (this.state > State.open || this.#flags & FINISHING) return;
    this.#flags |= FINISHING;
    if (this.state === State.connecting) this.#queue(() => this.#finishNow());
    else this.#finishNow();
  }

  #finishNow(): void {
    this.state = State.closing;
    this.core.engine.finish(this.handle);
    const { lingerTimeout } = this.settings;
    if (lingerTimeout > 0) this.#more().linger = this.core.addTimer(lingerTimeout, () => this.#lingered());
  }

  /** The linger deadline counts from the last progress, so that a slow reader of much output is not cut off. */
  #lingered(): void {
    const { core, settings } = this;
    const extras = this.#more();
    delete extras.linger;
    const waited = core.now() - core.engine.lastWrite(this.handle);
    if (waited < settings.lingerTimeout && this.outboundSize() + (this.isSendingFile ? 1 : 0) > 0) {
      extras.linger = core.addTimer(settings.lingerTimeout - waited, () => this.#lingered());
    } else {
      this.reason = reasons.LINGER_EXPIRED;
      core.engine.close(this.handle);
    }
  }

  /** Ends the connection now for this reason; the first reason given stands. `unbind` follows in a later turn. */
  end(reason: CloseReason, how: "close" | "abort" = "close"): void {
    if (this.state === State.closed || this.reason !== undefined) return;
    this.reason = reason;
    const wasConnecting = this.state === State.connecting;
    this.state = State.closing;
    if (wasConnecting) {
      this.origin.cancel();
      this.core.nextTick(() => {
        this.#ended(reason);
        this.core.checkIdle();
      });
    } else if (how === "abort") this.core.engine.abort(this.handle);
    else this.core.engine.close(this.handle);
  }

  /** The reason for a connection that its owner closes before it is open. */
  calledOff(): CloseReason {
    return this.origin.calledOff();
  }

  detach(): Promise<{ fd: number; unread: Buffer }> {
    const extras = this.#more();
    if (extras.detaching === undefined) {
      this.core.engine.detach(this.handle);
      extras.detaching = settling();
      this.state = State.closing;
    }
    return extras.detaching.promise;
  }

  opened(): Promise<void> {
    const extras = this.#more();
    if (extras.opened === undefined) {
      extras.opened = settling();
      if (this.state === State.open || (this.state === State.closing && this.handle !== NO_HANDLE)) {
        extras.opened.resolve();
      } else if (this.state === State.closed) {
        if (this.#peerPort === NO_PEER) extras.opened.reject(notOpened(this.reason));
        else extras.opened.resolve();
      }
    }
    return extras.opened.promise;
  }

  closed(): Promise<CloseReason> {
    const extras = this.#more();
    if (extras.closed === undefined) {
      extras.closed = settling();
      if (this.state === State.closed) extras.closed.resolve(this.reason as CloseReason);
    }
    return extras.closed.promise;
  }

  // Events -------------------------------------------------------------------------------------------------------

  override onData(chunk: Buffer, start: number, end: number): void {
    this.bytesIn += end - start;
    if (this.state !== State.open) return;
    const { lending } = this.core.engine;
    const data =
      lending === undefined ? chunk : this.#flags & BORROWS ? lending.view(start, end) : lending.copy(start, end);
    const connection = this.#connection;
    try {
      const result =
        this.#context === undefined
          ? connection.receiveData(data)
          : scopeOf(this.#context).runInAsyncScope(connection.receiveData, connection, data);
      if (result !== undefined) this.#watch(result);
    } catch (error) {
      this.handlerFailed(error);
    }
  }

  override onEnd(): void {
    this.#flags |= PEER_ENDED;
    if (this.state === State.open) this.call(this.#connection.receiveEnd);
  }

  override onWritable(): void {
    if ((this.#flags & AWAITS_DRAIN) === 0) return;
    this.#flags &= ~AWAITS_DRAIN;
    if (this.state === State.open) this.call(this.#connection.drained);
  }

  override onFileSent(): void {
    this.#extras?.files?.finishOne();
  }

  override onClosed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    const { engine } = this.core;
    const unsent = engine.outboundSize(this.handle);
    const extras = this.#extras;
    if (ended === Ended.detached) {
      this.reason = reasons.DETACHED;
      extras?.detaching?.resolve(engine.takeDetached(this.handle));
    }
    this.#written -= unsent;
    if (this.#flags & LIVE_ADDRESS) this.#keepAddresses();
    this.handle = NO_HANDLE;
    this.#ended(this.reason ?? this.#reasonFor(ended, errno, syscall));
  }

  #reasonFor(ended: Ended, errno: number, syscall: string): CloseReason {
    switch (ended) {
      case Ended.peer:
        return this.#orderlyEnd();
      case Ended.tls:
        return this.#extras?.tls?.failure() ?? reasons.PEER_CLOSED;
      case Ended.error:
        return reasons.systemFailure(errno, syscall);
      case Ended.fileTruncated:
        return reasons.fileTruncated();
      default:
        return this.#orderlyEnd();
    }
  }

  /** Both halves ended in order: whoever began has no other name than a close by the peer, unless we closed. */
  #orderlyEnd(): CloseReason {
    if (this.#flags & FINISHING) return reasons.LOCAL_CLOSE;
    return this.#extras?.tls?.peerClosed() ?? reasons.PEER_CLOSED;
  }

  #ended(reason: CloseReason): void {
    const { core } = this;
    const extras = this.#extras;
    this.state = State.closed;
    this.reason = reason;
    this.#flags &= ~(AWAITS_DRAIN | PAUSED);
    if (this.#peerPort === NO_PEER) core.dialing.delete(this);
    if (extras !== undefined) {
      extras.deadlines?.stop();
      extras.linger?.cancel();
      extras.queue = [];
      extras.queuedBytes = 0;
      extras.files?.fail(
        new EventMachineError("ERR_EM_CLOSED", `the connection closed (${reason.kind}) before the file was sent`),
      );
      if (this.#peerPort === NO_PEER) extras.opened?.reject(notOpened(reason));
      if (reason.kind !== "detached") extras.detaching?.reject(notDetached(reason));
      extras.tls?.ended(reason);
    }
    this.origin.ended();
    core.connectionEnded(reason.kind);
    if (connectionClose.hasSubscribers) connectionClose.publish({ ...this.#message(), reason });
    this.call(this.#connection.unbind, reason);
    this.#extras?.tls?.forget();
    this.#extras?.closed?.resolve(reason);
  }

  /** Whom events are told: the connection, or who has claimed it. */
  get callbacks(): ConnectionCallbacks {
    return this.#connection;
  }

  // Calling the user ---------------------------------------------------------------------------------------------

  /**
   * From now on `claimant` is called in the connection's place: a stream, an iterator. It gets data that is its own,
   * decides itself what the peer's FIN means, and passes on what is the connection's business. Once in a life.
   */
  claim(claimant: ConnectionCallbacks): void {
    if (this.state > State.open) throw nothingToClaim();
    const extras = this.#more();
    if (extras.owner !== undefined) throw alreadyClaimed();
    extras.owner = this.#connection;
    this.#connection = claimant;
    this.#flags = (this.#flags & ~BORROWS) | HELD_OPEN;
    if (this.state === State.open) this.core.engine.holdOpen(this.handle);
  }

  call<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): void {
    try {
      const result =
        this.#context === undefined
          ? callback.apply(this.#connection, args)
          : scopeOf(this.#context).runInAsyncScope(callback, this.#connection, ...args);
      if (result !== undefined) this.#watch(result);
    } catch (error) {
      this.handlerFailed(error);
    }
  }

  /** Calls the user for an answer, at once or later; `failed` is called where there is none, when the error is reported. */
  ask<A extends unknown[], R>(
    question: (...args: A) => R | PromiseLike<R>,
    receiver: unknown,
    args: A,
    answered: (answer: R) => void,
    failed: () => void,
  ): void {
    const fail = (error: unknown): void => {
      this.handlerFailed(error);
      failed();
    };
    try {
      const result =
        this.#context === undefined
          ? question.apply(receiver, args)
          : scopeOf(this.#context).runInAsyncScope(question, receiver, ...args);
      if (isThenable(result)) Promise.resolve(result).then(answered, fail);
      else answered(result);
    } catch (error) {
      fail(error);
    }
  }

  requestShutdown(): void {
    if (this.state <= State.open) this.call(this.#connection.shutdownRequested);
  }

  #watch(result: unknown): void {
    if (isThenable(result)) {
      Promise.resolve(result).then(undefined, (error: unknown) => this.handlerFailed(error));
    }
  }

  /** A callback threw: the connection's `onError` may take it; otherwise the connection ends and the reactor is told. */
  handlerFailed(thrown: unknown): void {
    let error = thrown;
    try {
      if (this.#connection.onError(error) === true) return;
    } catch (second) {
      error = second;
    }
    if (connectionError.hasSubscribers) connectionError.publish({ ...this.#message(), error });
    this.end({ kind: "handler-error", error });
    this.core.host.reportError(error, this.#extras?.owner ?? this.#connection);
  }

  // Addresses ----------------------------------------------------------------------------------------------------

  remoteAddress(): SocketAddress | undefined {
    if (this.#peerPort >= 0) {
      const ip = this.#peerIpv4;
      const host = `${(ip >>> 24) & 255}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
      return { family: "IPv4", host, port: this.#peerPort };
    }
    if (this.handle === NO_HANDLE) return this.#extras?.remote;
    return this.core.engine.remoteAddress(this.handle);
  }

  localAddress(): SocketAddress | undefined {
    const shared = this.origin.sharedLocalAddress;
    if (shared !== undefined && this.#peerPort !== NO_PEER) return shared;
    if (this.handle === NO_HANDLE) return this.#extras?.local;
    return this.core.engine.localAddress(this.handle);
  }

  /** The kernel forgets the addresses with the descriptor; they stay readable on the connection. */
  #keepAddresses(): void {
    const extras = this.#more();
    extras.local = this.localAddress();
    extras.remote = this.remoteAddress();
  }

  // Deadlines ----------------------------------------------------------------------------------------------------

  /** Other settings for this connection alone; deadlines start to count anew from the change. */
  adjust(changes: Partial<StreamSettings>): void {
    this.settings = { ...this.settings, ...changes };
    if (this.state === State.connecting) this.#flags |= MARKS_CHANGED;
    if (this.state !== State.open) return;
    if (changes.lowWaterMark !== undefined) this.core.engine.setLowWaterMark(this.handle, changes.lowWaterMark);
    if (Deadlines.wanted(this.settings) || this.#extras?.deadlines !== undefined) this.#deadlines().changed();
  }

  idleTime(): number {
    if (this.handle === NO_HANDLE) return 0;
    const { engine } = this.core;
    return Math.max(0, engine.now() - Math.max(engine.lastRead(this.handle), engine.lastWrite(this.handle)));
  }

  #deadlines(): Deadlines {
    const extras = this.#more();
    extras.deadlines ??= new Deadlines(this);
    return extras.deadlines;
  }

  #more(): Extras {
    this.#extras ??= {};
    return this.#extras;
  }
}

/** The reactor as a whole holds too much unsent output: the largest queues go, until it does not. */
function relieve(core: TransportHome): void {
  const holders = core
    .endpoints()
    .filter((endpoint): endpoint is Transport => endpoint instanceof Transport && endpoint.state === State.open)
    .sort((a, b) => b.outboundSize() - a.outboundSize());
  let excess = core.engine.totalOutbound() - core.outboundLimit;
  for (const transport of holders) {
    if (excess <= 0) return;
    excess -= transport.outboundSize();
    transport.end(reasons.outboundLimitPassed(core.engine.totalOutbound(), core.outboundLimit, "reactor"));
  }
}
