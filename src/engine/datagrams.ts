import type { SocketAddress } from "../base/addresses.js";
import type { Lending } from "./engine.js";
import type { Handle, ListenFile } from "./streams.js";

/**
 * The datagram facet of the contract between the reactor and its engines: UDP, and Unix datagram sockets.
 *
 * A datagram arrives and leaves whole, or not at all. Nothing that happens to one of them ends its socket.
 */

/** What a datagram that waits counts for beside its bytes: empty ones take memory too. */
export const DATAGRAM_OVERHEAD = 64;

/** Where a datagram came from, and where one goes: one object for a peer that is met often, made by the engine. */
export interface Peer {
  readonly address: SocketAddress;
}

/** What the kernel said of one datagram beside its sender; each only where it was asked for. */
export interface DatagramInfo {
  /** The address it was sent to (`packetInfo`). */
  readonly destination: string | undefined;
  /** The index of the interface it came in by (`packetInfo`). */
  readonly interfaceIndex: number | undefined;
  /** Hops that were left of its TTL or hop limit (`trafficInfo`). */
  readonly ttl: number | undefined;
  /** Its ECN bits, 0 to 3 (`trafficInfo`). */
  readonly ecn: number | undefined;
}

export interface DatagramOptions {
  /** Several sockets share the port, and the kernel spreads senders over them. Capability `reusePort`. */
  readonly reusePort: boolean;
  /** Several sockets share a multicast port, each with a copy of every datagram (SO_REUSEADDR). */
  readonly reuseAddress: boolean;
  readonly ipv6Only: boolean;
  readonly broadcast: boolean;
  readonly receiveBufferSize: number | undefined;
  readonly sendBufferSize: number | undefined;
  /** Tell of each datagram `destination` and `interfaceIndex`. Capability `packetInfo`. */
  readonly packetInfo: boolean;
  /** Tell of each datagram `ttl` and `ecn`. Capability `trafficInfo`. */
  readonly trafficInfo: boolean;
  /** IP_MTU_DISCOVER, undefined for the system's. Capability `mtuDiscovery`. */
  readonly mtuDiscovery: "off" | "want" | "always" | "probe" | undefined;
  /** The peer of a connected socket: nobody else is heard, and `sendDatagram` needs no peer. */
  readonly remote: SocketAddress | undefined;
  /** Of a Unix address that is a path, as a listener's. */
  readonly file: ListenFile | undefined;
  /**
   * How much may wait for the kernel, each datagram with DATAGRAM_OVERHEAD beside its bytes: what would be above it is dropped and
   * counted.
   */
  readonly sendLimit: number;
}

/** Multicast, each for one socket; `interface` is a literal address of ours or, for IPv6, an interface's index or name. */
export interface Membership {
  readonly group: string;
  readonly interface: string | undefined;
  /** Only what this address sends (source-specific). */
  readonly source: string | undefined;
}

export interface DatagramSettings {
  broadcast?: boolean;
  ttl?: number;
  multicastTtl?: number;
  multicastLoop?: boolean;
  multicastInterface?: string;
}

/**
 * Commands: down. As for streams, none calls an event, and one on a stale handle does nothing. `close`, `pause`, `resume`,
 * `awaitWritable`, `outboundSize` (bytes alone), `localAddress`, `lastRead`, `lastWrite`, `getSocketOption` and `setSocketOption` are
 * those of streams.
 */
export interface DatagramCommands {
  /**
   * What the bytes of a `datagram` are lent by, as those of `data` are by `lending`; undefined where the receiver may keep the
   * chunk, and before the first datagram socket.
   */
  readonly datagramLending: Lending | undefined;
  /** Opens and binds a socket, and connects it where `remote` says so. `listening` or `closed` follows. */
  openDatagrams(address: SocketAddress, options: DatagramOptions): Handle;
  /**
   * The engine's object for an address, to send to it often. Literal addresses only; an IPv4 address will do on a dual-stack
   * socket. Throws SystemError for what the socket's family has no address for.
   */
  peerFor(handle: Handle, address: SocketAddress): Peer;
  /**
   * Queues one datagram, behind what is queued: copied or with the kernel when this returns. Without a peer it goes to the connected
   * one. False: the kernel took no more before it, so that it waits, or was dropped above `sendLimit`; a `writable` that
   * is asked for follows when nothing waits any more.
   */
  sendDatagram(handle: Handle, data: Uint8Array, peer: Peer | undefined): boolean;
  /** Sends what is queued, then closes; `closed` follows. */
  finishDatagrams(handle: Handle): void;
  /** Joins or leaves a group; throws SystemError. */
  setMembership(handle: Handle, membership: Membership, joins: boolean): void;
  /** Throws SystemError; what stands before the one that failed is set. */
  setDatagramOptions(handle: Handle, settings: DatagramSettings): void;
  /** Answered also while `closed` is delivered; all zero for a stale handle. */
  datagramCounters(handle: Handle): DatagramCounters;
}

/** Of one socket, since it opened. */
export interface DatagramCounters {
  /** Datagrams that came in. */
  readonly received: number;
  /** Datagrams that the kernel took. */
  readonly sent: number;
  /** The bytes of these. */
  readonly bytesSent: number;
  /** Datagrams dropped by `sendLimit`. */
  readonly dropped: number;
  /**
   * Datagrams dropped because nobody took them in time: by an engine that holds them itself while it is paused, and by the kernel,
   * where the engine can tell (capability `receiveDrops`).
   */
  readonly receiveDrops: number;
}

/** Events: up. `listening`, `writable` and `closed` are those of streams. */
export interface DatagramEvents {
  /**
   * One datagram, bytes `start` to `end` of `chunk`, which may be none. Where the engine lends its buffers they are gone when
   * the call returns.
   */
  datagram(
    handle: Handle,
    chunk: Buffer,
    start: number,
    end: number,
    sender: Peer,
    info: DatagramInfo | undefined,
  ): void;
  /** One datagram could not be sent, or its address answered with an ICMP error. `errno` is negative. */
  sendFailed(handle: Handle, errno: number, syscall: string, peer: Peer | undefined): void;
}

/** Of a socket that is none any more. */
export const NO_DATAGRAMS: DatagramCounters = { received: 0, sent: 0, bytesSent: 0, dropped: 0, receiveDrops: 0 };
