import { Socket } from "node:net";
import type { SocketAddress } from "../../base/addresses.js";
import type { Capability } from "../capabilities.js";
import { type EngineCounters, noCounters } from "../counters.js";
import {
  type DatagramCounters,
  type DatagramOptions,
  type DatagramSettings,
  type Membership,
  NO_DATAGRAMS,
  type Peer,
} from "../datagrams.js";
import type { Engine, EngineEvents } from "../engine.js";
import { NodeStream, type StreamSettings } from "../node/node_stream.js";
import { inetEnds } from "../node/socket_ends.js";
import { applyOptions, checkOptions } from "../node/socket_options.js";
import { type SocketCalls, StreamCalls } from "../node/stream_calls.js";
import { SOCKET } from "../node/stream_kind.js";
import { type EngineTurn, Turn } from "../node/turn.js";
import type { ConnectOptions, Handle, ListenOptions } from "../streams.js";
import type { TlsContextId, TlsContextSettings, TlsFailure, TlsStart, TlsState } from "../tls.js";
import type { WatchInterest } from "../watches.js";
import { openDescriptor } from "./adopted_descriptor.js";
import { findCapabilities } from "./capabilities.js";
import type { PortablePeer } from "./datagram_peers.js";
import { checkDatagramOptions } from "./datagram_settings.js";
import { Deadline } from "./deadline.js";
import { HandleTable } from "./handle_table.js";
import { type ListenerOwner, PortableListener } from "./listener.js";
import { type DescriptorOwner, descriptorOf, forgetOwner, ownedFailure, registerOwner } from "./owned_descriptors.js";
import { PortableDatagrams } from "./portable_datagrams.js";
import { SecureLayer } from "./secure_layer.js";
import { textName, UNNAMED } from "./socket_addresses.js";
import { TlsContextTable } from "./tls_contexts.js";
import { withNamedZone } from "./zones.js";

const LONGEST_INTERVAL = 2 ** 31 - 1;

/** What stands behind a handle. */
type Entry = NodeStream<Socket> | PortableListener | PortableDatagrams;

/** The engine for every platform and runtime: node:net's sockets under the contract of `StreamCommands`. */
export class PortableEngine extends StreamCalls implements Engine, ListenerOwner, DescriptorOwner {
  readonly name = "portable";
  readonly capabilities: ReadonlySet<Capability> = findCapabilities();
  readonly datagramLending = undefined;
  readonly closesInOrder = true;

  readonly #table = new HandleTable<Entry>();
  readonly #tlsContexts = new TlsContextTable();
  readonly #counters: EngineCounters = noCounters();
  readonly #deadline = new Deadline((seenAt) => this.turn.batch(this.turn.events.timer, this.turn.events, seenAt));
  #turn: EngineTurn | undefined;
  #isReferenced = false;
  #holdsProcess: NodeJS.Timeout | undefined;

  // The engine ---------------------------------------------------------------------------------------------------

  start(events: EngineEvents): void {
    this.#turn = new Turn(events, this.#counters);
    registerOwner(this);
    this.ref();
  }

  stop(): void {
    this.turn.stop();
    this.#deadline.clear();
    this.unref();
    forgetOwner(this);
  }

  /** What happens when; from `start` on. */
  get turn(): EngineTurn {
    return this.#turn as EngineTurn;
  }

  get isReferenced(): boolean {
    return this.#isReferenced;
  }

