import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { InetAddress, SocketAddress } from "../../../src/base/addresses.js";
import type { Engine, EngineEvents } from "../../../src/engine/engine.js";
import { loadNative } from "../../../src/engine/native/addon.js";
import { type ConnectOptions, Ended, type Handle, type ListenOptions } from "../../../src/engine/streams.js";
import type { TlsCommands, TlsEvents, TlsFailure } from "../../../src/engine/tls.js";

const PATIENCE = 10_000;

export const LISTEN: ListenOptions = {
  backlog: 128,
  reusePort: false,
  ipv6Only: false,
  halfOpen: false,
  acceptQuota: 64,
  maxConnections: Number.POSITIVE_INFINITY,
  whenFull: "pause",
  lowWaterMark: 16 * 1024,
};

export const CONNECT: ConnectOptions = { halfOpen: false, lowWaterMark: 16 * 1024 };
export const LOOPBACK: InetAddress = { family: "IPv4", host: "127.0.0.1", port: 0 };

export interface Closing {
  handle: Handle;
  ended: Ended;
  errno: number;
  syscall: string;
  unsent: number;
  remote: SocketAddress | undefined;
  local: SocketAddress | undefined;
  failure: TlsFailure | undefined;
  truncated: boolean | undefined;
}

export function native() {
  const support = loadNative();
  if ("reason" in support) throw new Error(support.reason);
  return support;
}

const drivers = new Set<Driver>();

/** For `afterEach`: a test that failed leaves its engine running, which would keep the process. */
export function stopDrivers(): void {
  for (const driver of drivers) driver.engine.stop();
  drivers.clear();
}

type AllEvents = EngineEvents & TlsEvents;
type Reactions = { [K in keyof AllEvents]?: (...args: Parameters<AllEvents[K]>) => void };

/** Plays the reactor's part: notes every event, and lets a test wait for and react to them. */
export class Driver implements EngineEvents, TlsEvents {
  readonly engine = native().create() as Engine & TlsCommands;
  readonly log: string[] = [];
  readonly received = new Map<Handle, Buffer[]>();
  readonly accepts: Handle[] = [];
  readonly closings: Closing[] = [];
  react: Reactions = {};
  #depth = 0;
  #waiters = new Set<() => void>();

  constructor() {
    drivers.add(this);
    this.engine.start(this);
  }

