import assert from "node:assert/strict";
import { once } from "node:events";
import net, { type AddressInfo, type Socket } from "node:net";
import { describe, test } from "node:test";
import {
  Connection,
  type ConnectOptions,
  type DuplexOptions,
  type EngineName,
  engineInfo,
  Reactor,
  type ServerOptions,
  toDuplex,
} from "eventmachine";

/** How long one test of a library may take. */
const LIMIT = 60_000;

/** A listening port whose connections arrive as sockets. */
export interface Served {
  readonly port: number;
  /** Sockets that were accepted, in order. */
  readonly sockets: Socket[];
  /** The nth of them, as soon as there is one. */
  socket(index?: number): Promise<Socket>;
  close(): Promise<void>;
}

/** Where a test's sockets come from: node:net, or a bridge over one of the engines. */
export interface Carrier {
  readonly name: string;
  /** Whether it is a bridge. */
  readonly isBridge: boolean;
  serve(onSocket?: (socket: Socket) => void, options?: DuplexOptions & ServerOptions): Promise<Served>;
  dial(port: number, options?: DuplexOptions & Omit<ConnectOptions, "signal">): Socket;
  /** Runs a test's body with the carrier at work; afterwards nothing may be left of it. */
  run(body: () => Promise<void>): Promise<void>;
}

/** What a test over node:net has opened; where it fails, nothing of it may keep the process. */
const opened: (net.Server | Socket)[] = [];

export const nodeNet: Carrier = {
  name: "node:net",
  isBridge: false,
  async serve(onSocket, { allowHalfOpen = false } = {}) {
    const sockets: Socket[] = [];
    const server = net.createServer({ allowHalfOpen, noDelay: true }, (socket) => {
      sockets.push(socket);
      opened.push(socket);
      onSocket?.(socket);
    });
    opened.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
      port: (server.address() as AddressInfo).port,
      sockets,
      socket: (index = 0) => nth(sockets, index),
      close: async () => {
        server.close();
        await once(server, "close");
      },
    };
  },
  dial: (port, { allowHalfOpen = false } = {}) => {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen, noDelay: true });
    opened.push(socket);
    return socket;
  },
  run: async (body) => {
    try {
      await body();
    } catch (error) {
      for (const each of opened)
        if (each instanceof net.Server) each.close();
        else each.destroy();
      throw error;
    } finally {
      opened.length = 0;
    }
  },
};

/** Connections of one reactor, seen as sockets. */
export class BridgeCarrier implements Carrier {
  readonly name: EngineName;
  readonly isBridge = true;
  reactor = new Reactor();

  constructor(engine: EngineName) {
    this.name = engine;
    const info = engineInfo(engine);
    assert.equal(info.engine, engine, `the ${engine} engine is not to be had here: ${info.reason}`);
  }

  async serve(
    onSocket: (socket: Socket) => void = () => {},
    { highWaterMark, ...options }: DuplexOptions & ServerOptions = {},
  ): Promise<Served> {
    const sockets: Socket[] = [];
    const streamOptions = duplexOptions(options.allowHalfOpen, highWaterMark);
    class Accepted extends Connection {
      override postInit(): void {
        const socket = toDuplex(this, streamOptions);
        sockets.push(socket);
        onSocket(socket);
      }
    }
    const listener = await this.reactor.startServer({ host: "127.0.0.1", port: 0, ...options }, Accepted);
    return {
      port: listener.port as number,
      sockets,
      socket: (index = 0) => nth(sockets, index),
      close: () => listener.close(),
    };
  }

  dial(port: number, { highWaterMark, ...options }: DuplexOptions & ConnectOptions = {}): Socket {
    const connection = this.reactor.connect({ host: "127.0.0.1", port, ...options });
    return toDuplex(connection, duplexOptions(options.allowHalfOpen, highWaterMark));
  }

  async run(body: () => Promise<void>): Promise<void> {
    this.reactor = new Reactor({ engine: this.name });
    await this.reactor.run(async () => {
      try {
        await body();
      } finally {
        this.reactor.stop();
      }
    });
    assert.equal(this.reactor.connectionCount, 0, "no connection is left");
  }
}

