import type { AsyncResource } from "node:async_hooks";
import { formatAddress, ipv4Address, type SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { ConnectError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import { State, type StreamPort } from "../core/stream_port.js";
import type { OwnTick } from "../core/tick_queue.js";
import type { TransportHome } from "../core/transport_home.js";
import type { SocketOptions } from "../engine/socket_options.js";
import { Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import { connectionClose, connectionOpen } from "../observe/channels.js";
import { isTracing, trace } from "../observe/trace.js";
import type { StreamSettings } from "../options/options.js";
import type { Timer, TimerCallback } from "../timers/timer.js";
import type { TlsPlan } from "../tls/tls_start.js";
import { scopeOf } from "./context_scope.js";
import { Deadlines } from "./deadlines.js";
import type { Life } from "./life.js";
import { type Detached, LifePromises } from "./life_promises.js";
import { LifeTimers } from "./life_timers.js";
import { Linger } from "./linger.js";
import type { Origin } from "./origin.js";
import { Outbound } from "./outbound.js";
import * as reasons from "./reasons.js";
import { alreadyClaimed, inputDiscarded, nothingToClaim } from "./refusals.js";
import { plaintextLeft, type TlsHooks, TlsLife } from "./tls_life.js";
import type { TransportExtras } from "./transport_extras.js";
import {
  AWAITS_DRAIN,
  BORROWS,
  END_DUE,
  FINISHING,
  HELD_OPEN,
  LIVE_ADDRESS,
  MARKS_CHANGED,
  PAUSED,
  PEER_ENDED,
  UNREAD,
  WRITE_ENDED,
} from "./transport_state.js";
import { warnIfUnheard } from "./unheard.js";

/** `#peerPort` of a peer that is not IPv4: the engine knows its address. */
const ASK_ENGINE = -1;
/** `#peerPort` while there is no peer yet. */
const NO_PEER = -2;

/**
 * One life of a connection: the state machine between a user's object and an engine's handle. A connection that
 * reconnects gets a new transport, and with it fresh reason, counters, promises and deadlines.
 */
export class Transport extends Outbound implements Life, OwnTick, StreamPort {
  /** The connection's number: the same in all its lives. */
  id = 0;
  readonly origin: Origin;
  handle: Handle = NO_HANDLE;
  settings: StreamSettings;
  state: State = State.connecting;
  bytesIn = 0;
  reason: CloseReason | undefined;
  protected flags: number;
  protected extras: TransportExtras | undefined;
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
    super(home, connection, context);
    this.origin = origin;
    this.settings = settings;
    this.flags = (borrows ? BORROWS : 0) | (paused ? PAUSED : 0);
    home.core.connectionCount++;
  }

  get isStream(): true {
    return true;
  }

  get connection(): ConnectionCallbacks {
    return this.extras?.owner ?? this.receiver;
  }

  protected more(): TransportExtras {
    this.extras ??= {};
    return this.extras;
  }

  // Opening ------------------------------------------------------------------------------------------------------

  /** An accepted connection is open from its first moment. */
  accepted(handle: Handle, ipv4: number, port: number): void {
    this.#peerIpv4 = ipv4;
    this.#peerPort = port;
    if (port === ASK_ENGINE || this.origin.sharedLocalAddress === undefined) this.flags |= LIVE_ADDRESS;
    this.#open(handle);
    this.call(this.receiver.postInit);
  }

  /** A connect went through. */
  connected(handle: Handle): void {
    this.home.carries(this);
    this.#peerPort = ASK_ENGINE;
    this.flags |= LIVE_ADDRESS;
    this.#open(handle);
    // What waited for the opening may have ended it.
    if (this.reason !== undefined) return;
    this.extras?.promises?.onOpened();
    this.call(this.receiver.connectionCompleted);
  }

  #open(handle: Handle): void {
    this.handle = handle;
    this.state = State.open;
    if (this.flags & PAUSED) this.engine.pause(handle);
    if (this.flags & HELD_OPEN) this.engine.holdOpen(handle);
    if (Deadlines.wanted(this.settings)) this.#deadlines().start();
    if (this.flags & MARKS_CHANGED) this.engine.setLowWaterMark(handle, this.settings.lowWaterMark);
    if (connectionOpen.hasSubscribers) connectionOpen.publish(this.message());
    if (isTracing) trace("connection %d: open, %s", this.id, this.#traced());
    const opening = this.extras?.opening;
    if (opening !== undefined) this.sendQueued(opening);
  }

  /** There is no reactor for it any more: closed from the start, and nobody is called. */
  neverBegins(reason: CloseReason): void {
    this.core.connectionCount--;
    this.state = State.closed;
    this.reason = reason;
  }

  /** The connect came to nothing. */
  failed(reason: CloseReason): void {
    this.#ended(this.reason ?? reason);
  }

  // TLS ----------------------------------------------------------------------------------------------------------

  get tls(): TlsLife | undefined {
    return this.extras?.tls;
  }

  /** Begins TLS behind what was sent before, when the connection is open. */
  startTls(plan: TlsPlan, hooks: TlsHooks): void {
    const tls = new TlsLife(this, plan, hooks);
    this.more().tls = tls;
    if (this.isClosed) tls.forget();
    else this.whenOpen(() => tls.begin());
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

  get isPaused(): boolean {
    return (this.flags & PAUSED) !== 0;
  }

  pause(): void {
    if (this.isPaused || this.state > State.open) return;
    this.flags |= PAUSED;
    if (this.state === State.open) {
      this.engine.pause(this.handle);
      this.extras?.deadlines?.paused();
    }
  }

  resume(): void {
    if (!this.isPaused || this.state > State.open) return;
    this.flags &= ~PAUSED;
    if (this.state === State.open) {
      this.engine.resume(this.handle);
      this.extras?.deadlines?.resumed();
    }
  }

  // Ending -------------------------------------------------------------------------------------------------------

  get isOpen(): boolean {
    return this.state === State.open;
  }

  /** Whether this life was ever open: a connect may come to nothing. */
  get wasOpened(): boolean {
    return this.#peerPort !== NO_PEER;
  }

  get isClosed(): boolean {
    return this.state === State.closed;
  }

  get isEnding(): boolean {
    return this.state >= State.closing;
  }

  get isWriteEnded(): boolean {
    return (this.flags & WRITE_ENDED) !== 0;
  }

  halfClose(): void {
    if (this.state > State.open || this.flags & (WRITE_ENDED | FINISHING)) return;
    this.flags |= WRITE_ENDED;
    this.whenOpen(() => this.engine.shutdown(this.handle));
  }

  /** Sends everything, then closes: `closeConnectionAfterWriting`. */
  finish(): void {
    if (this.state > State.open || this.flags & FINISHING) return;
    if (this.#hasNothingToWaitFor) {
      this.end(reasons.LOCAL_CLOSE);
      return;
    }
    this.flags |= FINISHING;
    this.whenOpen(() => this.#finishNow());
  }

  /** The peer has ended its side, and nothing is left to be sent. */
  get #hasNothingToWaitFor(): boolean {
    if (this.state !== State.open || (this.flags & PEER_ENDED) === 0 || !this.engine.closesInOrder) return false;
    return this.outboundSize() === 0 && !this.isSendingFile;
  }

  #finishNow(): void {
    this.state = State.closing;
    this.engine.finish(this.handle);
    this.more().linger = new Linger(this);
  }

  /**
   * Ends the connection now for this reason; the first reason given stands. `unbind` takes its place among the ticks: it
   * comes before those that are asked for from here on, whatever the engine has delivered by then.
   */
  end(reason: CloseReason, how: "close" | "abort" = "close"): void {
    if (this.state === State.closed || this.reason !== undefined) return;
    this.reason = this.extras?.verdict ?? reason;
    const wasConnecting = this.state === State.connecting;
    this.state = State.closing;
    if (this.home.process === undefined) {
      this.flags |= END_DUE;
      this.core.ownTick(this);
    }
    if (wasConnecting) this.origin.cancel();
    else if (how === "abort") this.engine.abort(this.handle);
    else this.engine.close(this.handle);
  }

  /** As `closeConnection`: now, and a connect that is under way is called off. */
  close(): void {
    this.end(this.state === State.connecting ? this.origin.calledOff() : reasons.LOCAL_CLOSE);
  }

  abort(): void {
    this.end(this.state === State.connecting ? this.origin.calledOff() : reasons.LOCAL_ABORT, "abort");
  }

  refusePlaintext(bytes: number): void {
    this.end(plaintextLeft(bytes));
  }

  /** A deadline has expired. The program may let it run anew (true), or have a last word, which is written before the end. */
  expired(reason: CloseReason & { kind: "timeout" }): boolean {
    if (this.state !== State.open) {
      this.end(reason);
      return false;
    }
    const sentBefore = this.sent;
    const goesOn = this.call(this.receiver.deadlineReached, reason.deadline) === true;
    if (goesOn) return this.isOpen;
    if (this.isOpen && this.sent === sentBefore) {
      this.end(reason);
    } else if (this.reason === undefined) {
      this.more().verdict = reason;
      this.finish();
    }
    return false;
  }

  /** The turn of a connection that was ended here. */
  onTick(): void {
    const { handle } = this;
    if (handle !== NO_HANDLE) {
      this.#leaveEngine();
      this.home.forget(handle);
    }
    this.#ended(this.reason as CloseReason);
    this.core.checkIdle();
  }

  detach(): Promise<Detached> {
    this.engine.detach(this.handle);
    this.state = State.closing;
    return this.#promises().detached;
  }

  opened(): Promise<void> {
    return this.#promises().opened;
  }

  closed(): Promise<CloseReason> {
    return this.#promises().closed;
  }

  #promises(): LifePromises {
    const extras = this.more();
    extras.promises ??= new LifePromises(this);
    return extras.promises;
  }

  // Events -------------------------------------------------------------------------------------------------------

  override onData(chunk: Buffer, start: number, end: number): void {
    this.bytesIn += end - start;
    if (this.state !== State.open) return;
    const { lending } = this.home.engine;
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
    this.call(this.receiver.receiveEnd);
  }

  override onClosed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    if (this.flags & END_DUE) {
      // Its turn is yet to come. What TLS came to can be asked of the engine for the last time.
      void this.extras?.tls?.info;
      this.#leaveEngine();
      return;
    }
    if (ended === Ended.detached) {
      this.reason = reasons.DETACHED;
      this.extras?.promises?.onDetached(this.engine.takeDetached(this.handle));
    }
    this.#leaveEngine();
    this.#ended(this.reason ?? this.#reasonFor(ended, errno, syscall));
  }

  /** What is still wanted of the handle is asked now. */
  #leaveEngine(): void {
    this.dropUnsent();
    if (this.flags & LIVE_ADDRESS) this.#keepAddresses();
    this.handle = NO_HANDLE;
  }

  #reasonFor(ended: Ended, errno: number, syscall: string): CloseReason {
    const verdict = this.extras?.verdict;
    if (verdict !== undefined) return verdict;
    if (ended === Ended.error) return reasons.systemFailure(errno, syscall);
    if (ended === Ended.fileTruncated) return reasons.fileTruncated();
    const tls = this.extras?.tls;
    if (ended === Ended.tls) return tls?.failure() ?? reasons.PEER_CLOSED;
    // Both halves ended in order: whoever began has no other name than a close by the peer, unless we closed.
    return this.flags & FINISHING ? reasons.LOCAL_CLOSE : (tls?.peerClosed() ?? reasons.PEER_CLOSED);
  }

  #ended(cause: CloseReason): void {
    const { core } = this;
    const reason = this.home.process?.describe(cause) ?? cause;
    const extras = this.extras;
    this.state = State.closed;
    this.reason = reason;
    this.flags &= ~(AWAITS_DRAIN | PAUSED);
    if (!this.wasOpened) core.members.delete(this);
    if (extras !== undefined) {
      extras.deadlines?.stop();
      extras.linger?.stop();
      extras.timers?.cancel();
      this.outputEnded(extras, reason);
      extras.promises?.onEnded(reason);
      extras.tls?.ended(reason);
    }
    this.origin.ended();
    core.connectionEnded(reason.kind);
    if (connectionClose.hasSubscribers) connectionClose.publish({ ...this.message(), reason });
    if (isTracing) trace("connection %d: ended, %s", this.id, tracedEnd(reason));
    this.call(this.receiver.unbind, reason);
    this.extras?.tls?.forget();
    this.extras?.promises?.onUnbound(reason);
    if (!this.wasOpened && this.extras?.promises === undefined) warnIfUnheard(this.receiver, reason);
  }

  #traced(): string {
    const [local, remote] = [this.localAddress(), this.remoteAddress()];
    const named = (address: SocketAddress | undefined): string =>
      address === undefined ? "a stream" : formatAddress(address);
    return `${named(local)} ${this.origin.accepts ? "from" : "to"} ${named(remote)}`;
  }

  /** Whoever reads at the other end reads no more: what is sent from here on goes nowhere. */
  readerLeft(): void {
    this.flags |= UNREAD;
  }

  get bytesDiscarded(): number {
    return this.extras?.discarded ?? 0;
  }

  /** Bytes reached a connection that has nobody to give them to. */
  discarded(bytes: number): void {
    this.more().discarded = this.bytesDiscarded + bytes;
  }

  /**
   * From now on `claimant` is called in the connection's place: a stream, an iterator. It gets data that is its own,
   * decides itself what the peer's FIN means, and passes on what is the connection's business. Once in a life.
   */
  claim(claimant: ConnectionCallbacks): void {
    if (this.state > State.open) throw this.asEnd(nothingToClaim());
    const extras = this.more();
    if (extras.owner !== undefined) throw alreadyClaimed();
    if (this.bytesDiscarded > 0) throw inputDiscarded(this.bytesDiscarded);
    extras.owner = this.receiver;
    this.receiver = claimant;
    this.flags = (this.flags & ~BORROWS) | HELD_OPEN;
    if (this.state === State.open) this.engine.holdOpen(this.handle);
  }

  // Addresses ----------------------------------------------------------------------------------------------------

  remoteAddress(): SocketAddress | undefined {
    if (this.#peerPort >= 0) return ipv4Address(this.#peerIpv4, this.#peerPort);
    const shared = this.origin.sharedRemoteAddress;
    if (shared !== undefined && this.wasOpened) return shared;
    if (this.handle === NO_HANDLE) return this.extras?.remote;
    return this.engine.remoteAddress(this.handle);
  }

  localAddress(): SocketAddress | undefined {
    const shared = this.origin.sharedLocalAddress;
    if (shared !== undefined && this.wasOpened) return shared;
    if (this.handle === NO_HANDLE) return this.extras?.local;
    return this.engine.localAddress(this.handle);
  }

  /** The kernel forgets the addresses with the descriptor; they stay readable on the connection. */
  #keepAddresses(): void {
    const extras = this.more();
    extras.local = this.localAddress();
    extras.remote = this.remoteAddress();
  }

  // Deadlines ----------------------------------------------------------------------------------------------------

  /** Other settings for this connection alone; a deadline among them counts from now. */
  adjust(changes: Partial<StreamSettings>): void {
    this.settings = { ...this.settings, ...changes };
    if (this.state === State.connecting) this.flags |= MARKS_CHANGED;
    if (changes.lingerTimeout !== undefined && this.state === State.closing) this.extras?.linger?.begin();
    if (this.state !== State.open) return;
    if (changes.lowWaterMark !== undefined) this.engine.setLowWaterMark(this.handle, changes.lowWaterMark);
    if (Deadlines.wanted(this.settings) || this.extras?.deadlines !== undefined) this.#deadlines().changed(changes);
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

  flush(): void {
    this.engine.flush();
  }

  /** Sets something of the socket: now, and what it throws is the caller's; or when it is open, and then it is a callback's. */
  set(action: () => void): void {
    if (this.state === State.open) {
      action();
      return;
    }
    this.whenOpen(() => {
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

  /** A timer of the program's that ends with this life, and whose callback is one of the connection's. */
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

  #deadlines(): Deadlines {
    const extras = this.more();
    extras.deadlines ??= new Deadlines(this);
    return extras.deadlines;
  }
}

function tracedEnd(reason: CloseReason): string {
  return "error" in reason ? `${reason.kind}: ${reason.error}` : reason.kind;
}
