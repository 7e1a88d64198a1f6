import type { CloseReasonKind } from "../base/close_reason.js";
import { isPromise } from "../base/thenable.js";
import type { HostNames } from "../dns/resolve_host.js";
import type { DatagramInfo, Peer } from "../engine/datagrams.js";
import type { Engine, EngineEvents } from "../engine/engine.js";
import { type Ended, HANDLE_INDEX_MASK, type Handle } from "../engine/streams.js";
import { reactorTurn } from "../observe/channels.js";
import type { Timer, TimerCallback } from "../timers/timer.js";
import { TimerService, type TimerServiceHost } from "../timers/timer_service.js";
import { EngineContexts } from "../tls/engine_contexts.js";
import type { CoreHost } from "./core_host.js";
import { DISCARDED, type Endpoint } from "./endpoint.js";
import { ForeignStreams } from "./foreign_streams.js";
import { type Member, Members } from "./members.js";
import { type OwnTick, TickQueue } from "./tick_queue.js";
import type { TransportCore, TransportHome } from "./transport_home.js";

/**
 * The heart of a reactor: the table from handles to endpoints, the timers, the ticks, and the engine
 * under them. It is the engine's event sink; everything above reaches the engine through it.
 */
export class Core implements EngineEvents, TimerServiceHost, TransportCore, TransportHome {
  readonly host: CoreHost;
  readonly resolver: HostNames;
  readonly outboundLimit: number;
  /** Whether callbacks run in the async context of the call that made their connection. */
  readonly asyncContext: boolean;
  readonly ticksQueue: TickQueue;

  /** Connections by why they ended. */
  readonly closedBy: Partial<Record<CloseReasonKind, number>> = {};
  /** Connections open or being opened, and all that have ended. */
  connectionCount = 0;
  endedCount = 0;
  /** Everything a stop has to end. */
  readonly members = new Members(() => this.endpoints());
  /** Connections over Node's own streams. */
  readonly foreign = new ForeignStreams(this);
  readonly process = undefined;
  /** Whether new servers and connects are taken: from `run` until a stop unbinds everything. */
  isAccepting = false;
  seenAt = 0;
  #noConnections: (() => void)[] = [];
  readonly #ends = new Set<() => void>();
  /** Between `beginEnd` and `close`. */
  #isEnding = false;
  /** The user's timers, and those of connections' deadlines. */
  readonly timers: TimerService;
  readonly deadlines: TimerService;

  #engine: Engine | undefined;
  #tlsContexts: EngineContexts | undefined;
  #table: (Endpoint | undefined)[] = [];
  #live = 0;
  #armed = Number.POSITIVE_INFINITY;
  #refTimers = 0;
  #held = true;
  /** What the engine was told last. */
  #holdsProcess = true;
  #inTurn = false;
  #turnTime = 0;
  /** When the turn under way began; 0 where nobody wants to know. */
  #turnStarted = 0;
  #nextId = 1;

  constructor(host: CoreHost, resolver: HostNames, outboundLimit: number, asyncContext: boolean) {
    this.host = host;
    this.resolver = resolver;
    this.outboundLimit = outboundLimit;
    this.asyncContext = asyncContext;
    this.ticksQueue = new TickQueue((error) => this.reportError(error));
    this.timers = new TimerService(this);
    this.deadlines = new TimerService(this);
  }

  /** Of the transports that its own engine carries, it is the home and the reactor. */
  get core(): this {
    return this;
  }

  /** The running engine. Only what lives inside `run` asks. */
  get engine(): Engine {
    return this.#engine as Engine;
  }

  get isOpen(): boolean {
    return this.#engine !== undefined;
  }

  /** What the running engine has made of TLS contexts. */
  get tlsContexts(): EngineContexts {
    this.#tlsContexts ??= new EngineContexts(this.engine);
    return this.#tlsContexts;
  }

  open(engine: Engine): void {
    this.#engine = engine;
    this.#table = [];
    engine.start(this);
    this.#holdsProcess = true;
    this.#holdProcess();
    this.#armed = Number.POSITIVE_INFINITY;
    this.deadlineMoved();
    if (this.ticksQueue.size > 0) engine.requestTurn();
  }

