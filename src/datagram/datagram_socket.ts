import { types } from "node:util";
import { describe, type SocketAddress } from "../base/addresses.js";
import { checkBoolean, checkInteger } from "../base/checks.js";
import { ArgumentError, type EventMachineError, StateError } from "../base/errors.js";
import { Connection, type SendData } from "../connection/connection.js";
import { State } from "../core/stream_port.js";
import type { DatagramCounters, DatagramInfo, DatagramSettings } from "../engine/datagrams.js";
import {
  checkDestination,
  checkInterface,
  checkMembership,
  type DatagramDestination,
  type MulticastOptions,
} from "../options/datagram_options.js";
import { DatagramTransport } from "./datagram_transport.js";

/** What a datagram socket has counted since it opened. */
export interface DatagramSocketCounters extends DatagramCounters {
  /** Sends that failed: `sendFailed` was called for each. */
  readonly failed: number;
}

/**
 * A datagram socket (UDP, or a Unix datagram socket), driven by callbacks: extend it and hand the class to `openDatagramSocket`. A
 * class that needs nothing of what is added here may extend `Connection` as well, and serve streams too.
 *
 * Order: constructor, `postInit`, `receiveData`…, `unbind`. The socket is open from the start, and nothing that happens to one
 * datagram closes it. What only a stream can do throws `ERR_EM_NOT_A_STREAM`: `startTls`, `secured`, `sendFileData`,
 * `streamFileData`, `for await`, `halfClose`, `detach`, `reconnect`, `setWaterMarks`, `setNoDelay`, `enableKeepalive`,
 * `disableKeepalive`, `setTcpUserTimeout`, `peerCredentials`, setting `pendingConnectTimeout` and `outboundLimit`, `toDuplex`, `toWeb`.
 */
export class DatagramSocket extends Connection {
  // Callbacks ----------------------------------------------------------------------------------------------------

  /**
   * One whole datagram, which may be empty, and who sent it. `sendData` in here answers the sender, until this returns. Without an
   * override it is counted in `bytesDiscarded` and gone.
   */
  override receiveData(data: Buffer, sender: SocketAddress): unknown {
    return super.receiveData(data, sender);
  }

  /**
   * A datagram to this address was not sent: it is too large (`EMSGSIZE`), its name was not resolved (`ENOTFOUND`), nobody listens there
   * (`ECONNREFUSED`, from an ICMP message, and then it may be one that was sent before; on sockets that are not connected only with the
   * capability `datagramErrors`). The socket goes on.
   */
  sendFailed(_error: EventMachineError, _address: DatagramDestination | undefined): unknown {
    return undefined;
  }

  // Sending ------------------------------------------------------------------------------------------------------

  /**
   * Sends one datagram, which may be empty. The bytes are copied or sent when this returns, and order is kept for each destination. A
   * name is resolved by the reactor's resolver; what waits for it waits in order and delays no other destination. On a connected
   * socket the address has to be its peer's. (send_datagram.)
   *
   * Returns false when the caller should stop producing, for the kernel takes no more: one `drained` follows, when nothing waits. What
   * would be over `outboundLimit` is dropped, and counted in `counters.dropped`. Also false on a socket that is closing or closed.
   *
   * Throws ArgumentError for anything but bytes and text, and for what is no address.
   *
   * ```ts
   * const socket = await reactor.openDatagramSocket({ host: "0.0.0.0", port: 0 });
   * socket.sendDatagram("requests:1|c", { host: "statsd.example", port: 8125 });
   * ```
   */
  sendDatagram(data: SendData, address: DatagramDestination): boolean {
    const transport = this.#transport("sendDatagram");
    const bytes = toBytes(data);
    if (transport.remote === undefined) return transport.sendTo(bytes, address);
    checkPeer(address, transport.remote);
    return transport.sendBytes(bytes);
  }

  // The datagram under delivery ----------------------------------------------------------------------------------

  /**
   * What the kernel said of the datagram that `receiveData` is being called with, where the options asked for it: `destination` and
   * `interfaceIndex` (`packetInfo`), `ttl` and `ecn` (`trafficInfo`). Undefined without them, and outside of `receiveData`.
   */
  get datagramInfo(): DatagramInfo | undefined {
    return this.#transport("datagramInfo").info;
  }

  /** Datagrams since the socket opened: received, sent, dropped, failed, and those nobody took in time (`receiveDrops`). */
  get counters(): DatagramSocketCounters {
    return this.#transport("counters").counters;
  }

