import { isIPv4 } from "node:net";
import type { SocketAddress } from "../../base/addresses.js";
import { SystemError } from "../../base/system_error.js";
import {
  type DatagramCounters,
  type DatagramEvents,
  type DatagramInfo,
  type DatagramOptions,
  type DatagramSettings,
  type Membership,
  NO_DATAGRAMS,
  type Peer,
} from "../datagrams.js";
import { HANDLE_INDEX_MASK, type Handle } from "../streams.js";
import type { Binding } from "./binding.js";
import { listenFile, plain } from "./call_arguments.js";
import {
  DatagramFlag,
  Family,
  Figure,
  Flag,
  MAX_PIECES,
  MAX_PLACES,
  NAME_ROOM,
  NAME_SHIFT,
  OUT_SLAB_SIZE,
  PLACE_HEAD,
  PLACE_SIZE,
  PlaceInfo,
  PlaceWord,
  Word,
} from "./layout.js";
import { LentBytes } from "./lent_bytes.js";
import { AF_INET, AF_INET6, IPV4_NAME, IPV6_NAME, type NativePeer, PeerTable } from "./native_peer.js";
import { type SharedViews, SMALL_WRITE, SYSCALLS } from "./ring.js";
import { checkResult } from "./socket_options.js";

const NO_NAME = new Uint8Array(0);
const MTU_DISCOVERY = { off: 0, want: 1, always: 2, probe: 3 } as const;
const EINVAL = -22;
const MAX_INT32 = 2 ** 31 - 1;

/** Where a datagram's head begins, in words, and its bytes. */
const PLACE_WORDS = PLACE_SIZE / 4;
const NAME_WORDS = NAME_ROOM / 4;

/**
 * The datagram facet of the native engine, made with its first datagram socket. Datagrams arrive in the places of an arena,
 * each behind a head of words; one event of the ring stands for all that one system call brought. What is sent goes the way of
 * a stream's output, with the peer's address in front of it.
 */
export class NativeDatagrams {
  readonly lending = new LentBytes(4096);
  readonly #native: Binding;
  readonly #loop: number;
  readonly #events: DatagramEvents;
  readonly #peers: PeerTable;
  readonly #shared: SharedViews;
  readonly #handles: Int32Array;
  readonly #flags: Uint8Array;
  readonly #outSlab: Buffer;
  readonly #outWords: Int32Array;
  /** The arena as words. */
  #heads = new Int32Array(0);
  /** Whose name the last piece has. */
  #lastPeer: NativePeer | undefined;
  #isStopped = false;

  constructor(native: Binding, loop: number, shared: SharedViews, outSlab: Buffer, events: DatagramEvents) {
    this.#native = native;
    this.#loop = loop;
    this.#events = events;
    this.#peers = new PeerTable(native);
    this.#shared = shared;
    this.#handles = shared.handles;
    this.#flags = shared.flags;
    this.#outSlab = outSlab;
    this.#outWords = new Int32Array(outSlab.buffer, outSlab.byteOffset, outSlab.length / 4);
    this.#openArena();
  }

