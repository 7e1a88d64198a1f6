import cluster from "node:cluster";
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
import { type EngineTurn, Turn } from "../node/turn.js";
import type { SocketOptions } from "../socket_options.js";
import type { ConnectOptions, Handle, ListenOptions } from "../streams.js";
import type { TlsContextId, TlsContextSettings, TlsFailure, TlsStart, TlsState } from "../tls.js";
import type { WatchInterest } from "../watches.js";
import type { PortablePeer } from "./datagram_peers.js";
import { checkDatagramOptions } from "./datagram_settings.js";
import { Deadline } from "./deadline.js";
import { HandleTable } from "./handle_table.js";
import { type ListenerOwner, PortableListener } from "./listener.js";
import { type DescriptorOwner, forgetOwner, ownedFailure, registerOwner } from "./owned_descriptors.js";
import { PortableDatagrams } from "./portable_datagrams.js";
import { inetEnds, textName, UNNAMED } from "./socket_addresses.js";
import { applyOptions, checkOptions, unsupported } from "./socket_options.js";
import { PortableStream, type StreamSettings } from "./stream.js";
import { TlsContextTable } from "./tls_contexts.js";
import { withNamedZone } from "./zones.js";

const LONGEST_INTERVAL = 2 ** 31 - 1;

/** Before Node 22.12 `reusePort` is silently ignored. */
function hasReusePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 12);
}

function findCapabilities(): Set<Capability> {
  const found = new Set<Capability>(["tls", "datagrams"]);
  if (process.platform !== "win32") {
    found.add("adoptStream");
    // In a cluster worker node:net would ask the primary to listen on its descriptor of that number.
    if (!cluster.isWorker) found.add("adoptListener");
  }
  if (hasReusePort()) found.add("reusePort");
  return found;
}

/** The engine for every platform and runtime: node:net's sockets under the contract of `StreamCommands`. */
export class PortableEngine implements Engine, ListenerOwner, DescriptorOwner {
  readonly name = "portable";
  readonly capabilities: ReadonlySet<Capability> = findCapabilities();
  readonly lending = undefined;
  readonly datagramLending = undefined;
  readonly closesInOrder = true;

  readonly #table = new HandleTable<PortableStream | PortableListener | PortableDatagrams>();
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
    for (const entry of this.#table.entries()) entry.ref();
  }

