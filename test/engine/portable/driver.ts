import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";
import type { InetAddress, SocketAddress } from "../../../src/base/addresses.js";
import type { EngineEvents } from "../../../src/engine/engine.js";
import { PortableEngine } from "../../../src/engine/portable/portable_engine.js";
import type { ConnectOptions, Ended, Handle, ListenOptions } from "../../../src/engine/streams.js";

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

export interface Closing {
  handle: Handle;
  ended: Ended;
  errno: number;
  syscall: string;
  unsent: number;
  remote: SocketAddress | undefined;
  local: SocketAddress | undefined;
}

/** A reactor's part played by a test: it notes every event and lets the test wait for and react to them. */
export class Driver implements EngineEvents {
  readonly engine = new PortableEngine();
  /** "name handle" of every event but data, in order. */
  readonly log: string[] = [];
  readonly received = new Map<Handle, Buffer[]>();
  readonly acceptedHandles: Handle[] = [];
  readonly closings: Closing[] = [];
  react: Partial<{ [K in keyof EngineEvents]: (...args: Parameters<EngineEvents[K]>) => void }> = {};
  isInBatch = false;
  #waiters = new Set<() => void>();

  constructor() {
    this.engine.start(this);
  }

  /** Waits until `check` holds; it is looked at again after every event. */
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
        reject(new Error(`waited in vain for: ${what}; events: ${this.log.join(", ")}`));
      }, PATIENCE);
      this.#waiters.add(look);
    });
  }

  event(name: string, handle: Handle): Promise<void> {
    return this.until(() => this.log.includes(`${name} ${handle}`), `${name} ${handle}`);
  }

  async closing(handle: Handle): Promise<Closing> {
    await this.event("closed", handle);
    return this.closings.find((closing) => closing.handle === handle) as Closing;
  }

  bytes(handle: Handle): Buffer {
    return Buffer.concat(this.received.get(handle) ?? []);
  }

  async text(handle: Handle, expected: string): Promise<void> {
    await this.until(() => this.bytes(handle).length >= expected.length, `${expected.length} bytes on ${handle}`);
    assert.equal(this.bytes(handle).toString(), expected);
  }

  /** Listens on a loopback port. */
  async listen(options: Partial<ListenOptions> = {}): Promise<{ handle: Handle; address: InetAddress }> {
    const handle = this.engine.listen({ family: "IPv4", host: "127.0.0.1", port: 0 }, { ...LISTEN, ...options });
    await this.event("listening", handle);
    return { handle, address: this.engine.localAddress(handle) as InetAddress };
  }

  async nextAccepted(count = 1): Promise<Handle> {
    await this.until(() => this.acceptedHandles.length >= count, `accept number ${count}`);
    return this.acceptedHandles[count - 1] as Handle;
  }

  /** An engine connection with a plain node:net socket at its other end. */
  async pair(options: Partial<ListenOptions> = {}): Promise<{ handle: Handle; peer: Socket }> {
    const { handle: listener, address } = await this.listen(options);
    const count = this.acceptedHandles.length + 1;
    const peer = await dial(address);
    const handle = await this.nextAccepted(count);
    this.engine.close(listener);
    return { handle, peer };
  }

  /** Closes what is open and checks what must hold at the end of every test. */
  async tearDown(): Promise<void> {
    const handles = new Set(this.log.map((entry) => Number(entry.split(" ")[1])));
    for (const handle of handles) this.engine.close(handle);
    for (const handle of handles) await this.event("closed", handle);
    assert.equal(this.engine.totalOutbound(), 0);
    this.engine.stop();
  }

  enter(): void {
    assert.equal(this.isInBatch, false, "batches do not nest");
    this.isInBatch = true;
  }

  leave(): void {
    this.isInBatch = false;
    for (const look of this.#waiters) look();
  }

  timer(): void {
    this.react.timer?.();
  }

  ticks(): void {
    this.react.ticks?.();
    for (const look of this.#waiters) look();
  }

  listening(handle: Handle): void {
    this.#note("listening", handle);
    this.react.listening?.(handle);
  }

  accepted(listener: Handle, handle: Handle, ipv4: number, port: number): void {
    this.#note("accepted", handle);
    this.acceptedHandles.push(handle);
    this.react.accepted?.(listener, handle, ipv4, port);
  }

  connected(handle: Handle): void {
    this.#note("connected", handle);
    this.react.connected?.(handle);
  }

  data(handle: Handle, chunk: Buffer, start: number, end: number): void {
    this.#check(handle);
    const chunks = this.received.get(handle) ?? [];
    this.received.set(handle, chunks);
    chunks.push(chunk.subarray(start, end));
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
    const { engine } = this;
    this.#note("closed", handle);
    const [remote, local] = [engine.remoteAddress(handle), engine.localAddress(handle)];
    this.closings.push({ handle, ended, errno, syscall, unsent: engine.outboundSize(handle), remote, local });
    this.react.closed?.(handle, ended, errno, syscall);
  }

  #note(name: string, handle: Handle): void {
    this.#check(handle);
    this.log.push(`${name} ${handle}`);
  }

  #check(handle: Handle): void {
    assert.ok(this.isInBatch, "events come in batches");
    assert.ok(!this.log.includes(`closed ${handle}`), "nothing follows closed");
  }
}

/** Runs a test on a driver of its own, and ends it. */
export async function drive(test: (driver: Driver) => Promise<void>): Promise<void> {
  const driver = new Driver();
  try {
    await test(driver);
  } finally {
    await driver.tearDown();
  }
}

/** A node:net connection to this address. */
export async function dial(address: SocketAddress): Promise<Socket> {
  const socket = new Socket({ allowHalfOpen: true });
  socket.on("error", () => {});
  if (address.family === "unix") socket.connect({ path: address.path });
  else socket.connect({ host: address.host, port: address.port });
  await once(socket, "connect");
  return socket;
}

/** A node:net server on loopback. */
export async function serve(accept: (socket: Socket) => void): Promise<{ server: Server; address: InetAddress }> {
  const server = createServer({ allowHalfOpen: true }, accept);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, address: { family: "IPv4", host: "127.0.0.1", port: (server.address() as AddressInfo).port } };
}

/** All that comes until the peer's FIN. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.resume();
  await once(socket, "end", { signal: AbortSignal.timeout(PATIENCE) });
  return Buffer.concat(chunks);
}

export async function readText(socket: Socket, expected: string): Promise<void> {
  let text = "";
  const signal = AbortSignal.timeout(PATIENCE);
  while (text.length < expected.length) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) await once(socket, "readable", { signal });
    else text += chunk.toString();
  }
  assert.equal(text, expected);
}