  #openArena(): void {
    const arena = this.#native.arena(this.#loop)!;
    this.lending.use(arena);
    this.#heads = new Int32Array(arena);
  }

  /** Also lets go of the arena. */
  stop(): void {
    this.#isStopped = true;
    this.lending.use(new ArrayBuffer(0));
    this.#heads = new Int32Array(0);
  }

  // Commands -----------------------------------------------------------------------------------------------------

  open(address: SocketAddress, options: DatagramOptions): number | undefined {
    const flags =
      (options.reusePort ? DatagramFlag.reusePort : 0) |
      (options.reuseAddress ? DatagramFlag.reuseAddress : 0) |
      (options.ipv6Only ? DatagramFlag.ipv6Only : 0) |
      (options.broadcast ? DatagramFlag.broadcast : 0) |
      (options.packetInfo ? DatagramFlag.packetInfo : 0) |
      (options.trafficInfo ? DatagramFlag.trafficInfo : 0);
    const [file, mode] = listenFile(options.file);
    const discovery = options.mtuDiscovery === undefined ? -1 : MTU_DISCOVERY[options.mtuDiscovery];
    const [receive, send] = [options.receiveBufferSize ?? 0, options.sendBufferSize ?? 0];
    const limit = Math.min(options.sendLimit, MAX_INT32);
    const numbers = Int32Array.of(flags, receive, send, discovery, limit, mode);
    return this.#native.openDatagrams(this.#loop, ...plain(address), numbers, ...plain(options.remote), file);
  }

  peerFor(handle: Handle, address: SocketAddress): NativePeer {
    const packed = this.#native.packAddress(this.#loop, handle, ...plain(address));
    if (packed === undefined) throw new SystemError(EINVAL, "sendmsg");
    const words = new Int32Array(NAME_WORDS);
    new Uint8Array(words.buffer).set(packed.subarray(0, NAME_ROOM));
    return this.#peers.find(words, 0, packed.length);
  }

  send(handle: Handle, data: Uint8Array, peer: Peer | undefined): boolean {
    const index = handle & HANDLE_INDEX_MASK;
    if (!this.#isOpen(handle, index)) return false;
    const { length } = data;
    if (length > SMALL_WRITE) {
      const name = peer === undefined ? NO_NAME : (peer as NativePeer).bytes;
      this.#native.sendDatagram(this.#loop, handle, data, name);
      return (this.#flags[index]! & Flag.waits) === 0;
    }
    const { words, pieces, outbound, figures } = this.#shared;
    if (words[Word.outUsed]! + length + NAME_ROOM + 3 > OUT_SLAB_SIZE || words[Word.pieceCount]! >= MAX_PIECES) {
      this.#native.flush(this.#loop);
      if (!this.#isOpen(handle, index)) return false;
    }
    const count = words[Word.pieceCount]!;
    const at = count * 4;
    let offset = words[Word.outUsed]!;
    let name = 0;
    if (peer === undefined) {
      this.#lastPeer = undefined;
    } else if (peer === this.#lastPeer && count > 0 && pieces[at - 4] === handle) {
      name = pieces[at - 1]!;
    } else {
      this.#lastPeer = peer as NativePeer;
      const from = this.#lastPeer.words;
      const to = this.#outWords;
      let place = (offset + 3) >> 2;
      name = (place << NAME_SHIFT) | this.#lastPeer.length;
      for (let i = 0; i < from.length; i++) to[place++] = from[i]!;
      offset = place << 2;
    }
    if (length > 0) this.#outSlab.set(data, offset);
    pieces[at] = handle;
    pieces[at + 1] = offset;
    pieces[at + 2] = length;
    pieces[at + 3] = name;
    words[Word.pieceCount] = count + 1;
    words[Word.outUsed] = offset + length;
    outbound[index]! += length;
    figures[Figure.totalOutbound]! += length;
    return (this.#flags[index]! & Flag.waits) === 0;
  }

  #isOpen(handle: Handle, index: number): boolean {
    return this.#handles[index] === handle && (this.#flags[index]! & Flag.muted) === 0;
  }

  finish(handle: Handle): void {
    this.#native.finishDatagrams(this.#loop, handle);
  }

  setMembership(handle: Handle, { group, interface: by, source }: Membership, joins: boolean): void {
    const from = source === undefined ? Family.noFamily : familyOf(source);
    const result = this.#native.setMembership(
      this.#loop,
      handle,
      joins,
      familyOf(group),
      group,
      by ?? "",
      from,
      source ?? "",
    );
    checkResult(result, "setsockopt");
  }

  setOptions(handle: Handle, settings: DatagramSettings): void {
    const flag = (value: boolean | undefined) => (value === undefined ? -1 : value ? 1 : 0);
    const { broadcast, ttl = -1, multicastTtl = -1, multicastLoop, multicastInterface = "" } = settings;
    const numbers = Int32Array.of(flag(broadcast), ttl, multicastTtl, flag(multicastLoop));
    checkResult(this.#native.datagramOptions(this.#loop, handle, numbers, multicastInterface), "setsockopt");
  }

  /** Asks the kernel what it has dropped. */
  countDrops(): void {
    this.#native.countDrops(this.#loop);
  }

  counters(handle: Handle): DatagramCounters {
    const counted = this.#native.datagramCounters(this.#loop, handle);
    if (counted === undefined) return NO_DATAGRAMS;
    const [received, sent, bytesSent, dropped, receiveDrops] = counted;
    return { received, sent, bytesSent, dropped, receiveDrops };
  }

  // Events -------------------------------------------------------------------------------------------------------

  /** Delivers `count` places from `place` on, each of which is `step` of the arena's. */
  deliver(handle: Handle, place: number, step: number, count: number): void {
    // A program can detach the memory it was lent; it gets no more than a new window.
    if (this.lending.slab.length === 0) this.#openArena();
    const events = this.#events;
    const index = handle & HANDLE_INDEX_MASK;
    if (place < 0 || place + step * count > MAX_PLACES) return;
    for (let left = count; left > 0 && !this.#isStopped; left--, place += step) {
      if (this.#mayNotDeliver(handle, index, place, left, 0)) return;
      const heads = this.#heads;
      const at = place * PLACE_WORDS;
      const length = heads[at + PlaceWord.length]!;
      const nameLength = heads[at + PlaceWord.nameLength]!;
      if (length < 0 || length > step * PLACE_SIZE - PLACE_HEAD || nameLength < 0 || nameLength > NAME_ROOM) continue;
      const sender = this.#peers.find(heads, at + PlaceWord.name, nameLength);
      const info = heads[at + PlaceWord.info] === 0 ? undefined : this.#readInfo(heads, at);
      const segment = heads[at + PlaceWord.segment]!;
      const start = place * PLACE_SIZE + PLACE_HEAD;
      if (segment <= 0 || segment >= length) {
        events.datagram(handle, this.lending.slab, start, start + length, sender, info);
        continue;
      }
      for (let from = 0; from < length; from += segment) {
        if (from > 0 && this.#mayNotDeliver(handle, index, place, left, from)) return;
        const to = Math.min(from + segment, length);
        events.datagram(handle, this.lending.slab, start + from, start + to, sender, info);
      }
    }
  }

  /** True where the socket is closed, or paused: then the core takes back what is left, but for `skip` bytes. */
  #mayNotDeliver(handle: Handle, index: number, place: number, count: number, skip: number): boolean {
    if (this.#isStopped || this.#handles[index] !== handle) return true;
    const flags = this.#flags[index]!;
    if ((flags & (Flag.paused | Flag.muted)) === 0) return false;
    if ((flags & Flag.muted) === 0) this.#native.holdDatagrams(this.#loop, handle, place, count, skip);
    return true;
  }

  #readInfo(heads: Int32Array, at: number): DatagramInfo {
    const bits = heads[at + PlaceWord.info]!;
    const hasTraffic = (bits & PlaceInfo.traffic) !== 0;
    const hasDestination = (bits & (PlaceInfo.destination4 | PlaceInfo.destination6)) !== 0;
    return {
      destination: hasDestination ? this.#readDestination(heads, at, (bits & PlaceInfo.destination6) !== 0) : undefined,
      interfaceIndex: hasDestination ? heads[at + PlaceWord.interface]! : undefined,
      ttl: hasTraffic ? bits & 255 : undefined,
      ecn: hasTraffic ? (bits >> 8) & 3 : undefined,
    };
  }

  /** There are as few of them as of peers: they are met again in the same table, with port 0. */
  #readDestination(heads: Int32Array, at: number, isV6: boolean): string | undefined {
    const name = new Int32Array(isV6 ? IPV6_NAME / 4 : IPV4_NAME / 4);
    new Uint16Array(name.buffer)[0] = isV6 ? AF_INET6 : AF_INET;
    const from = at + PlaceWord.destination;
    name.set(heads.subarray(from, from + (isV6 ? 4 : 1)), isV6 ? 2 : 1);
    const { address } = this.#peers.find(name, 0, name.length * 4);
    return address.family === "unix" ? undefined : address.host;
  }

  /** The name lies in `slab`. */
  deliverFailure(handle: Handle, errno: number, syscall: number, slab: Buffer, offset: number, length: number): void {
    if ((this.#flags[handle & HANDLE_INDEX_MASK]! & Flag.silent) !== 0) return;
    let peer: NativePeer | undefined;
    if (length > 0 && length <= NAME_ROOM && offset >= 0 && offset % 4 === 0 && offset <= slab.length - NAME_ROOM) {
      peer = this.#peers.find(new Int32Array(slab.buffer, slab.byteOffset + offset, NAME_WORDS), 0, length);
    }
    this.#events.sendFailed(handle, errno, SYSCALLS[syscall] ?? "", peer);
  }
}

function familyOf(host: string): number {
  return isIPv4(host) ? Family.ipv4 : Family.ipv6;
}