  // Settings -----------------------------------------------------------------------------------------------------

  /** Lets the socket send to broadcast addresses, or no more. Throws SystemError. */
  setBroadcast(on = true): void {
    this.#set("setBroadcast", { broadcast: checkBoolean(on, "on") });
  }

  /** The TTL (hop limit) of what is sent: 1 to 255. Throws SystemError. */
  setTtl(hops: number): void {
    this.#set("setTtl", { ttl: checkInteger(hops, "hops", 1, 255) });
  }

  /** The TTL of what is sent to groups: 0 to 255; the system's default 1 stays in the local network. Throws SystemError. */
  setMulticastTtl(hops: number): void {
    this.#set("setMulticastTtl", { multicastTtl: checkInteger(hops, "hops", 0, 255) });
  }

  /** Whether members of a group on this machine get what the socket sends to it; they do by default. Throws SystemError. */
  setMulticastLoop(on = true): void {
    this.#set("setMulticastLoop", { multicastLoop: checkBoolean(on, "on") });
  }

  /**
   * By which interface what is sent to groups leaves: an address of it on an IPv4 socket, its name or index on an IPv6 one. Throws
   * SystemError.
   */
  setMulticastInterface(to: string | number): void {
    const multicastInterface = checkInterface(to);
    if (multicastInterface === undefined) throw new ArgumentError(`interface must be given, not ${describe(to)}`);
    this.#set("setMulticastInterface", { multicastInterface });
  }

  /**
   * Hears what is sent to a group, and to the socket's port; with `source` only what that address sends. Throws SystemError.
   *
   * ```ts
   * const socket = await reactor.openDatagramSocket({ host: "0.0.0.0", port: 5353, reuseAddress: true });
   * socket.joinMulticast("239.1.2.3", { interface: "192.0.2.7" });
   * ```
   */
  joinMulticast(group: string, options: MulticastOptions = {}): void {
    this.#setMembership("joinMulticast", group, options, true);
  }

  /** Leaves a group, with the options it was joined with. Throws SystemError. */
  leaveMulticast(group: string, options: MulticastOptions = {}): void {
    this.#setMembership("leaveMulticast", group, options, false);
  }

  #setMembership(method: string, group: string, options: MulticastOptions, joins: boolean): void {
    const transport = this.#open(method);
    const membership = checkMembership(group, options);
    transport.reachEngine((engine, handle) => engine.setMembership(handle, membership, joins));
  }

  #set(method: string, settings: DatagramSettings): void {
    this.#open(method).reachEngine((engine, handle) => engine.setDatagramOptions(handle, settings));
  }

  // Insides ------------------------------------------------------------------------------------------------------

  #open(method: string): DatagramTransport {
    const transport = this.#transport(method);
    if (transport.state === State.open) return transport;
    const error = new StateError("ERR_EM_NOT_OPEN", `${method} needs an open socket; this one is ${this.state}`);
    throw transport.asEnd(error);
  }

  #transport(method: string): DatagramTransport {
    const life = Connection.lifeOf(this);
    if (life instanceof DatagramTransport) return life;
    throw new StateError(
      "ERR_EM_NOT_A_DATAGRAM_SOCKET",
      `${method} is for datagram sockets, and this connection is a stream`,
    );
  }
}

/** A connected socket sends to its peer alone. */
function checkPeer(address: DatagramDestination, peer: SocketAddress): void {
  const given = checkDestination(address, "address");
  const isPeer =
    peer.family === "unix"
      ? given.family === "unix" && Buffer.from(given.path).equals(Buffer.from(peer.path))
      : given.family !== "unix" && given.host === peer.host && given.port === peer.port;
  if (!isPeer) throw new ArgumentError("address must be the peer's, for the socket is connected to it");
}

function toBytes(data: SendData): Uint8Array {
  if (data instanceof Uint8Array || types.isUint8Array(data)) return data;
  if (typeof data === "string") return Buffer.from(data);
  if (Array.isArray(data) && data.every((piece) => typeof piece === "string" || types.isUint8Array(piece))) {
    return Buffer.concat(
      data.map((piece: Uint8Array | string) => (typeof piece === "string" ? Buffer.from(piece) : piece)),
    );
  }
  throw new ArgumentError(`data must be a Buffer, a Uint8Array, a string or an array of them, not ${describe(data)}`);
}