  /**
   * A stop unbinds everything, and the reactor's time is over for the program: its ticks and timers are gone, nothing new
   * is begun, and whatever waits for something that can no longer come hears of it.
   */
  beginEnd(): void {
    this.isAccepting = false;
    this.#isEnding = true;
    this.ticksQueue.drop();
    this.timers.stop();
    const ends = [...this.#ends];
    this.#ends.clear();
    for (const end of ends) this.#callEnd(end);
  }

  /** Calls back when a stop is about to unbind everything, soon where it is at that already; returns what calls that off. */
  atEnd(callback: () => void): () => void {
    this.#ends.add(callback);
    const forget = () => this.#ends.delete(callback);
    if (this.#isEnding) {
      queueMicrotask(() => {
        if (forget()) this.#callEnd(callback);
      });
    }
    return forget;
  }

  #callEnd(end: () => void): void {
    try {
      end();
    } catch (error) {
      this.reportError(error);
    }
  }

  close(): void {
    const engine = this.#engine;
    this.#engine = undefined;
    this.#isEnding = false;
    this.timers.clear();
    this.deadlines.clear();
    this.#refTimers = 0;
    this.#noConnections = [];
    this.ticksQueue.clear();
    this.#tlsContexts?.close();
    this.#tlsContexts = undefined;
    engine?.stop();
  }

  // Handles ------------------------------------------------------------------------------------------------------

  nextId(): number {
    return this.#nextId++;
  }

  /** Enters the endpoint of a handle that the engine has just given out. */
  register(handle: Handle, endpoint: Endpoint): void {
    this.#table[handle & HANDLE_INDEX_MASK] = endpoint;
    this.#live++;
  }

  /** Gives a registered handle another endpoint. */
  replace(handle: Handle, endpoint: Endpoint): void {
    this.#table[handle & HANDLE_INDEX_MASK] = endpoint;
  }

  /** Leaves a registered handle to end unseen. */
  forget(handle: Handle): void {
    this.replace(handle, DISCARDED);
  }

  carries(member: Member): void {
    this.members.delete(member);
  }

  get liveHandles(): number {
    return this.#live;
  }

  /** Every endpoint with an open handle; a copy, so that closing while walking is safe. */
  endpoints(): Endpoint[] {
    const found = new Set<Endpoint>();
    for (const endpoint of this.#table) if (endpoint !== undefined) found.add(endpoint);
    return [...found];
  }

  // The engine's events ------------------------------------------------------------------------------------------

  enter(): void {
    this.#inTurn = true;
    this.#turnTime = reactorTurn.hasSubscribers ? this.now() : 0;
    this.#turnStarted = this.#turnTime;
    this.host.entered();
  }

  leave(): void {
    this.#inTurn = false;
    this.host.left();
    if (this.#turnStarted > 0 && reactorTurn.hasSubscribers) {
      reactorTurn.publish({ reactor: this.host.reactor, duration: this.now() - this.#turnStarted });
    }
  }

  listening(handle: Handle): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onListening(handle);
  }

  accepted(listener: Handle, handle: Handle, ipv4: number, port: number): void {
    this.#table[listener & HANDLE_INDEX_MASK]?.onAccepted(handle, ipv4, port);
  }

  connected(handle: Handle): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onConnected(handle);
  }

  data(handle: Handle, chunk: Buffer, start: number, end: number): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onData(chunk, start, end);
  }

