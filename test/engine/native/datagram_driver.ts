import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { InetAddress, SocketAddress } from "../../../src/base/addresses.js";
import type { DatagramInfo, DatagramOptions, Peer } from "../../../src/engine/datagrams.js";
import type { Handle } from "../../../src/engine/streams.js";
import { Driver, LOOPBACK, NOTHING_HELD, native } from "./driver.js";

export const DATAGRAMS: DatagramOptions = {
  reusePort: false,
  reuseAddress: false,
  ipv6Only: false,
  broadcast: false,
  receiveBufferSize: undefined,
  sendBufferSize: undefined,
  packetInfo: false,
  trafficInfo: false,
  mtuDiscovery: undefined,
  remote: undefined,
  file: undefined,
  sendLimit: 1024 * 1024,
};

export const UNNAMED: SocketAddress = { family: "unix", path: "" };

/** One datagram that came: its bytes copied, its sender's object kept. */
export interface Came {
  readonly handle: Handle;
  readonly data: Buffer;
  readonly sender: Peer;
  readonly info: DatagramInfo | undefined;
}

export interface Failed {
  readonly handle: Handle;
  readonly errno: number;
  readonly syscall: string;
  readonly peer: Peer | undefined;
}

/** A driver that also takes datagrams. */
export class DatagramDriver extends Driver {
  readonly came: Came[] = [];
  readonly failed: Failed[] = [];
  onDatagram: ((came: Came, chunk: Buffer, start: number, end: number) => void) | undefined;

  override datagram(
    handle: Handle,
    chunk: Buffer,
    start: number,
    end: number,
    sender: Peer,
    info: DatagramInfo | undefined,
  ): void {
    if (!this.isInBatch) throw new Error("a datagram outside of a batch");
    if (this.has("closed", handle)) throw new Error("a datagram behind closed");
    const came = { handle, data: Buffer.from(chunk.subarray(start, end)), sender, info };
    this.came.push(came);
    this.onDatagram?.(came, chunk, start, end);
  }

  override sendFailed(handle: Handle, errno: number, syscall: string, peer: Peer | undefined): void {
    if (this.has("closed", handle)) throw new Error("a failure behind closed");
    this.failed.push({ handle, errno, syscall, peer });
  }

  async openDatagrams(options: Partial<DatagramOptions> = {}, address: SocketAddress = LOOPBACK): Promise<Handle> {
    const handle = this.engine.openDatagrams(address, { ...DATAGRAMS, ...options });
    await this.until(() => this.has("listening", handle) || this.has("closed", handle), "listening");
    return handle;
  }

  addressOf(handle: Handle): InetAddress {
    return this.engine.localAddress(handle) as InetAddress;
  }

  peerOf(from: Handle, to: Handle): Peer {
    return this.engine.peerFor(from, this.engine.localAddress(to) as SocketAddress);
  }

  send(from: Handle, data: string | Uint8Array, peer?: Peer): boolean {
    return this.engine.sendDatagram(from, typeof data === "string" ? Buffer.from(data) : data, peer);
  }

  to(handle: Handle): Buffer[] {
    return this.came.filter((each) => each.handle === handle).map(({ data }) => data);
  }

  textsTo(handle: Handle): string[] {
    return this.to(handle).map(String);
  }

  async gotDatagrams(handle: Handle, count: number): Promise<void> {
    await this.until(() => this.to(handle).length >= count, `${count} datagrams`);
  }
}

/** A socket of Node's own, for the other end. */
export async function nodeSocket(type: "udp4" | "udp6" = "udp4"): Promise<Socket> {
  const socket = createSocket(type);
  socket.bind(0, type === "udp4" ? "127.0.0.1" : "::1");
  await once(socket, "listening");
  return socket;
}

/** All that the addon has, but for memory that waits for the garbage collector, is given back. */
export async function assertNothingHeld(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 10));
  const { regions: _, ...counts } = native().liveCounts();
  assert.deepEqual(counts, NOTHING_HELD);
}
