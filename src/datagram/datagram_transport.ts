import { constants } from "node:os";
import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { ArgumentError, type EventMachineError, StateError } from "../base/errors.js";
import { LINGER_TIMEOUT } from "../base/limits.js";
import { SystemError } from "../base/system_error.js";
import { showUnixName } from "../base/unix_name.js";
import { scopeOf } from "../connection/context_scope.js";
import { Deadlines } from "../connection/deadlines.js";
import { type AnyLife, notAStream, type Relaying } from "../connection/life.js";
import { OpenLife, type OpenOrigin } from "../connection/open_life.js";
import type { PassingEvents } from "../connection/passing.js";
import type { ProxyOptions } from "../connection/proxying.js";
import * as reasons from "../connection/reasons.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import { State } from "../core/stream_port.js";
import type { OwnTick } from "../core/tick_queue.js";
import { type DatagramCounters, type DatagramInfo, NO_DATAGRAMS, type Peer } from "../engine/datagrams.js";
import type { Engine } from "../engine/engine.js";
import { Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import { connectionClose, connectionOpen } from "../observe/channels.js";
import { checkDestination, type DatagramDestination, type Destination } from "../options/datagram_options.js";
import type { StreamSettings } from "../options/options.js";
import type { Timer } from "../timers/timer.js";
import { checkDatagramRelay, DatagramRelay } from "./datagram_relay.js";
import { NamedDestinations } from "./named_destinations.js";

const EAFNOSUPPORT = -constants.errno.EAFNOSUPPORT;

/** What a datagram socket is carried by, and what is known of it when it is open. */
export interface DatagramOrigin extends OpenOrigin {
  /** The peer of a connected socket. */
  readonly remote: SocketAddress | undefined;
  /** The handler takes views of the engine's memory. */
  readonly borrows: boolean;
}

/** What a connection does with datagrams: the state machine between a user's object and an engine's handle, open from the start. */
export class DatagramTransport extends OpenLife implements OwnTick {
  bytesDiscarded = 0;
  readonly isSendingFile = false;
  readonly #remote: SocketAddress | undefined;
  readonly #borrows: boolean;
  readonly #local: SocketAddress | undefined;
  /** The relay that takes its input, and those that send through it. */
  #relaying: DatagramRelay | undefined;
  feeds: Set<DatagramRelay> | undefined;
  #isPaused = false;
  #isFinishing = false;
  #endIsDue = false;
  #awaitsDrain = false;
  /** Why it closes after writing, where that is not for the program's asking. */
  #verdict: CloseReason | undefined;
  /** Of the datagram that is being delivered. */
  #sender: Peer | undefined;
  #info: DatagramInfo | undefined;
  /** The destination of the last `sendDatagram`, which is often that of the next. */
  #lastPeer: Peer | undefined;
  #lastHost = "";
  #lastPort = 0;
  #failures = 0;
  /** What the engine has counted, of a socket that is closed. */
  #counted: DatagramCounters = NO_DATAGRAMS;
  #names: NamedDestinations | undefined;
  #deadlines: Deadlines | undefined;
  #linger: Timer | undefined;

  constructor(origin: DatagramOrigin, connection: ConnectionCallbacks) {
    super(origin, connection);
    this.#remote = origin.remote;
    this.#borrows = origin.borrows;
    this.#local = origin.core.engine.localAddress(origin.handle);
  }

  notAStream(method: string): StateError {
    return notAStream(method);
  }

  /** The socket is open, and its connection is attached: the first callbacks come. */
  begin(): void {
    if (Deadlines.wanted(this.settings)) this.#deadline().start();
    if (connectionOpen.hasSubscribers) connectionOpen.publish(this.message());
    this.call(this.receiver.postInit);
  }

  // Input --------------------------------------------------------------------------------------------------------

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    if (this.#isPaused || this.state !== State.open) return;
    this.#isPaused = true;
    this.engine.pause(this.handle);
    this.#deadlines?.paused();
  }

  resume(): void {
    if (!this.#isPaused || this.state !== State.open) return;
    this.#isPaused = false;
    if (this.#relaying?.isBlocked !== true) this.engine.resume(this.handle);
    this.#deadlines?.resumed();
  }

  // Relays -------------------------------------------------------------------------------------------------------

  override get relaying(): DatagramRelay | undefined {
    return this.#relaying;
  }

  override set relaying(relay: DatagramRelay | undefined) {
    this.#relaying = relay;
  }

  override checkPass(target: AnyLife, options: ProxyOptions): void {
    checkDatagramRelay(this, target instanceof DatagramTransport ? target : undefined, options);
  }

  override pass(target: AnyLife, options: ProxyOptions, events: PassingEvents): Relaying {
    const to = target instanceof DatagramTransport ? target : undefined;
    const buffer = checkDatagramRelay(this, to, options);
    const relay = new DatagramRelay(this, to as DatagramTransport, buffer, events);
    (to as DatagramTransport).#fedBy(relay);
    this.#relaying = relay;
    return relay;
  }

  #fedBy(relay: DatagramRelay): void {
    this.feeds ??= new Set();
    this.feeds.add(relay);
  }

  /** A datagram of a relay, to the peer. What is over `outboundLimit` is dropped, and counted. */
  passOn(data: Uint8Array): void {
    if (this.state === State.open) this.engine.sendDatagram(this.handle, data, undefined);
  }

  override onDatagram(chunk: Buffer, start: number, end: number, sender: Peer, info: DatagramInfo | undefined): void {
    this.bytesIn += end - start;
    if (this.state !== State.open) return;
    const lending = this.engine.datagramLending;
    const isLent = this.#borrows || this.#relaying !== undefined;
    const data = lending === undefined ? chunk : isLent ? lending.view(start, end) : lending.copy(start, end);
    if (this.#relaying !== undefined) {
      this.#relaying.take(data);
      return;
    }
    const connection = this.receiver;
    this.#sender = sender;
    this.#info = info;
    try {
      const result =
        this.context === undefined
          ? connection.receiveData(data, sender.address)
          : scopeOf(this.context).runInAsyncScope(connection.receiveData, connection, data, sender.address);
      if (result !== undefined) this.watch(result);
    } catch (error) {
      this.handlerFailed(error);
    }
    this.#sender = undefined;
    this.#info = undefined;
  }

  get info(): DatagramInfo | undefined {
    return this.#info;
  }

  discarded(bytes: number): void {
    this.bytesDiscarded += bytes;
  }

  // Output -------------------------------------------------------------------------------------------------------

  sendBytes(data: Uint8Array): boolean {
    if (this.#remote !== undefined) return this.#send(data, undefined);
    const sender = this.#sender;
    if (sender !== undefined) return this.#send(data, sender);
    if (this.state !== State.open) return false;
    throw new StateError(
      "ERR_EM_NO_DESTINATION",
      "sendData answers the sender inside receiveData, or goes to the peer of a connected socket: use sendDatagram",
    );
  }

  sendString(text: string, encoding: BufferEncoding): boolean {
    return this.sendBytes(Buffer.from(text, encoding));
  }

  /** To the address, which is checked where the datagram before went elsewhere. */
  sendTo(data: Uint8Array, address: DatagramDestination): boolean {
    const { host, port } = Object(address) as { host?: unknown; port?: unknown };
    if (host === this.#lastHost && port === this.#lastPort && this.#lastPeer !== undefined) {
      return this.#send(data, this.#lastPeer);
    }
    const destination = this.#read(address);
    if (this.state !== State.open) return false;
    if (destination.family === undefined) return this.#named().send(data, destination.host, destination.port);
    if (!this.#reaches(destination.family)) return this.#unreachable(destination);
    const peer = this.engine.peerFor(this.handle, destination);
    if (destination.family !== "unix") {
      this.#lastPeer = peer;
      this.#lastHost = host as string;
      this.#lastPort = destination.port;
    }
    return this.#send(data, peer);
  }

  /** Whether the socket's family has such addresses; an IPv6 socket has IPv4's, mapped. */
  #reaches(family: SocketAddress["family"]): boolean {
    return family !== "IPv6" || this.#local?.family !== "IPv4";
  }

  /** Told as what the kernel refuses is told: later. */
  #unreachable(address: SocketAddress): boolean {
    const error = new SystemError(EAFNOSUPPORT, "send", placeOf(address));
    this.owner.ownTick({ onTick: () => this.#failed(error, address) });
    return true;
  }

  #read(address: DatagramDestination): Destination {
    const destination = checkDestination(address, "address");
    const isUnix = this.#local?.family === "unix";
    if ((destination.family === "unix") === isUnix) return destination;
    throw new ArgumentError(
      isUnix
        ? "address must be a path: this is a Unix socket"
        : "address must be a host and a port: this is no Unix socket",
    );
  }

  get remote(): SocketAddress | undefined {
    return this.#remote;
  }

  #send(data: Uint8Array, peer: Peer | undefined): boolean {
    if (this.state !== State.open) return false;
    if (this.engine.sendDatagram(this.handle, data, peer)) return true;
    this.#full();
    return false;
  }

  /** Something waits: `drained` is owed, when nothing does. */
  #full(): void {
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    this.#deadlines?.outputBegins();
    if (!this.#waitsForNames) this.engine.awaitWritable(this.handle);
  }

  override onWritable(): void {
    if (this.feeds !== undefined) for (const relay of this.feeds) relay.onTargetWritable();
    if (!this.#awaitsDrain || this.#waitsForNames) return;
    this.#awaitsDrain = false;
    if (this.state === State.open) this.call(this.receiver.drained);
  }

  override onSendFailed(errno: number, syscall: string, peer: Peer | undefined): void {
    const address = peer?.address ?? this.#remote;
    this.#failed(new SystemError(errno, syscall, placeOf(address)), address);
  }

  #failed(error: EventMachineError, address: DatagramDestination | undefined): void {
    if (this.state === State.closed || this.reason !== undefined) return;
    this.#failures++;
    const { sendFailed } = this.receiver;
    if (typeof sendFailed === "function") this.call(sendFailed, error, address);
  }

  outboundSize(): number {
    const waiting = this.#names?.size ?? 0;
    return this.handle === NO_HANDLE ? 0 : this.engine.outboundSize(this.handle) + waiting;
  }

  bytesOut(): number {
    return this.counters.bytesSent;
  }

  get counters(): DatagramCounters & { readonly failed: number } {
    const engine = this.handle === NO_HANDLE ? this.#counted : this.engine.datagramCounters(this.handle);
    return { ...engine, dropped: engine.dropped + (this.#names?.dropped ?? 0), failed: this.#failures };
  }

  // Names --------------------------------------------------------------------------------------------------------

  get #waitsForNames(): boolean {
    return this.#names?.isWaiting === true;
  }

  #named(): NamedDestinations {
    this.#names ??= new NamedDestinations(this.owner, this.settings.outboundLimit, {
      reaches: (family) => this.#reaches(family),
      peer: (address) => this.engine.peerFor(this.handle, address),
      send: (data, peer) => {
        if (!this.engine.sendDatagram(this.handle, data, peer)) this.#full();
      },
      full: () => this.#full(),
      failed: (error, address) => this.#failed(error, address),
      settled: () => this.#namesSettled(),
    });
    return this.#names;
  }

  #namesSettled(): void {
    if (this.handle === NO_HANDLE) return;
    if (this.#isFinishing) this.engine.finishDatagrams(this.handle);
    else if (this.#awaitsDrain) this.engine.awaitWritable(this.handle);
  }

  // Ending -------------------------------------------------------------------------------------------------------

  /** Sends what waits, for names too, then closes. */
  finish(): void {
    if (this.state !== State.open) return;
    this.state = State.closing;
    this.#isFinishing = true;
    this.#keepsForSources();
    if (!this.#waitsForNames) this.engine.finishDatagrams(this.handle);
    const { lingerTimeout } = this.settings;
    // Behind a deadline there is a limit in any case.
    const timeout = lingerTimeout === 0 && this.#verdict !== undefined ? LINGER_TIMEOUT : lingerTimeout;
    if (timeout > 0) this.#linger = this.owner.addTimer(timeout, () => this.end(reasons.LINGER_EXPIRED));
  }

  /** Ends now; the first reason given stands. `unbind` takes its place among the ticks. */
  end(reason: CloseReason): void {
    if (this.state === State.closed || this.reason !== undefined) return;
    this.reason = this.#verdict ?? reason;
    this.state = State.closing;
    this.#endIsDue = true;
    this.#keepsForSources();
    this.owner.ownTick(this);
    this.engine.close(this.handle);
  }

  /** A deadline has expired. The program may let it run anew (true), or have a last word, which is sent before the end. */
  expired(reason: CloseReason & { kind: "timeout" }): boolean {
    if (this.state !== State.open) {
      this.end(reason);
      return false;
    }
    const goesOn = this.call(this.receiver.deadlineReached, reason.deadline) === true;
    if (goesOn) return this.isOpen;
    if (this.reason === undefined) {
      this.#verdict = reason;
      if (this.isOpen) this.finish();
    }
    return false;
  }

  onTick(): void {
    const { handle } = this;
    if (handle !== NO_HANDLE) {
      this.#leaveEngine();
      this.owner.forget(handle);
    }
    this.#ended(this.reason as CloseReason);
    this.owner.checkIdle();
  }

  override onClosed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    this.#leaveEngine();
    if (this.#endIsDue) return;
    const failure = ended === Ended.error ? reasons.systemFailure(errno, syscall) : reasons.LOCAL_CLOSE;
    this.#ended(this.#verdict ?? failure);
  }

  /** It sends nothing more: what comes in meanwhile stays for those it came to. */
  #keepsForSources(): void {
    if (this.feeds !== undefined) for (const relay of this.feeds) relay.block();
  }

  #leaveEngine(): void {
    this.#counted = this.engine.datagramCounters(this.handle);
    this.handle = NO_HANDLE;
  }

  #ended(reason: CloseReason): void {
    this.#isPaused = false;
    this.#deadlines?.stop();
    this.#linger?.cancel();
    this.#names?.stop();
    this.unbound(reason, () => {
      this.owner.connectionEnded(reason.kind);
      if (connectionClose.hasSubscribers) connectionClose.publish({ ...this.message(), reason });
    });
    this.#relaying?.onSourceEnded(reason);
    if (this.feeds !== undefined) for (const relay of [...this.feeds]) relay.onTargetEnded(reason);
  }

  // Settings and questions -----------------------------------------------------------------------------------------

  /** The sender, while a datagram is delivered; the peer of a connected socket. */
  remoteAddress(): SocketAddress | undefined {
    return this.#sender?.address ?? this.#remote;
  }

  localAddress(): SocketAddress | undefined {
    return this.#local;
  }

  adjust(changes: Partial<StreamSettings>): void {
    this.settings = { ...this.settings, ...changes };
    if (this.state !== State.open) return;
    if (Deadlines.wanted(this.settings) || this.#deadlines !== undefined) this.#deadline().changed(changes);
  }

  #deadline(): Deadlines {
    this.#deadlines ??= new Deadlines(this);
    return this.#deadlines;
  }

  /** For what concerns the socket itself, which is open. */
  reachEngine(action: (engine: Engine, handle: Handle) => void): void {
    action(this.engine, this.handle);
  }

  idleTime(): number {
    if (this.handle === NO_HANDLE) return 0;
    const { handle } = this;
    const engine = this.engine;
    return Math.max(0, engine.now() - Math.max(engine.lastRead(handle), engine.lastWrite(handle)));
  }
}

function placeOf(address: SocketAddress | undefined): { address?: string; port?: number } {
  if (address === undefined) return {};
  if (address.family === "unix") return { address: showUnixName(address.path) };
  return { address: address.host, port: address.port };
}
