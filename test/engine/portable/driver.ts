import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";
import type { InetAddress, SocketAddress } from "../../../src/base/addresses.js";
import { PortableEngine } from "../../../src/engine/portable/portable_engine.js";
import type { Handle, ListenOptions } from "../../../src/engine/streams.js";
import { EngineDriver, LISTEN, LOOPBACK, PATIENCE } from "../driver.js";

export { CONNECT, LISTEN, PATIENCE } from "../driver.js";

/** Drives a portable engine of its own. */
export class Driver extends EngineDriver<PortableEngine> {
  constructor() {
    super(new PortableEngine());
  }

  /** The bytes are the receiver's own. */
  protected override kept(bytes: Buffer): Buffer {
    return bytes;
  }

  async text(handle: Handle, expected: string): Promise<void> {
    await this.until(() => this.bytes(handle).length >= expected.length, `${expected.length} bytes on ${handle}`);
    assert.equal(this.bytes(handle).toString(), expected);
  }

  /** Listens on a loopback port. */
  async listen(options: Partial<ListenOptions> = {}): Promise<{ handle: Handle; address: InetAddress }> {
    const handle = this.engine.listen(LOOPBACK, { ...LISTEN, ...options });
    await this.event("listening", handle);
    return { handle, address: this.engine.localAddress(handle) as InetAddress };
  }

  async nextAccepted(count = 1): Promise<Handle> {
    await this.until(() => this.accepts.length >= count, `accept number ${count}`);
    return this.accepts[count - 1] as Handle;
  }

  /** An engine connection with a plain node:net socket at its other end. */
  async pair(options: Partial<ListenOptions> = {}): Promise<{ handle: Handle; peer: Socket }> {
    const { handle: listener, address } = await this.listen(options);
    const count = this.accepts.length + 1;
    const peer = await dial(address);
    const handle = await this.nextAccepted(count);
    this.engine.close(listener);
    return { handle, peer };
  }

  /** Closes what is open and checks what must hold at the end of every test. */
  async tearDown(): Promise<void> {
    const named = this.log.filter((entry) => entry.includes(" "));
    const handles = new Set(named.map((entry) => Number(entry.split(" ")[1])));
    for (const handle of handles) this.engine.close(handle);
    for (const handle of handles) await this.event("closed", handle);
    assert.equal(this.engine.totalOutbound(), 0);
    this.engine.stop();
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
  if (address.family === "unix") socket.connect({ path: String(address.path) });
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
