import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { InetAddress, SocketAddress } from "../../../src/base/addresses.js";
import { loadNative } from "../../../src/engine/native/addon.js";
import type { Handle, ListenOptions } from "../../../src/engine/streams.js";
import { CONNECT, EngineDriver, LISTEN, LOOPBACK } from "../driver.js";

export { type Closing, CONNECT, LISTEN, LOOPBACK } from "../driver.js";

/** What the addon counts when all is torn down, but for memory that waits for the garbage collector. */
export const NOTHING_HELD = {
  loops: 0,
  handles: 0,
  descriptors: 0,
  chunks: 0,
  unread: 0,
  tls: 0,
  tlsContexts: 0,
  fileReads: 0,
};

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

function create() {
  return native().create();
}

/** Drives a native engine of its own. */
export class Driver extends EngineDriver<ReturnType<typeof create>> {
  constructor() {
    super(create());
    drivers.add(this);
  }

  /** The engine lends its bytes. */
  protected override kept(bytes: Buffer): Buffer {
    return Buffer.from(bytes);
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

  async gets(handle: Handle, length: number): Promise<Buffer> {
    const size = () => (this.received.get(handle) ?? []).reduce((sum, part) => sum + part.length, 0);
    await this.until(() => size() >= length, `${length} bytes`);
    return this.bytes(handle);
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
