import type { AsyncResource } from "node:async_hooks";
import { ipv4Address, type SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { ConnectError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import { State, type StreamPort } from "../core/stream_port.js";
import type { OwnTick } from "../core/tick_queue.js";
import type { TransportHome } from "../core/transport_home.js";
import type { SocketOptions } from "../engine/socket_options.js";
import { type Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import { connectionOpen } from "../observe/channels.js";
import { isTracing, trace } from "../observe/trace.js";
import type { StreamSettings } from "../options/options.js";
import type { Timer, TimerCallback } from "../timers/timer.js";
import type { TlsPlan } from "../tls/tls_start.js";
import { scopeOf } from "./context_scope.js";
import { Deadlines } from "./deadlines.js";
import * as ends from "./ends.js";
import type { OpenFile } from "./file_sends.js";
import { type AnyLife, Life, type Relaying } from "./life.js";
import { type Detached, LifePromises } from "./life_promises.js";
import { LifeTimers } from "./life_timers.js";
import type { Origin } from "./origin.js";
import * as output from "./output.js";
import { deliverHeld, type PassingEvents, passInput } from "./passing.js";
import { checkTarget, type ProxyOptions, proxy, readProxyOptions } from "./proxying.js";
import * as reasons from "./reasons.js";
import { alreadyClaimed, inputDiscarded, nothingToClaim, relaying } from "./refusals.js";
import { plaintextLeft, type TlsHooks, TlsLife } from "./tls_life.js";
import type { TransportExtras } from "./transport_extras.js";
import {
  BORROWS,
  FED,
  HELD_OPEN,
  LIVE_ADDRESS,
  MARKS_CHANGED,
  PASSING,
  PAUSED,
  PEER_ENDED,
  RELAY_HELD,
  UNREAD,
  UNTAKEN,
  WRITE_ENDED,
} from "./transport_state.js";
import type { Via } from "./via.js";

/** `#peerPort` of a peer that is not IPv4: the engine knows its address. */
const ASK_ENGINE = -1;
/** `#peerPort` while there is no peer yet. */
const NO_PEER = -2;

/**
 * One life of a stream: the state machine between a user's object and an engine's handle. A connection that reconnects gets
 * a new transport, and with it fresh reason, counters, promises and deadlines.
 *
 * What it sends stands in output.ts and how it ends in ends.ts, as functions that are given a transport; what few connections
 * need is made when it is first asked for (transport_extras.ts). Nothing extends this class.
 */
export class Transport extends Life implements OwnTick, StreamPort {
  readonly origin: Origin;
  /** Bits of transport_state.ts. */
  flags: number;
  extras: TransportExtras | undefined;
  /** All that was sent in this life, files apart. */
  written = 0;
  #peerIpv4 = 0;
  #peerPort = NO_PEER;

  constructor(
    home: TransportHome,
    origin: Origin,
    connection: ConnectionCallbacks,
    settings: StreamSettings,
    context: AsyncResource | undefined,
    borrows: boolean,
    paused: boolean,
  ) {
    super(home, connection, context, settings);
    this.origin = origin;
    this.flags = (borrows ? BORROWS : 0) | (paused ? PAUSED | UNTAKEN : 0);
  }

  get isStream(): true {
    return true;
  }

  override get connection(): ConnectionCallbacks {
    return this.extras?.owner ?? this.receiver;
  }

  /** The extras, made if need be. */
  more(): TransportExtras {
    this.extras ??= {};
    return this.extras;
  }

  // Opening ------------------------------------------------------------------------------------------------------

  /** An accepted connection is open from its first moment. */
  accepted(handle: Handle, ipv4: number, port: number): void {
    this.#peerIpv4 = ipv4;
    this.#peerPort = port;
    if (port === ASK_ENGINE || this.origin.sharedLocalAddress === undefined) this.flags |= LIVE_ADDRESS;
    opened(this, handle);
    this.call(this.receiver.postInit);
  }

  /** The input that was read before it was made comes now, unless TLS has taken it; where it is paused, when it goes on. */
  deliverAhead(chunk: Buffer, start: number, end: number): void {
    if (this.extras?.ahead === undefined) return;
    this.extras.ahead = undefined;
    const isBlocked = this.isPaused || this.extras.passing?.isBlocked === true;
    if (this.state === State.open && !isBlocked) {
      // What an engine does not lend is delivered whole.
      if (this.home.engine.lending !== undefined) this.onData(chunk, start, end);
      else this.onData(chunk.subarray(start, end), 0, end - start);
    } else this.engine.holdBack(this.handle, chunk, start, end);
  }

  /** For TLS, which begins before anything was delivered: what was read already is its own. */
  takeAhead(): Buffer | undefined {
    const ahead = this.extras?.ahead;
    if (ahead === undefined) return undefined;
    this.more().ahead = undefined;
    return Buffer.from(ahead);
  }

  /** A connect has succeeded. */
  connected(handle: Handle): void {
    this.home.carries(this);
    this.#peerPort = ASK_ENGINE;
    this.flags |= LIVE_ADDRESS;
    opened(this, handle);
    // What waited for the opening may have ended it.
    if (this.reason !== undefined) return;
    this.extras?.promises?.onOpened();
    this.call(this.receiver.connectionCompleted);
  }

  /** There is no reactor for it any more: closed from the start, and nobody is called. */
  neverBegins(reason: CloseReason): void {
    this.core.connectionCount--;
    this.state = State.closed;
    this.reason = reason;
  }

  /** The connect has failed. */
  failed(reason: CloseReason): void {
    ends.ended(this, this.reason ?? reason);
  }

  /** Whether this life was ever open: a connect may fail. */
  get wasOpened(): boolean {
    return this.#peerPort !== NO_PEER;
  }

  // TLS ----------------------------------------------------------------------------------------------------------

  get tls(): TlsLife | undefined {
    return this.extras?.tls;
  }

  /** Begins TLS after what was sent before, when the connection is open. */
  startTls(plan: TlsPlan, hooks: TlsHooks): void {
    const tls = new TlsLife(this, plan, hooks);
    this.more().tls = tls;
    if (this.isClosed) tls.forget();
    else output.whenOpen(this, () => tls.begin());
  }

  override onTlsServerName(name: string): void {
    this.extras?.tls?.onServerName(name);
  }

  override onTlsVerify(): void {
    this.extras?.tls?.onVerify();
  }

  override onSecured(): void {
    this.extras?.tls?.onSecured();
  }

  override onTlsSession(session: Buffer): void {
    this.extras?.tls?.onSession(session);
  }

  override onTlsKeyLog(line: string): void {
    this.extras?.tls?.onKeyLog(line);
  }

  // Input --------------------------------------------------------------------------------------------------------

  override onData(chunk: Buffer, start: number, end: number): void {
    this.bytesIn += end - start;
    if (this.state !== State.open) return;
    const { lending } = this.home.engine;
    if (this.flags & PASSING) {
      start = passInput(this, lending, chunk, start, end);
      if (start === end || this.state > State.open) return;
      if (lending === undefined) chunk = chunk.subarray(start, end);
      if (this.isPaused) {
        this.more().held = lending === undefined ? chunk : lending.copy(start, end);
        return;
      }
    }
    const data =
      lending === undefined ? chunk : this.flags & BORROWS ? lending.view(start, end) : lending.copy(start, end);
    const connection = this.receiver;
    try {
      const result =
        this.context === undefined
          ? connection.receiveData(data)
          : scopeOf(this.context).runInAsyncScope(connection.receiveData, connection, data);
      if (result !== undefined) this.watch(result);
    } catch (error) {
      this.handlerFailed(error);
    }
  }

  override onEnd(): void {
    if (this.state !== State.open) return;
    this.flags |= PEER_ENDED;
    if ((this.flags & (RELAY_HELD | PASSING)) === RELAY_HELD && this.extras?.owner === undefined) {
      // The relay that held it open is over.
      this.more().verdict = reasons.PEER_CLOSED;
      ends.finish(this);
      return;
    }
    if (this.flags & PASSING) this.extras?.passing?.onSourceFinished();
    this.call(this.receiver.receiveEnd);
  }

  get isPaused(): boolean {
    return (this.flags & PAUSED) !== 0;
  }

  pause(): void {
    this.flags &= ~UNTAKEN;
    if (this.isPaused || this.state > State.open) return;
    this.flags |= PAUSED;
    if (this.state === State.open) {
      this.engine.pause(this.handle);
      this.extras?.deadlines?.paused();
    }
  }

  resume(): void {
    if (!this.isPaused || this.state > State.open) return;
    this.flags &= ~(PAUSED | UNTAKEN);
    if (this.state === State.open) {
      if (this.extras?.held !== undefined) this.core.ownTick({ onTick: () => deliverHeld(this) });
      else if (this.extras?.passing?.isBlocked !== true) this.engine.resume(this.handle);
      this.extras?.deadlines?.resumed();
    }
  }

  get bytesDiscarded(): number {
    return this.extras?.discarded ?? 0;
  }

  discarded(bytes: number): void {
    this.more().discarded = this.bytesDiscarded + bytes;
  }

  claim(claimant: ConnectionCallbacks): void {
    if (this.state > State.open) throw this.asEnd(nothingToClaim());
    if (this.extras?.owner !== undefined) throw alreadyClaimed();
    if (this.flags & (PASSING | FED)) throw relaying("its data cannot be taken over");
    if (this.bytesDiscarded > 0) throw inputDiscarded(this.bytesDiscarded);
    this.precede(claimant);
    this.flags &= ~BORROWS;
  }

  precede(claimant: ConnectionCallbacks): void {
    this.more().owner = this.receiver;
    this.receiver = claimant;
    this.flags |= BORROWS;
    this.holdOpen();
  }

  release(): void {
    const extras = this.more();
    this.receiver = extras.owner ?? this.receiver;
    extras.owner = undefined;
    this.flags &= ~BORROWS;
  }

  /** The peer's FIN is reported, and ends nothing. */
  holdOpen(): void {
    this.flags |= HELD_OPEN;
    if (this.state === State.open) this.engine.holdOpen(this.handle);
  }

  get relaying(): Relaying | undefined {
    return this.extras?.passing;
  }

  checkPass(target: AnyLife, options: ProxyOptions): void {
    readProxyOptions(options);
    checkTarget(this, target);
  }

  pass(target: AnyLife, options: ProxyOptions, events: PassingEvents): Relaying {
    return proxy(this, target, options, events);
  }

  override get isFed(): boolean {
    return (this.flags & FED) !== 0;
  }

  get isPeerEnded(): boolean {
    return (this.flags & PEER_ENDED) !== 0;
  }

  override received(): number {
    return this.bytesIn + (this.extras?.passing?.inEngine ?? 0);
  }

  override onRelayed(): void {
    this.extras?.passing?.onRelayed();
  }

  // Output: output.ts --------------------------------------------------------------------------------------------

  sendBytes(data: Uint8Array): boolean {
    return output.sendBytes(this, data);
  }

  sendString(text: string, encoding: BufferEncoding): boolean {
    return output.sendString(this, text, encoding);
  }

  sendFile(file: OpenFile, head: string, tail: string): Promise<number> {
    return output.sendFile(this, file, head, tail);
  }

  outboundSize(): number {
    return output.unsentBytes(this);
  }

  /** Bytes handed to the kernel, file bytes apart. */
  bytesOut(): number {
    return this.written + (this.extras?.fedBy?.inEngine ?? 0) - this.outboundSize();
  }

  get unsentAtEnd(): number {
    return this.extras?.unsent ?? 0;
  }

  get isSendingFile(): boolean {
    return (this.extras?.files?.size ?? 0) > 0;
  }

  /** Whoever reads at the other end reads no more: what is sent from here on goes nowhere. */
  readerLeft(): void {
    this.flags |= UNREAD;
  }

  awaitFlushed(): void {
    output.awaitFlushed(this);
  }

  flush(): void {
    this.engine.flush();
  }

  override onWritable(): void {
    if (this.flags & FED) this.extras?.fedBy?.onTargetWritable();
    output.reportDrained(this);
  }

  override onFileSent(): void {
    this.extras?.files?.finishOne();
  }

  // Ending: ends.ts ----------------------------------------------------------------------------------------------

  get isWriteEnded(): boolean {
    return (this.flags & WRITE_ENDED) !== 0;
  }

  halfClose(): void {
    ends.halfClose(this);
  }

  finish(): void {
    ends.finish(this);
  }

  override finishFor(reason: CloseReason): void {
    ends.finishFor(this, reason);
  }

  end(reason: CloseReason): void {
    ends.end(this, reason, "close");
  }

  /** As `closeConnection`: now, and a connect that is under way is called off. */
  close(): void {
    this.end(calledOff(this) ?? reasons.LOCAL_CLOSE);
  }

  abort(): void {
    ends.end(this, calledOff(this) ?? reasons.LOCAL_ABORT, "abort");
  }

  refusePlaintext(bytes: number): void {
    this.end(plaintextLeft(bytes));
  }

  expired(reason: CloseReason & { kind: "timeout" }): boolean {
    return ends.expired(this, reason);
  }

  detach(): Promise<Detached> {
    if (this.engine.capabilities.has("detach")) ends.leaveRelays(this);
    this.engine.detach(this.handle);
    this.state = State.closing;
    return promisesOf(this).detached;
  }

  onTick(): void {
    ends.endAtTick(this);
  }

  override onClosed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    ends.endOfHandle(this, ended, errno, syscall);
  }

  opened(): Promise<void> {
    return promisesOf(this).opened;
  }

  closed(): Promise<CloseReason> {
    return promisesOf(this).closed;
  }

  // Addresses ----------------------------------------------------------------------------------------------------

  remoteAddress(): SocketAddress | undefined {
    if (this.#peerPort >= 0) return ipv4Address(this.#peerIpv4, this.#peerPort);
    const shared = this.origin.sharedRemoteAddress;
    if (shared !== undefined && this.wasOpened) return shared;
    if (this.handle === NO_HANDLE) return this.extras?.remote;
    return this.engine.remoteAddress(this.handle);
  }

  get via(): Via | undefined {
    return this.origin.via;
  }

  localAddress(): SocketAddress | undefined {
    const shared = this.origin.sharedLocalAddress;
    if (shared !== undefined && this.wasOpened) return shared;
    if (this.handle === NO_HANDLE) return this.extras?.local;
    return this.engine.localAddress(this.handle);
  }

  // Settings and the socket --------------------------------------------------------------------------------------

  adjust(changes: Partial<StreamSettings>): void {
    this.settings = { ...this.settings, ...changes };
    if (this.state === State.connecting) this.flags |= MARKS_CHANGED;
    if (changes.lingerTimeout !== undefined && this.state === State.closing) this.extras?.linger?.begin();
    if (this.state !== State.open) return;
    if (changes.lowWaterMark !== undefined) this.engine.setLowWaterMark(this.handle, changes.lowWaterMark);
    if (Deadlines.wanted(this.settings) || this.extras?.deadlines !== undefined) deadlinesOf(this).changed(changes);
  }

  get allowsHalfOpen(): boolean {
    return this.settings.halfOpen;
  }

  get hasNoDelay(): boolean {
    return this.settings.socket.noDelay === true;
  }

  setOptions(options: SocketOptions & { keepAliveOff?: boolean }): void {
    this.engine.setOptions(this.handle, options);
  }

  /** Sets something of the socket: now, and what it throws is the caller's; or when it is open, and then it is a callback's. */
  set(action: () => void): void {
    if (this.state === State.open) {
      action();
      return;
    }
    output.whenOpen(this, () => {
      try {
        action();
      } catch (error) {
        this.handlerFailed(error);
      }
    });
  }

  socketError(): SystemError | undefined {
    if (this.handle !== NO_HANDLE) {
      const errno = this.engine.socketError(this.handle);
      return errno === 0 ? undefined : new SystemError(errno, "getsockopt");
    }
    const { reason } = this;
    const error = reason !== undefined && "error" in reason ? reason.error : undefined;
    if (error instanceof SystemError) return error;
    return error instanceof ConnectError ? error.errors.findLast((each) => each instanceof SystemError) : undefined;
  }

  // Time ---------------------------------------------------------------------------------------------------------

  addTimer(delay: number, callback: TimerCallback): Timer {
    const extras = this.more();
    extras.timers ??= new LifeTimers(this.core.timers);
    return extras.timers.add(this.core.now() + delay, () => void this.call(callback));
  }

  idleTime(): number {
    if (this.handle === NO_HANDLE) return 0;
    return Math.max(0, this.engine.now() - this.lastActivity());
  }

  lastActivity(): number {
    if (this.handle === NO_HANDLE) return 0;
    const { engine } = this.home;
    return Math.max(engine.lastRead(this.handle), engine.lastWrite(this.handle));
  }

  now(): number {
    return this.core.now();
  }

  turnTime(): number {
    return this.core.turnTime();
  }

  addOwnTimer(delay: number, callback: TimerCallback): Timer {
    return this.core.addTimer(delay, callback);
  }

  ownTick(tick: OwnTick): void {
    this.core.ownTick(tick);
  }
}

/** The engine has a handle for it from here on: what was set and asked for before takes effect. */
function opened(life: Transport, handle: Handle): void {
  const { engine } = life;
  life.handle = handle;
  life.state = State.open;
  if (life.flags & PAUSED) engine.pause(handle);
  if (life.flags & HELD_OPEN) engine.holdOpen(handle);
  if (Deadlines.wanted(life.settings)) deadlinesOf(life).start();
  if (life.flags & MARKS_CHANGED) engine.setLowWaterMark(handle, life.settings.lowWaterMark);
  if (connectionOpen.hasSubscribers) connectionOpen.publish(life.message());
  if (isTracing) trace("connection %d: open, %s", life.id, ends.tracedPath(life));
  const opening = life.extras?.opening;
  if (opening !== undefined) output.sendQueued(life, opening);
  if (life.flags & (PASSING | FED)) {
    life.extras?.passing?.onSourceOpen();
    life.extras?.fedBy?.onTargetOpen();
  }
}

/** The reason of a connection that the program ends before it has opened. */
function calledOff(life: Transport): CloseReason | undefined {
  return life.state === State.connecting ? life.origin.pending?.calledOff() : undefined;
}

function promisesOf(life: Transport): LifePromises {
  const extras = life.more();
  extras.promises ??= new LifePromises(life);
  return extras.promises;
}

function deadlinesOf(life: Transport): Deadlines {
  const extras = life.more();
  extras.deadlines ??= new Deadlines(life);
  return extras.deadlines;
}
