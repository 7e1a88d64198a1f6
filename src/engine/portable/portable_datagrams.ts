import { createSocket, type RemoteInfo, type Socket, type SocketOptions } from "node:dgram";
import type { InetAddress, SocketAddress } from "../../base/addresses.js";
import { unmapAddress } from "../../base/addresses.js";
import {
  DATAGRAM_OVERHEAD,
  type DatagramCounters,
  type DatagramOptions,
  type DatagramSettings,
  type Membership,
} from "../datagrams.js";
import { errnoOf } from "../node/errno.js";
import type { EngineTurn } from "../node/turn.js";
import { Ended, type Handle } from "../streams.js";
import { DatagramPeers, type PortablePeer } from "./datagram_peers.js";
import { applySettings, setMembership } from "./datagram_settings.js";
import { withNamedZone } from "./zones.js";

/** How much is held of what comes in while nobody may be given it; node:dgram reads on all the same. */
const HELD_LIMIT = 1024 * 1024;

/** What came in while nobody could be given it. */
interface Held {
  readonly data: Buffer;
  readonly peer: PortablePeer;
}

/** A node:dgram socket. It is bound, and sends, within the call: names never reach it, so that nothing is looked up. */
export class PortableDatagrams {
  readonly handle: Handle;
  readonly #options: DatagramOptions;
  readonly #turn: EngineTurn;
  readonly #released: () => void;
  readonly #peers = new DatagramPeers();
  readonly #isIPv6: boolean;
  #socket: Socket | undefined;
  #local: InetAddress | undefined;
  /** `listening` was delivered. */
  #isOpen = false;
  #isPaused = false;
  #isFinishing = false;
  #hasEnded = false;
  #held: Held[] = [];
  #heldSize = 0;
  #delivers = false;
  /** Sends that node:dgram has not called back for. */
  #pending = 0;
  /** Of these: what libuv keeps because the kernel had no room, and their bytes. */
  #waiting = 0;
  #unsent = 0;
  #awaitsWritable = false;
  #received = 0;
  #sent = 0;
  #bytesSent = 0;
  #dropped = 0;
  #overflowed = 0;
  lastRead: number;
  lastWrite: number;

