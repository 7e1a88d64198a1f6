import type { SocketAddress } from "../../base/addresses.js";
import { StateError } from "../../base/errors.js";
import { unixName } from "../../base/unix_name.js";
import { CAPABILITIES, type Capability } from "../capabilities.js";
import type { EngineCounters } from "../counters.js";
import {
  type DatagramCounters,
  type DatagramOptions,
  type DatagramSettings,
  type Membership,
  NO_DATAGRAMS,
  type Peer,
} from "../datagrams.js";
import type { Engine, EngineEvents, Lending } from "../engine.js";
import { tooManyHandles } from "../handle_limit.js";
import type { RelayCommands } from "../relays.js";
import type { SocketOptions } from "../socket_options.js";
import { type ConnectOptions, HANDLE_INDEX_MASK, type Handle, type ListenOptions } from "../streams.js";
import type { TlsContextId, TlsContextSettings, TlsFailure, TlsStart, TlsState } from "../tls.js";
import type { WatchInterest } from "../watches.js";
import type { Binding } from "./binding.js";
import { listenFile, listenSettings, lowWater, plain } from "./call_arguments.js";
import { Flag, OneWay, Word } from "./layout.js";
import { NativeDatagrams } from "./native_datagrams.js";
import { NativeOutput } from "./native_output.js";
import * as processes from "./native_processes.js";
import { NativeRelays } from "./native_relays.js";
import { NativeTls } from "./native_tls.js";
import { watchFlags, watchHandle } from "./native_watches.js";
import type { SharedViews } from "./ring.js";
import { RingReader } from "./ring_reader.js";
import { checkResult, optionTriples, readCredentials, readError, readOption } from "./socket_options.js";

const ALL_CAPABILITIES: ReadonlySet<Capability> = new Set(Object.keys(CAPABILITIES) as Capability[]);

const ONE_WAY = { [OneWay.none]: undefined, [OneWay.reads]: "reads", [OneWay.writes]: "writes" } as const;

/**
 * The engine on epoll. The addon fills a ring with what has happened and calls once for the whole batch; small writes
 * and small questions need no call at all, for the tables they go by are shared.
 */
export class NativeEngine extends NativeOutput implements Engine {
  readonly name = "native";
  readonly capabilities = ALL_CAPABILITIES;
  readonly closesInOrder = true;
  readonly #tls: NativeTls;
  readonly #reader: RingReader;
  #shared: { readonly views: SharedViews; readonly events: EngineEvents } | undefined;
  #datagrams: NativeDatagrams | undefined;
  #relays: NativeRelays | undefined;
  readonly #triplesOf = new WeakMap<ConnectOptions, Int32Array>();

  constructor(native: Binding) {
    super(native);
    this.#tls = new NativeTls(native);
    this.#reader = new RingReader(native, this.lending, this.#tls);
  }

  start(events: EngineEvents): void {
    const views = this.open(this.#reader.dispatch, this.#reader.ticks);
    this.#reader.start(this.loop, views, events, this.clockOffset);
    this.#shared = { views, events };
  }

  stop(): void {
    if (this.loop < 0) return;
    this.#reader.stop();
    this.#datagrams?.stop();
    this.#datagrams = this.#reader.datagrams = this.#shared = undefined;
    this.#relays = undefined;
    this.shut();
  }

  // Opening ------------------------------------------------------------------------------------------------------

  listen(address: SocketAddress, options: ListenOptions): Handle {
    const [family, host, port] = plain(address);
    const triples = optionTriples(options, this.native.constants);
    const settings = listenSettings(options);
    return this.#opened(
      this.native.listen(this.loop, family, host, port, triples, ...settings, ...listenFile(options.file)),
    );
  }

  adoptListener(fd: number, options: ListenOptions): Handle {
    const triples = optionTriples(options, this.native.constants);
    return this.#opened(this.native.adoptListener(this.loop, fd, triples, ...listenSettings(options)));
  }

  connect(address: SocketAddress, options: ConnectOptions): Handle {
    const [family, host, port] = plain(address);
    const triples = this.#triples(options);
    const local = plain(options.localAddress);
    const low = lowWater(options.lowWaterMark);
    return this.#opened(this.native.connect(this.loop, family, host, port, triples, options.halfOpen, low, ...local));
  }