function duplexOptions(allowHalfOpen: boolean | undefined, highWaterMark: number | undefined): DuplexOptions {
  return {
    ...(allowHalfOpen === undefined ? {} : { allowHalfOpen }),
    ...(highWaterMark === undefined ? {} : { highWaterMark }),
  };
}

async function nth(sockets: Socket[], index: number): Promise<Socket> {
  await until(() => sockets.length > index, `socket ${index} is accepted`);
  return sockets[index] as Socket;
}

/** The bridges of this run: one for each engine in EVENTMACHINE_ENGINES. */
export function bridges(): BridgeCarrier[] {
  const names = (process.env.EVENTMACHINE_ENGINES ?? "native,portable").split(",");
  return names.map((name) => new BridgeCarrier(name as EngineName));
}

export interface CarrierSuite {
  readonly carrier: Carrier;
  test(name: string, body: (carrier: Carrier) => Promise<void>, limit?: number): void;
}

/** Runs an area's tests over node:net and over every bridge: what holds there has to hold here. */
export function onEveryCarrier(area: string, define: (suite: CarrierSuite) => void): void {
  for (const carrier of [nodeNet, ...bridges()]) {
    describe(`${area} over ${carrier.name}`, () => {
      define({
        carrier,
        test: (name, body, limit = LIMIT) => {
          test(name, { timeout: limit }, () => carrier.run(() => body(carrier)));
        },
      });
    });
  }
}

/** A script is run over node:net and over every bridge; what it has noted must be the same. */
export function sameAsNodeNet(
  name: string,
  script: (carrier: Carrier, note: (...what: unknown[]) => void) => Promise<void>,
): void {
  for (const bridge of bridges()) {
    test(`${name}: ${bridge.name} as node:net`, { timeout: LIMIT }, async () => {
      const expected = await notesOf(nodeNet, script);
      const found = await notesOf(bridge, script);
      assert.deepEqual(found, expected);
      assert.ok(expected.length > 0, "the script has noted something");
    });
  }
}

async function notesOf(
  carrier: Carrier,
  script: (carrier: Carrier, note: (...what: unknown[]) => void) => Promise<void>,
): Promise<string[]> {
  const notes: string[] = [];
  await carrier.run(() => script(carrier, (...what) => notes.push(what.map(String).join(" "))));
  // By who has noted it: the order of events at two ends is nobody's promise.
  return notes
    .map((text) => ({ text, actor: text.split(" ")[0] ?? "" }))
    .sort((a, b) => (a.actor < b.actor ? -1 : a.actor > b.actor ? 1 : 0))
    .map(({ text }) => text);
}

/** Waits for a condition, and fails with `what` where it does not come. */
export async function until(condition: () => boolean, what: string, limit = 20_000): Promise<void> {
  const end = performance.now() + limit;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${limit} ms`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Waits until a figure has stood still for a while, and returns it: what could move has moved. */
export async function standstill(figure: () => number, still = 150, limit = 20_000): Promise<number> {
  const end = performance.now() + limit;
  let last = figure();
  for (let since = performance.now(); performance.now() - since < still; await sleep(5)) {
    const now = figure();
    if (now === last) continue;
    if (performance.now() > end) throw new Error(`it still moves after ${limit} ms`);
    last = now;
    since = performance.now();
  }
  return last;
}

/**
 * Waits until what is looked at has stood still for many rounds of the loop, each of which asks the kernel anew: what the
 * other end of this process has sent has arrived by then. It counts rounds and no time, so that a process that is held up
 * for a while waits for as much.
 */
export async function settled(view: () => unknown, rounds = 30): Promise<void> {
  let last = JSON.stringify(view());
  for (let still = 0, total = 0; still < rounds; still++) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = JSON.stringify(view());
    if (now !== last) still = 0;
    last = now;
    if (++total > 100_000) throw new Error(`it does not settle: ${now}`);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** All that a socket gives until its end. */
export async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks);
}