  constructor(handle: Handle, address: InetAddress, options: DatagramOptions, turn: EngineTurn, released: () => void) {
    this.handle = handle;
    this.#options = options;
    this.#turn = turn;
    this.#released = released;
    this.#isIPv6 = address.family === "IPv6";
    this.lastRead = performance.now();
    this.lastWrite = this.lastRead;
    try {
      this.#open(address);
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException);
    }
  }

  // Opening ------------------------------------------------------------------------------------------------------

  #open({ host, port }: InetAddress): void {
    const { reuseAddress, reusePort, ipv6Only, receiveBufferSize, sendBufferSize, broadcast, remote } = this.#options;
    const options: SocketOptions = {
      type: this.#isIPv6 ? "udp6" : "udp4",
      reuseAddr: reuseAddress,
      ipv6Only,
      lookup: literally,
      ...(reusePort ? { reusePort } : {}),
      ...(receiveBufferSize === undefined ? {} : { recvBufferSize: receiveBufferSize }),
      ...(sendBufferSize === undefined ? {} : { sendBufferSize }),
    };
    const socket = createSocket(options);
    this.#socket = socket;
    socket.on("error", (error: NodeJS.ErrnoException) => this.#failed(error));
    socket.on("message", (data, from) => this.#came(data, from));
    // Under node:cluster a worker's socket would be a share of the primary's; `exclusive` makes it our own.
    socket.bind({ port, address: withNamedZone(host), exclusive: true });
    if (this.#hasEnded) return;
    if (broadcast) socket.setBroadcast(true);
    if (remote === undefined || remote.family === "unix") this.#bound(socket);
    else {
      socket.once("connect", () => this.#bound(socket));
      socket.connect(remote.port, this.#hostOf(remote));
    }
  }

  #bound(socket: Socket): void {
    if (this.#hasEnded) return;
    const { address, port } = socket.address();
    this.#local = unmapAddress(address, port);
    this.#turn.defer(() => {
      if (this.#hasEnded) return;
      this.#isOpen = true;
      this.#turn.counters.events++;
      this.#turn.events.listening(this.handle);
      this.#deliverSoon();
    });
  }

  /** An IPv4 address on an IPv6 socket is one that is mapped. */
  #hostOf({ family, host }: InetAddress): string {
    return this.#isIPv6 && family === "IPv4" ? `::ffff:${host}` : withNamedZone(host);
  }

  ref(): void {
    if (!this.#hasEnded) this.#socket?.ref();
  }

  unref(): void {
    if (!this.#hasEnded) this.#socket?.unref();
  }

  /** A datagram socket is never what an adopted descriptor has to be. */
  *descriptors(): Generator<number> {}

  get localAddress(): SocketAddress | undefined {
    return this.#local;
  }

  peer(address: InetAddress): PortablePeer {
    return this.#peers.find(this.#hostOf(address), address.port);
  }

  // Input --------------------------------------------------------------------------------------------------------

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliverSoon();
  }

  #came(data: Buffer, { address, port }: RemoteInfo): void {
    if (this.#hasEnded || this.#isFinishing) return;
    const peer = this.#peers.find(address, port);
    if (this.#isOpen && !this.#isPaused && this.#held.length === 0) {
      this.#turn.batch(this.#deliver, this, { data, peer });
      return;
    }
    const size = data.length + DATAGRAM_OVERHEAD;
    if (this.#heldSize + size > HELD_LIMIT) {
      this.#overflowed++;
      this.#turn.counters.receiveDrops++;
      return;
    }
    this.#held.push({ data, peer });
    this.#heldSize += size;
  }

  #deliver({ data, peer }: Held): void {
    const { counters, events } = this.#turn;
    counters.events++;
    counters.bytesIn += data.length;
    this.#received++;
    this.lastRead = performance.now();
    events.datagram(this.handle, data, 0, data.length, peer, undefined);
  }

  #deliverSoon(): void {
    if (this.#held.length === 0 || this.#delivers) return;
    this.#delivers = true;
    this.#turn.defer(() => {
      this.#delivers = false;
      const due = this.#held;
      let next = 0;
      while (next < due.length && !this.#isPaused && !this.#hasEnded && !this.#isFinishing) {
        const held = due[next++] as Held;
        this.#heldSize -= held.data.length + DATAGRAM_OVERHEAD;
        this.#deliver(held);
      }
      this.#held = due.slice(next);
    });
  }

  // Output -------------------------------------------------------------------------------------------------------

  /** Bytes that wait for the kernel. */
  get outboundSize(): number {
    return this.#unsent;
  }

  send(data: Uint8Array, peer: PortablePeer | undefined): boolean {
    const socket = this.#socket;
    if (socket === undefined || this.#hasEnded || this.#isFinishing) return false;
    const waiting = this.#waiting > 0;
    if (waiting && this.#unsent + (this.#waiting + 1) * DATAGRAM_OVERHEAD + data.length > this.#options.sendLimit) {
      this.#dropped++;
      return false;
    }
    // libuv may keep it, and its caller may write over it.
    const bytes = Buffer.from(data);
    let waits = false;
    const done = (error: Error | null) => {
      if (waits) {
        this.#waiting--;
        this.#unsent -= bytes.length;
      }
      this.#left(error, bytes.length, peer);
    };
    this.#pending++;
    if (peer === undefined) socket.send(bytes, done);
    else socket.send(bytes, peer.address.port, peer.host, done);
    waits = (socket.getSendQueueSize?.() ?? 0) > 0;
    if (!waits) return true;
    this.#waiting++;
    this.#unsent += bytes.length;
    return false;
  }

  /** node:dgram calls back for one: the kernel has taken it, or refused. */
  #left(error: NodeJS.ErrnoException | null, size: number, peer: PortablePeer | undefined): void {
    this.#pending--;
    if (this.#hasEnded) return;
    if (error === null) {
      this.#sent++;
      this.#bytesSent += size;
      this.#turn.counters.bytesOut += size;
      this.lastWrite = performance.now();
    } else this.#sendFailed(error, peer);
    this.#writableSoon();
    if (this.#isFinishing && this.#pending === 0) this.#end(Ended.local, 0, "");
  }

  #sendFailed(error: NodeJS.ErrnoException, peer: PortablePeer | undefined): void {
    this.#turn.defer(() => {
      if (this.#hasEnded && !this.#isFinishing) return;
      this.#turn.counters.events++;
      this.#turn.events.sendFailed(this.handle, errnoOf(error), error.syscall ?? "send", peer);
    });
  }

  awaitWritable(): void {
    this.#awaitsWritable = true;
    this.#writableSoon();
  }

  #writableSoon(): void {
    if (!this.#awaitsWritable || this.#waiting > 0) return;
    this.#awaitsWritable = false;
    this.#turn.defer(() => {
      if (this.#hasEnded) return;
      this.#turn.counters.events++;
      this.#turn.events.writable(this.handle);
    });
  }

  // Settings -----------------------------------------------------------------------------------------------------

  setMembership(membership: Membership, joins: boolean): void {
    if (this.#socket !== undefined && !this.#hasEnded) setMembership(this.#socket, membership, joins);
  }

  set(settings: DatagramSettings): void {
    if (this.#socket !== undefined && !this.#hasEnded) applySettings(this.#socket, settings);
  }

  counters(): DatagramCounters {
    return {
      received: this.#received,
      sent: this.#sent,
      bytesSent: this.#bytesSent,
      dropped: this.#dropped,
      receiveDrops: this.#overflowed,
    };
  }

  // Ending -------------------------------------------------------------------------------------------------------

  finish(): void {
    if (this.#isFinishing) return;
    this.#isFinishing = true;
    if (this.#pending === 0) this.#end(Ended.local, 0, "");
  }

  close(): void {
    this.#isFinishing = false;
    this.#end(Ended.local, 0, "");
  }

  /** Before it is bound: it never will be. Afterwards: the peer of a connected socket answered with an ICMP error. */
  #failed(error: NodeJS.ErrnoException): void {
    if (this.#hasEnded) return;
    if (this.#local === undefined) this.#end(Ended.error, errnoOf(error), error.syscall ?? "bind");
    else this.#sendFailed(error, undefined);
  }

  #end(ended: Ended, errno: number, syscall: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    try {
      this.#socket?.close();
    } catch {
      // It has closed itself.
    }
    this.#turn.defer(() => {
      this.#turn.counters.events++;
      this.#turn.events.closed(this.handle, ended, errno, syscall);
      this.#released();
    });
  }
}

/** node:dgram looks every host up; ours are addresses already. */
function literally(
  host: string,
  family: unknown,
  found: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  found(null, host, family === 6 ? 6 : 4);
}