  adoptStream(fd: number, options: ConnectOptions): Handle {
    const triples = this.#triples(options);
    const low = lowWater(options.lowWaterMark);
    return this.#opened(this.native.adoptStream(this.loop, fd, triples, options.halfOpen, low));
  }

  /** Clients made the same way share their options, and these the list. */
  #triples(options: ConnectOptions): Int32Array {
    let triples = this.#triplesOf.get(options);
    if (triples === undefined) {
      triples = optionTriples(options, this.native.constants);
      this.#triplesOf.set(options, triples);
    }
    return triples;
  }

  oneWay(handle: Handle): "reads" | "writes" | undefined {
    return ONE_WAY[this.native.oneWay(this.loop, handle) ?? OneWay.none];
  }

  #opened(handle: number | undefined): Handle {
    if (handle === undefined) throw new StateError("ERR_EM_NOT_RUNNING", "the native engine is not started");
    if (handle < 0) throw tooManyHandles();
    return handle;
  }

  // Input --------------------------------------------------------------------------------------------------------

  pause(handle: Handle): void {
    const index = handle & HANDLE_INDEX_MASK;
    if (this.handles[index] === handle) this.flags[index]! |= Flag.paused;
  }

  resume(handle: Handle): void {
    const index = handle & HANDLE_INDEX_MASK;
    if (this.handles[index] !== handle) return;
    if ((this.flags[index]! & Flag.needsResume) !== 0) this.native.resume(this.loop, handle);
    else this.flags[index]! &= ~Flag.paused;
  }

  holdBack(handle: Handle, _chunk: Buffer, start: number, end: number): void {
    this.native.hold(this.loop, handle, start, end - start);
  }

  // Ends ---------------------------------------------------------------------------------------------------------

  holdOpen(handle: Handle): void {
    this.native.holdOpen(this.loop, handle);
  }

  shutdown(handle: Handle): void {
    this.native.shutdown(this.loop, handle);
  }

  finish(handle: Handle): void {
    this.native.finish(this.loop, handle);
  }

  close(handle: Handle): void {
    this.native.closeHandle(this.loop, handle);
  }

  abort(handle: Handle): void {
    this.native.abort(this.loop, handle);
  }

  detach(handle: Handle): void {
    this.native.detach(this.loop, handle);
  }

  takeDetached(handle: Handle): { fd: number; unread: Buffer } {
    const taken = this.native.takeDetached(this.loop, handle);
    if (taken === undefined) throw new StateError("ERR_EM_NOT_DETACHED", "this handle has no descriptor to take");
    return { fd: taken[0], unread: taken[1] };
  }

  get relays(): RelayCommands | undefined {
    if (this.#shared !== undefined) this.#relays ??= new NativeRelays(this.native, this.loop);
    return this.#relays;
  }

  // Datagrams ----------------------------------------------------------------------------------------------------

  get datagramLending(): Lending | undefined {
    return this.#datagrams?.lending;
  }

  openDatagrams(address: SocketAddress, options: DatagramOptions): Handle {
    return this.#opened(this.#withDatagrams()?.open(address, options));
  }

  #withDatagrams(): NativeDatagrams | undefined {
    if (this.#datagrams !== undefined || this.#shared === undefined) return this.#datagrams;
    const { views, events } = this.#shared;
    this.#datagrams = new NativeDatagrams(this.native, this.loop, views, this.outSlab, events);
    this.#reader.datagrams = this.#datagrams;
    return this.#datagrams;
  }

  peerFor(handle: Handle, address: SocketAddress): Peer {
    const peer = this.#withDatagrams()?.peerFor(handle, address);
    if (peer === undefined) throw new StateError("ERR_EM_NOT_RUNNING", "the native engine is not started");
    return peer;
  }

  sendDatagram(handle: Handle, data: Uint8Array, peer: Peer | undefined): boolean {
    return this.#datagrams?.send(handle, data, peer) ?? false;
  }

  finishDatagrams(handle: Handle): void {
    this.native.finishDatagrams(this.loop, handle);
  }

  setMembership(handle: Handle, membership: Membership, joins: boolean): void {
    this.#datagrams?.setMembership(handle, membership, joins);
  }

  setDatagramOptions(handle: Handle, settings: DatagramSettings): void {
    this.#datagrams?.setOptions(handle, settings);
  }

  override counters(): EngineCounters {
    this.#datagrams?.countDrops();
    return super.counters();
  }

  datagramCounters(handle: Handle): DatagramCounters {
    return this.#datagrams?.counters(handle) ?? NO_DATAGRAMS;
  }

  // Watches ------------------------------------------------------------------------------------------------------

  watch(fd: number, interest: WatchInterest): Handle {
    const answer = this.native.watch(this.loop, fd, watchFlags(interest));
    return this.#opened(answer === undefined ? undefined : watchHandle(answer));
  }

  setWatchInterest(handle: Handle, interest: WatchInterest): void {
    this.native.watchFlags(this.loop, handle, watchFlags(interest));
  }

  // Processes ----------------------------------------------------------------------------------------------------

  openProcess(pid: number): number {
    return processes.openProcess(this.native, pid);
  }

  processExit(fd: number) {
    return processes.processExit(this.native, fd);
  }

  openPipe(): [number, number] {
    return processes.openPipe(this.native);
  }

  // TLS ----------------------------------------------------------------------------------------------------------

  createTlsContext(settings: TlsContextSettings): TlsContextId {
    return this.#tls.createContext(this.loop, settings);
  }

  setTicketKeys(context: TlsContextId, keys: readonly Buffer[]): void {
    this.native.setTicketKeys(this.loop, context, Buffer.concat(keys));
  }

  setStaple(context: TlsContextId, response: Buffer | undefined): void {
    this.native.setStaple(this.loop, context, response ?? Buffer.alloc(0));
  }

  releaseTlsContext(context: TlsContextId): void {
    this.native.releaseTlsContext(this.loop, context);
  }

  undelivered(handle: Handle): number {
    return this.native.undelivered(this.loop, handle);
  }

  startTls(handle: Handle, start: TlsStart): void {
    this.#tls.start(this.loop, handle, start);
  }

  answerServerName(handle: Handle, answer: TlsContextId | "same" | "refuse"): void {
    this.#tls.answerServerName(this.loop, handle, answer);
  }

  answerVerify(handle: Handle, accepted: boolean): void {
    this.native.answerVerify(this.loop, handle, accepted);
  }

  tlsState(handle: Handle): TlsState | undefined {
    return this.#tls.state(this.loop, handle);
  }

  tlsFailure(handle: Handle): TlsFailure {
    return this.#tls.failure(this.loop, handle);
  }

  tlsTruncated(handle: Handle): boolean | undefined {
    return this.native.tlsTruncated(this.loop, handle);
  }

  // Options and questions ----------------------------------------------------------------------------------------

  setOptions(handle: Handle, options: SocketOptions & { keepAliveOff?: boolean }): void {
    const triples = optionTriples(options, this.native.constants);
    checkResult(this.native.setOptions(this.loop, handle, triples), "setsockopt");
  }

  getSocketOption(handle: Handle, level: number, name: number, size: number): Buffer {
    return readOption(this.native, this.loop, handle, level, name, size);
  }

  setSocketOption(handle: Handle, level: number, name: number, value: Uint8Array): void {
    checkResult(this.native.setOption(this.loop, handle, level, name, value), "setsockopt");
  }

  socketError(handle: Handle): number {
    return readError(this.native, this.loop, handle);
  }

  unacknowledged(handle: Handle): number {
    return this.native.unacknowledged(this.loop, handle);
  }

  localAddress(handle: Handle): SocketAddress | undefined {
    return this.#address(handle, false);
  }

  remoteAddress(handle: Handle): SocketAddress | undefined {
    return this.#address(handle, true);
  }

  #address(handle: Handle, peer: boolean): SocketAddress | undefined {
    const text = this.native.address(this.loop, handle, peer);
    if (text === undefined) return undefined;
    if (typeof text !== "string") return { family: "unix", path: unixName(text) };
    const family = this.words[Word.addressFamily]!;
    return { family: family === 4 ? "IPv4" : "IPv6", host: text, port: this.words[Word.addressPort]! };
  }

  peerCredentials(handle: Handle): { pid: number; uid: number; gid: number } {
    return readCredentials(this.native, this.loop, handle);
  }
}