  end(handle: Handle): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onEnd();
  }

  writable(handle: Handle): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onWritable();
  }

  fileSent(handle: Handle): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onFileSent();
  }

  relayed(handle: Handle): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onRelayed();
  }

  tlsServerName(handle: Handle, name: string): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onTlsServerName(name);
  }

  tlsVerify(handle: Handle): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onTlsVerify();
  }

  secured(handle: Handle): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onSecured();
  }

  tlsSession(handle: Handle, session: Buffer): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onTlsSession(session);
  }

  tlsKeyLog(handle: Handle, line: string): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onTlsKeyLog(line);
  }

  datagram(
    handle: Handle,
    chunk: Buffer,
    start: number,
    end: number,
    sender: Peer,
    info: DatagramInfo | undefined,
  ): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onDatagram(chunk, start, end, sender, info);
  }

  sendFailed(handle: Handle, errno: number, syscall: string, peer: Peer | undefined): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onSendFailed(errno, syscall, peer);
  }

  ready(handle: Handle, readable: boolean, writable: boolean): void {
    this.#table[handle & HANDLE_INDEX_MASK]?.onReady(readable, writable);
  }

  closed(handle: Handle, ended: Ended, errno: number, syscall: string): void {
    const index = handle & HANDLE_INDEX_MASK;
    const endpoint = this.#table[index];
    this.#table[index] = undefined;
    this.#live--;
    endpoint?.onClosed(handle, ended, errno, syscall);
    this.checkIdle();
  }

  /** A connection's last callback comes now. */
  connectionEnded(kind: CloseReasonKind): void {
    this.connectionCount--;
    this.endedCount++;
    this.closedBy[kind] = (this.closedBy[kind] ?? 0) + 1;
    if (this.connectionCount > 0 || this.#noConnections.length === 0) return;
    const waiting = this.#noConnections;
    this.#noConnections = [];
    for (const callback of waiting) callback();
  }

  /** Calls back when there is no connection, now or later. */
  whenNoConnections(callback: () => void): void {
    if (this.connectionCount === 0) callback();
    else this.#noConnections.push(callback);
  }

  /** Tells the host when nothing is open or being opened any more. */
  checkIdle(): void {
    if (this.#live === 0 && this.connectionCount === 0) this.host.idle();
  }

  timer(seenAt: number): void {
    this.#armed = Number.POSITIVE_INFINITY;
    this.seenAt = seenAt;
    this.deadlines.expire(seenAt);
    this.timers.expire(this.now());
    this.deadlineMoved();
  }

  ticks(): void {
    this.enter();
    this.ticksQueue.run();
    this.leave();
    if (this.ticksQueue.size > 0) this.#engine?.requestTurn();
  }

  /** Writes what is queued now, as far as it is taken without blocking. */
  flush(): void {
    this.foreign.turn.flush();
    this.#engine?.flush();
  }

  // Time ---------------------------------------------------------------------------------------------------------

  now(): number {
    return this.#engine === undefined ? performance.now() : this.#engine.now();
  }

  /** The time of the turn under way, read once in it; outside of turns the time it is. */
  turnTime(): number {
    if (!this.#inTurn) return this.now();
    if (this.#turnTime === 0) this.#turnTime = this.now();
    return this.#turnTime;
  }

  /** Calls back once after `delay` ms: for the reactor's own parts. */
  addTimer(delay: number, callback: TimerCallback): Timer {
    return this.deadlines.addInternal(delay, callback);
  }

  deadlineMoved(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    const next = Math.min(this.deadlines.earliest, this.timers.earliest);
    if (next !== this.#armed) {
      this.#armed = next;
      engine.setDeadline(next);
    }
  }

  /** The program's: dropped where the reactor stops before it has run. */
  nextTick(callback: () => unknown): void {
    if (this.ticksQueue.push(callback) && this.ticksQueue.size === 1) this.#engine?.requestTurn();
  }

  /** The library's own: it runs in any case, in the same order. */
  ownTick(tick: OwnTick): void {
    this.ticksQueue.pushOwn(tick);
    if (this.ticksQueue.size === 1) this.#engine?.requestTurn();
  }

  // Keeping the process alive ------------------------------------------------------------------------------------

  hold(held: boolean): void {
    this.#held = held;
    this.#holdProcess();
  }

  refChanged(delta: 1 | -1): void {
    const before = this.#refTimers > 0;
    this.#refTimers += delta;
    if (before !== this.#refTimers > 0) this.#holdProcess();
  }

  #holdProcess(): void {
    const engine = this.#engine;
    const holds = this.#held || this.#refTimers > 0;
    if (engine === undefined || holds === this.#holdsProcess) return;
    this.#holdsProcess = holds;
    if (holds) engine.ref();
    else engine.unref();
  }

  // Errors -------------------------------------------------------------------------------------------------------

  /** Sees to it that a promise returned by a callback does not fail unseen. */
  watch(result: unknown): void {
    if (isPromise(result)) result.then(undefined, (error: unknown) => this.reportError(error));
  }

  reportError(error: unknown): void {
    this.host.reportError(error, undefined);
  }
}