  async until(check: () => boolean, what: string): Promise<void> {
    if (check()) return;
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!check()) return;
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(look);
        reject(new Error(`waited in vain: ${what}; events: ${this.log.join(", ")}`));
      }, PATIENCE);
      this.#waiters.add(look);
    });
  }

  async listen(options: Partial<ListenOptions> = {}, address: SocketAddress = LOOPBACK) {
    const listener = this.engine.listen(address, { ...LISTEN, ...options });
    await this.until(() => this.has("listening", listener), "listening");
    return { listener, address: this.engine.localAddress(listener) as InetAddress };
  }

  /** A connection over loopback with both ends on this engine. */
  async pair(options: Partial<ListenOptions> = {}, address?: SocketAddress) {
    const { listener, address: at } = await this.listen(options, address);
    const client = this.engine.connect(at, { ...CONNECT, halfOpen: options.halfOpen ?? false });
    const before = this.accepts.length;
    await this.until(() => this.accepts.length > before && this.has("connected", client), "a pair");
    return { listener, client, server: this.accepts.at(-1) as Handle };
  }

  /** An accepted connection whose other end is a plain socket. */
  async withPeer(options: Partial<ListenOptions> = {}) {
    const { listener, address } = await this.listen(options);
    const peer = connect({ port: address.port, host: address.host, allowHalfOpen: true });
    peer.on("error", () => {});
    const before = this.accepts.length;
    await this.until(() => this.accepts.length > before, "accepted");
    return { listener, peer, server: this.accepts.at(-1) as Handle };
  }

  has(event: string, handle: Handle): boolean {
    return this.log.includes(`${event} ${handle}`);
  }

  bytes(handle: Handle): Buffer {
    return Buffer.concat(this.received.get(handle) ?? []);
  }

  async gets(handle: Handle, length: number): Promise<Buffer> {
    const size = () => (this.received.get(handle) ?? []).reduce((sum, part) => sum + part.length, 0);
    await this.until(() => size() >= length, `${length} bytes`);
    return this.bytes(handle);
  }

  async closing(handle: Handle): Promise<Closing> {
    await this.until(() => this.closings.some((closing) => closing.handle === handle), `closed ${handle}`);
    return this.closings.find((closing) => closing.handle === handle) as Closing;
  }

  /** Lets the engine take a few turns, so that what must not happen would have happened. */
  async settle(): Promise<void> {
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Closes what is left, waits for every `closed`, and stops the engine. */
  async finish(...handles: Handle[]): Promise<void> {
    for (const handle of [...handles, ...this.accepts]) this.engine.close(handle);
    for (const handle of handles) await this.closing(handle);
    for (const handle of this.accepts) await this.closing(handle);
    this.engine.stop();
  }

  enter(): void {
    assert.equal(this.#depth++, 0);
    this.react.enter?.();
  }

  leave(): void {
    this.#depth--;
    this.react.leave?.();
    for (const look of [...this.#waiters]) look();
  }

  timer(): void {
    this.log.push("timer");
    this.react.timer?.();
  }

  ticks(): void {
    this.log.push("ticks");
    this.react.ticks?.();
    for (const look of [...this.#waiters]) look();
  }

  listening(handle: Handle): void {
    this.#note("listening", handle);
    this.react.listening?.(handle);
  }

  accepted(listener: Handle, handle: Handle, ipv4: number, port: number): void {
    this.#note("accepted", handle);
    this.accepts.push(handle);
    this.react.accepted?.(listener, handle, ipv4, port);
  }

  connected(handle: Handle): void {
    this.#note("connected", handle);
    this.react.connected?.(handle);
  }

  data(handle: Handle, chunk: Buffer, start: number, end: number): void {
    assert.equal(this.#depth, 1);
    assert.ok(end > start);
    const list = this.received.get(handle) ?? [];
    list.push(Buffer.from(chunk.subarray(start, end)));
    this.received.set(handle, list);
    this.log.push(`data ${handle}`);
    this.react.data?.(handle, chunk, start, end);
  }

  end(handle: Handle): void {
    this.#note("end", handle);
    this.react.end?.(handle);
  }

  writable(handle: Handle): void {
    this.#note("writable", handle);
    this.react.writable?.(handle);
  }

  fileSent(handle: Handle): void {
    this.#note("fileSent", handle);
    this.react.fileSent?.(handle);
  }

  tlsServerName(handle: Handle, name: string): void {
    this.#note("tlsServerName", handle);
    this.react.tlsServerName?.(handle, name);
  }

  tlsVerify(handle: Handle): void {
    this.#note("tlsVerify", handle);
    this.react.tlsVerify?.(handle);
  }

  secured(handle: Handle): void {
    this.#note("secured", handle);
    this.react.secured?.(handle);
  }

  tlsSession(handle: Handle, session: Buffer): void {
    this.#note("tlsSession", handle);
    this.react.tlsSession?.(handle, session);
  }

  tlsKeyLog(handle: Handle, line: string): void {
    this.#note("tlsKeyLog", handle);
    this.react.tlsKeyLog?.(handle, line);
  }

  closed(handle: Handle, ended: Ended, errno: number, syscall: string): void {
    assert.ok(!this.has("closed", handle), `closed twice: ${handle}`);
    this.#note("closed", handle);
    const { engine } = this;
    this.closings.push({
      handle,
      ended,
      errno,
      syscall,
      unsent: engine.outboundSize(handle),
      remote: engine.remoteAddress(handle),
      local: engine.localAddress(handle),
      failure: ended === Ended.tls ? engine.tlsFailure(handle) : undefined,
      truncated: engine.tlsTruncated(handle),
    });
    this.react.closed?.(handle, ended, errno, syscall);
  }

  #note(event: string, handle: Handle): void {
    assert.equal(this.#depth, 1, `${event} outside a batch`);
    assert.ok(!this.has("closed", handle), `${event} after closed: ${handle}`);
    this.log.push(`${event} ${handle}`);
  }
}

export async function rawServer(onConnection: (socket: Socket) => void): Promise<{ server: Server; at: InetAddress }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, at: { family: "IPv4", host: "127.0.0.1", port: (server.address() as AddressInfo).port } };
}

const PERIOD = 65_521; // a prime: it falls in step with no buffer's size
const ONCE = Buffer.from(Array.from({ length: PERIOD }, (_, i) => (i * 31 + (i >> 8)) & 0xff));

/** Bytes that tell where they belong. */
export function pattern(length: number, from = 0): Buffer {
  const start = from % PERIOD;
  const repeated: Buffer[] = [];
  for (let size = 0; size < start + length; size += PERIOD) repeated.push(ONCE);
  return Buffer.concat(repeated).subarray(start, start + length);
}