  unref(): void {
    if (!this.#isReferenced) return;
    this.#isReferenced = false;
    clearInterval(this.#holdsProcess);
    for (const entry of this.#table.entries()) entry.unref();
  }

  now(): number {
    return performance.now();
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
    checkOptions(options, this.capabilities);
    if (options.reusePort) this.#require("reusePort");
    const listener = new PortableListener(this.#table.reserve(), options, this);
    this.#table.put(listener);
    return listener;
  }

  connect(address: SocketAddress, options: ConnectOptions): Handle {
    checkOptions(options, this.capabilities);
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

  #connected({ stream, address }: { stream: PortableStream; address: SocketAddress }): void {
    stream.open(address.family === "unix" ? { local: UNNAMED, remote: address } : inetEnds(stream.socket));
    this.#tellConnected(stream);
  }

  #tellConnected(stream: PortableStream): void {
    this.#counters.connected++;
    this.#counters.events++;
    this.turn.events.connected(stream.handle);
  }

  adoptStream(fd: number, options: ConnectOptions): Handle {
    this.#require("adoptStream");
    checkOptions(options, this.capabilities);
    let socket: Socket | undefined;
    let failure = ownedFailure(fd);
    try {
      if (failure === undefined) socket = new Socket({ fd, allowHalfOpen: true });
    } catch (error) {
      failure = error as NodeJS.ErrnoException;
    }
    socket ??= new Socket();
    const stream = this.#newStream(socket, options);
    if (failure !== undefined) {
      stream.failed(failure);
      return stream.handle;
    }
    applyOptions(socket, options);
    if (!this.#isReferenced) socket.unref();
    this.turn.defer(() => {
      if (!stream.hasEnded) this.#tellConnected(stream);
    });
    const isInet = socket.localAddress !== undefined;
    stream.open(isInet ? inetEnds(socket) : { local: UNNAMED, remote: UNNAMED }, true);
    return stream.handle;
  }

  #newStream(socket: Socket, settings: StreamSettings, listener?: PortableListener): PortableStream {
    const handle = this.#table.reserve();
    const stream = new PortableStream(handle, socket, settings, this.turn, () => {
      this.#table.release(handle);
      listener?.connectionReleased();
    });
    this.#table.put(stream);
    return stream;
  }

  adopt(socket: Socket, listener: PortableListener): PortableStream | undefined {
    if (this.#table.isFull) return undefined;
    if (!this.#isReferenced) socket.unref();
    return this.#newStream(socket, listener.options, listener);
  }

  listenerReleased(listener: PortableListener): void {
    this.#table.release(listener.handle);
  }

  *descriptors(): Generator<number> {
    for (const entry of this.#table.entries()) yield* entry.descriptors();
  }

  #require(capability: Capability): void {
    if (!this.capabilities.has(capability)) throw unsupported(capability);
  }

  #stream(handle: Handle): PortableStream | undefined {
    const entry = this.#table.get(handle);
    return entry instanceof PortableStream ? entry : undefined;
  }

  #datagrams(handle: Handle): PortableDatagrams | undefined {
    const entry = this.#table.get(handle);
    return entry instanceof PortableDatagrams ? entry : undefined;
  }

  /** What streams and datagram sockets have in common. */
  #socket(handle: Handle): PortableStream | PortableDatagrams | undefined {
    const entry = this.#table.get(handle);
    return entry instanceof PortableListener ? undefined : entry;
  }

  // Datagrams ----------------------------------------------------------------------------------------------------

  openDatagrams(address: SocketAddress, options: DatagramOptions): Handle {
    if (address.family === "unix") throw unsupported("unixDatagrams");
    checkDatagramOptions(options, this.capabilities);
    const handle = this.#table.reserve();
    const socket = new PortableDatagrams(handle, address, options, this.turn, () => this.#table.release(handle));
    this.#table.put(socket);
    if (!this.#isReferenced) socket.unref();
    return handle;
  }

  peerFor(handle: Handle, address: SocketAddress): Peer {
    if (address.family === "unix") throw unsupported("unixDatagrams");
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
    throw unsupported("watch");
  }

  setWatchInterest(_handle: Handle, _interest: WatchInterest): void {}

  // Commands to one handle ---------------------------------------------------------------------------------------

  write(handle: Handle, data: Uint8Array): void {
    this.#stream(handle)?.write(data);
  }

  writeString(handle: Handle, text: string, encoding: BufferEncoding): number {
    return this.#stream(handle)?.writeText(text, encoding) ?? 0;
  }

  sendFile(handle: Handle, fd: number, offset: number, length: number): void {
    this.#stream(handle)?.sendFile(fd, offset, length);
  }

  outboundSize(handle: Handle): number {
    return this.#socket(handle)?.outboundSize ?? 0;
  }

  totalOutbound(): number {
    return this.turn.unsent;
  }

  awaitWritable(handle: Handle): void {
    this.#socket(handle)?.awaitWritable();
  }

  setLowWaterMark(handle: Handle, bytes: number): void {
    this.#stream(handle)?.setLowWaterMark(bytes);
  }

  pause(handle: Handle): void {
    this.#socket(handle)?.pause();
  }

  resume(handle: Handle): void {
    this.#socket(handle)?.resume();
  }

  holdOpen(handle: Handle): void {
    this.#stream(handle)?.holdOpen();
  }

  shutdown(handle: Handle): void {
    this.#stream(handle)?.shutdown();
  }

  finish(handle: Handle): void {
    this.#stream(handle)?.finish();
  }

  close(handle: Handle): void {
    this.#table.get(handle)?.close();
  }

  abort(handle: Handle): void {
    const entry = this.#table.get(handle);
    if (entry instanceof PortableStream) entry.abort();
    else entry?.close();
  }

  detach(_handle: Handle): void {
    throw unsupported("detach");
  }

  takeDetached(_handle: Handle): never {
    throw unsupported("detach");
  }

  setOptions(handle: Handle, options: SocketOptions & { keepAliveOff?: boolean }): void {
    checkOptions(options, this.capabilities);
    const stream = this.#stream(handle);
    if (stream !== undefined && !stream.hasEnded) applyOptions(stream.socket, options);
  }

  getSocketOption(_handle: Handle, _level: number, _name: number, _size: number): never {
    throw unsupported("socketOptions");
  }

  setSocketOption(_handle: Handle, _level: number, _name: number, _value: Uint8Array): never {
    throw unsupported("socketOptions");
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

  undelivered(handle: Handle): number {
    return this.#stream(handle)?.undelivered ?? 0;
  }

  startTls(handle: Handle, start: TlsStart): void {
    const context = this.#tlsContexts.get(start.context);
    if (context !== undefined) this.#stream(handle)?.startTls(context, start);
  }

  answerServerName(handle: Handle, answer: TlsContextId | "same" | "refuse"): void {
    const context = typeof answer === "number" ? this.#tlsContexts.get(answer) : answer;
    this.#stream(handle)?.answerServerName(context ?? "refuse");
  }

  answerVerify(handle: Handle, accepted: boolean): void {
    this.#stream(handle)?.answerVerify(accepted);
  }

  tlsState(handle: Handle): TlsState | undefined {
    return this.#stream(handle)?.tlsState;
  }

  tlsFailure(handle: Handle): TlsFailure {
    return this.#stream(handle)?.tlsFailure ?? { code: "", reason: "", alert: undefined, verifyError: undefined };
  }

  /** node:tls makes the same end of both. */
  tlsTruncated(_handle: Handle): undefined {
    return undefined;
  }

  // Questions ----------------------------------------------------------------------------------------------------

  /** node:net keeps SO_ERROR to itself and reports it as the connection's failure: that is what this answers. */
  socketError(handle: Handle): number {
    return this.#stream(handle)?.errno ?? 0;
  }

  /** node:net does not tell. */
  unacknowledged(_handle: Handle): number {
    return 0;
  }

  localAddress(handle: Handle): SocketAddress | undefined {
    return this.#table.get(handle)?.localAddress;
  }

  remoteAddress(handle: Handle): SocketAddress | undefined {
    return this.#stream(handle)?.remoteAddress;
  }

  peerCredentials(_handle: Handle): never {
    throw unsupported("peerCredentials");
  }

  lastRead(handle: Handle): number {
    return this.#socket(handle)?.lastRead ?? 0;
  }

  lastWrite(handle: Handle): number {
    return this.#socket(handle)?.lastWrite ?? 0;
  }
}