  ref(): void {
    if (this.#isReferenced) return;
    this.#isReferenced = true;
    // Without any socket open the reactor still holds the process.
    this.#holdsProcess = setInterval(() => {}, LONGEST_INTERVAL);
    for (const entry of this.#table.entries()) heldBy(entry).ref();
  }

  unref(): void {
    if (!this.#isReferenced) return;
    this.#isReferenced = false;
    clearInterval(this.#holdsProcess);
    for (const entry of this.#table.entries()) heldBy(entry).unref();
  }

  setDeadline(at: number): void {
    this.#deadline.set(at);
  }

  requestTurn(): void {
    this.turn.requestTicks();
  }

  flush(): void {
    this.turn.flush();
  }

  counters(): EngineCounters {
    return { ...this.#counters };
  }

  // Opening ------------------------------------------------------------------------------------------------------

  listen(address: SocketAddress, options: ListenOptions): Handle {
    const listener = this.#newListener(options);
    listener.listen(address);
    return listener.handle;
  }

  adoptListener(fd: number, options: ListenOptions): Handle {
    this.#require("adoptListener");
    const failure = ownedFailure(fd);
    const listener = this.#newListener(options);
    if (failure === undefined) listener.adopt(fd);
    else listener.refused(failure);
    return listener.handle;
  }

  #newListener(options: ListenOptions): PortableListener {
    checkOptions(options, this.capabilities, this.name);
    if (options.reusePort) this.#require("reusePort");
    const listener = new PortableListener(this.#table.reserve(), options, this);
    this.#table.put(listener);
    return listener;
  }

  connect(address: SocketAddress, options: ConnectOptions): Handle {
    checkOptions(options, this.capabilities, this.name);
    const { localAddress: local } = options;
    const socket = new Socket({ allowHalfOpen: true });
    applyOptions(socket, options);
    const stream = this.#newStream(socket, options);
    socket.once("connect", () => this.turn.batch(this.#connected, this, { stream, address }));
    if (address.family === "unix") socket.connect({ path: textName(address.path) });
    else {
      const { host, port } = address;
      const from =
        local === undefined || local.family === "unix"
          ? {}
          : { localAddress: withNamedZone(local.host), localPort: local.port };
      socket.connect({ host: withNamedZone(host), port, ...from });
    }
    if (!this.#isReferenced) socket.unref();
    return stream.handle;
  }

  #connected({ stream, address }: { stream: NodeStream<Socket>; address: SocketAddress }): void {
    stream.open(address.family === "unix" ? { local: UNNAMED, remote: address } : inetEnds(stream.stream));
    this.#tellConnected(stream);
  }

  #tellConnected(stream: NodeStream<Socket>): void {
    this.#counters.connected++;
    this.#counters.events++;
    this.turn.events.connected(stream.handle);
  }

  adoptStream(fd: number, options: ConnectOptions): Handle {
    this.#require("adoptStream");
    checkOptions(options, this.capabilities, this.name);
    let opened: ReturnType<typeof openDescriptor> | undefined;
    let failure = ownedFailure(fd);
    try {
      if (failure === undefined) opened = openDescriptor(fd);
    } catch (error) {
      failure = error as NodeJS.ErrnoException;
    }
    const socket = opened?.socket ?? new Socket();
    const stream = this.#newStream(socket, options);
    stream.oneWay = opened?.oneWay;
    stream.isFile = opened?.isFile === true;
    if (failure !== undefined) {
      stream.failed(failure);
      return stream.handle;
    }
    if (opened?.isFile !== true) applyOptions(socket, options);
    if (!this.#isReferenced) socket.unref();
    this.turn.defer(() => {
      if (!stream.hasEnded) this.#tellConnected(stream);
    });
    const isInet = socket.localAddress !== undefined;
    if (opened?.isFile === true) stream.open({ local: undefined, remote: undefined }, true);
    else stream.open(isInet ? inetEnds(socket) : { local: UNNAMED, remote: UNNAMED }, true);
    return stream.handle;
  }

  oneWay(handle: Handle): "reads" | "writes" | undefined {
    return this.stream(handle)?.oneWay;
  }

  #newStream(socket: Socket, settings: StreamSettings, listener?: PortableListener): NodeStream<Socket> {
    const handle = this.#table.reserve();
    const stream = new NodeStream(handle, socket, SOCKET, settings, this.turn, this.turn.events, () => {
      this.#table.release(handle);
      listener?.connectionReleased();
    });
    this.#table.put(stream);
    return stream;
  }

  adopt(socket: Socket, listener: PortableListener): NodeStream<Socket> | undefined {
    if (this.#table.isFull) return undefined;
    if (!this.#isReferenced) socket.unref();
    return this.#newStream(socket, listener.options, listener);
  }

  listenerReleased(listener: PortableListener): void {
    this.#table.release(listener.handle);
  }

  *descriptors(): Generator<number> {
    for (const entry of this.#table.entries()) {
      if (!(entry instanceof NodeStream)) yield* entry.descriptors();
      else {
        // None once node:net has let go of it.
        const fd = descriptorOf(entry.stream);
        if (fd !== undefined) yield fd;
      }
    }
  }

  #require(capability: Capability): void {
    if (!this.capabilities.has(capability)) throw this.unsupported(capability);
  }

  protected override stream(handle: Handle): NodeStream<Socket> | undefined {
    const entry = this.#table.get(handle);
    return entry instanceof NodeStream ? entry : undefined;
  }

  #datagrams(handle: Handle): PortableDatagrams | undefined {
    const entry = this.#table.get(handle);
    return entry instanceof PortableDatagrams ? entry : undefined;
  }

  #layer(handle: Handle): SecureLayer | undefined {
    const layer = this.stream(handle)?.layer;
    return layer instanceof SecureLayer ? layer : undefined;
  }

  /** What streams and datagram sockets have in common. */
  protected override socket(handle: Handle): SocketCalls | undefined {
    const entry = this.#table.get(handle);
    return entry instanceof PortableListener ? undefined : entry;
  }

  // Datagrams ----------------------------------------------------------------------------------------------------

  openDatagrams(address: SocketAddress, options: DatagramOptions): Handle {
    if (address.family === "unix") throw this.unsupported("unixDatagrams");
    checkDatagramOptions(options, this.capabilities);
    const handle = this.#table.reserve();
    const socket = new PortableDatagrams(handle, address, options, this.turn, () => this.#table.release(handle));
    this.#table.put(socket);
    if (!this.#isReferenced) socket.unref();
    return handle;
  }

  peerFor(handle: Handle, address: SocketAddress): Peer {
    if (address.family === "unix") throw this.unsupported("unixDatagrams");
    return this.#datagrams(handle)?.peer(address) ?? { address };
  }

  sendDatagram(handle: Handle, data: Uint8Array, peer: Peer | undefined): boolean {
    return this.#datagrams(handle)?.send(data, peer as PortablePeer | undefined) ?? false;
  }

  finishDatagrams(handle: Handle): void {
    this.#datagrams(handle)?.finish();
  }

  setMembership(handle: Handle, membership: Membership, joins: boolean): void {
    this.#datagrams(handle)?.setMembership(membership, joins);
  }

  setDatagramOptions(handle: Handle, settings: DatagramSettings): void {
    this.#datagrams(handle)?.set(settings);
  }

  datagramCounters(handle: Handle): DatagramCounters {
    return this.#datagrams(handle)?.counters() ?? NO_DATAGRAMS;
  }

  // Watches: Node tells of readiness only by reading -------------------------------------------------------------

  watch(_fd: number, _interest: WatchInterest): never {
    throw this.unsupported("watch");
  }

  setWatchInterest(_handle: Handle, _interest: WatchInterest): void {}

  // Processes ----------------------------------------------------------------------------------------------------

  openProcess(_pid: number): never {
    throw this.unsupported("processWatch");
  }

  processExit(_fd: number): undefined {}

  openPipe(): never {
    throw this.unsupported("childPipes");
  }

  // Commands to one handle ---------------------------------------------------------------------------------------

  totalOutbound(): number {
    return this.turn.unsent;
  }

  override close(handle: Handle): void {
    this.#table.get(handle)?.close();
  }

  override abort(handle: Handle): void {
    const entry = this.#table.get(handle);
    if (entry instanceof NodeStream) entry.abort();
    else entry?.close();
  }

  // TLS ----------------------------------------------------------------------------------------------------------

  createTlsContext(settings: TlsContextSettings): TlsContextId {
    return this.#tlsContexts.make(settings);
  }

  setTicketKeys(context: TlsContextId, keys: readonly Buffer[]): void {
    this.#tlsContexts.get(context)?.setTicketKeys(keys);
  }

  setStaple(context: TlsContextId, response: Buffer | undefined): void {
    this.#tlsContexts.get(context)?.setStaple(response);
  }

  releaseTlsContext(context: TlsContextId): void {
    this.#tlsContexts.release(context);
  }

  startTls(handle: Handle, start: TlsStart): void {
    const context = this.#tlsContexts.get(start.context);
    const stream = this.stream(handle);
    if (context === undefined || stream === undefined || !stream.takesOutput || stream.layer !== undefined) return;
    new SecureLayer(stream, this.turn, context, start);
  }

  answerServerName(handle: Handle, answer: TlsContextId | "same" | "refuse"): void {
    const context = typeof answer === "number" ? this.#tlsContexts.get(answer) : answer;
    this.#layer(handle)?.answerName(context ?? "refuse");
  }

  answerVerify(handle: Handle, accepted: boolean): void {
    this.#layer(handle)?.answerVerify(accepted);
  }

  tlsState(handle: Handle): TlsState | undefined {
    return this.#layer(handle)?.state;
  }

  tlsFailure(handle: Handle): TlsFailure {
    return this.#layer(handle)?.failure ?? { code: "", reason: "", alert: undefined, verifyError: undefined };
  }

  override localAddress(handle: Handle): SocketAddress | undefined {
    return this.#table.get(handle)?.localAddress;
  }
}

/** What holds the process for an entry. */
function heldBy(entry: Entry): { ref(): unknown; unref(): unknown } {
  return entry instanceof NodeStream ? entry.stream : entry;
}
