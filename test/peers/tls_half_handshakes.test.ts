import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import { Child } from "../support/child.js";
import { program } from "../support/paths.js";
import { AUTHORITY } from "../support/pki.js";
import { answerOf, helloOf as hello, listening, message, record, records, TYPE } from "../support/tls_flights.js";
import { until } from "../support/wait.js";

const KiB = 1024;
/** OpenSSL 3.5 (Node 22 and later) has larger objects, and offers a key of ML-KEM beside that of X25519. */
const MOST = (process.versions.openssl.startsWith("3.0.") ? 48 : 72) * KiB;
/** What the first of them fill for all: the heap of JavaScript, OpenSSL's tables. */
const WARM = 100;
/** So many more in each step of the growth. All of them stay below the 1,024 handshakes that a listener has under way. */
const PEERS = 300;
const STEPS = 3;

/** A name of a protocol that makes a hello as long as may be. */
const LONG: ConnectionOptions = { ALPNProtocols: Array.from({ length: 57 }, (_, n) => `${n}`.padEnd(250, "x")) };

/** The handshake's other end: each connection says `first`, and `second` after the first answer. */
interface Stage {
  role: "server" | "client";
  /** What OpenSSL keeps of messages that have come whole, in bytes. */
  kept?: number;
  options?: object;
  first?: Buffer;
  second?: Buffer;
}

const OLD = { maxVersion: "TLSv1.2" } as const;
const ASKING = { requestCertificate: true, ca: AUTHORITY };
/** All but the last byte of it. */
function nearly(bytes: Buffer): Buffer {
  return bytes.subarray(0, -1);
}

const PARTLY = record(TYPE.handshake, Buffer.alloc(16_384)).subarray(0, 14_000);
const SEALED = record(TYPE.applicationData, Buffer.alloc(16_384)).subarray(0, 14_000);
const CHAIN = 32_768;

const STAGES: Record<string, () => Promise<Stage>> = {
  "a client that says nothing": async () => ({ role: "server" }),
  "a client that stops half way in its hello": async () => ({
    role: "server",
    first: (await hello()).subarray(0, 100),
  }),
  "a client that declares the longest hello": async () => ({
    role: "server",
    first: records(message(TYPE.clientHello, 16_384)).subarray(0, 100),
  }),
  "a client that sends the longest hello in one record": async () => ({
    role: "server",
    first: nearly(records(message(TYPE.clientHello, 16_384))),
  }),
  "a client that sends the longest hello in many": async () => ({
    role: "server",
    first: nearly(records(message(TYPE.clientHello, 16_384), 3_000)),
  }),
  "a client that sends the longest hello in tiny ones": async () => ({
    role: "server",
    first: nearly(records(message(TYPE.clientHello, 16_384), 20)),
  }),
  "a client that begins a hello and then a long record": async () => ({
    role: "server",
    first: Buffer.concat([records(message(TYPE.clientHello, 16_384).subarray(0, 100)), PARTLY]),
  }),
  "a client that stops when it has the answer": async () => ({ role: "server", first: await hello() }),
  "a client that stops when it has the answer, TLS 1.2": async () => ({
    role: "server",
    options: OLD,
    first: await hello(OLD),
  }),
  "a client that answers in a long record": async () => ({ role: "server", first: await hello(), second: SEALED }),
  "a client that answers in a long record, TLS 1.2": async () => ({
    role: "server",
    options: OLD,
    first: await hello(OLD),
    second: PARTLY,
  }),
  "a client with a long hello that answers in a long record": async () => ({
    role: "server",
    kept: 16 * KiB,
    first: await hello(LONG),
    second: SEALED,
  }),
  "a client that sends the longest chain, TLS 1.2": async () => ({
    role: "server",
    options: { ...OLD, ...ASKING },
    first: await hello(OLD),
    second: nearly(records(message(TYPE.certificate, CHAIN))),
  }),
  "a client that sends the longest chain in small records, TLS 1.2": async () => ({
    role: "server",
    options: { ...OLD, ...ASKING },
    first: await hello(OLD),
    second: nearly(records(message(TYPE.certificate, CHAIN), 4_000)),
  }),
  "a client with a long hello that sends the longest chain, TLS 1.2": async () => ({
    role: "server",
    kept: 32 * KiB,
    options: { ...OLD, ...ASKING },
    first: await hello({ ...OLD, ...LONG }),
    second: nearly(records(message(TYPE.certificate, CHAIN))),
  }),
  "a client with a long hello that sends the longest chain in small records, TLS 1.2": async () => ({
    role: "server",
    kept: 32 * KiB,
    options: { ...OLD, ...ASKING },
    first: await hello({ ...OLD, ...LONG }),
    second: nearly(records(message(TYPE.certificate, CHAIN), 4_000)),
  }),
  "a server that says nothing": async () => ({ role: "client" }),
  "a server whose hello is a long record": async () => ({ role: "client", first: PARTLY }),
  "a server that sends the longest chain, TLS 1.2": async () => ({
    role: "client",
    options: OLD,
    first: Buffer.concat([(await answerOf()).hello, nearly(records(message(TYPE.certificate, CHAIN)))]),
  }),
  "a server that sends the longest chain in small records, TLS 1.2": async () => ({
    role: "client",
    options: OLD,
    first: Buffer.concat([(await answerOf()).hello, nearly(records(message(TYPE.certificate, CHAIN), 4_000))]),
  }),
  "a server that declares an endless key exchange, TLS 1.2": async () => ({
    role: "client",
    kept: 8 * KiB,
    options: OLD,
    first: Buffer.concat([(await answerOf()).certified, nearly(records(message(TYPE.serverKeyExchange, 16_384)))]),
  }),
};

for (const [what, make] of Object.entries(STAGES)) {
  test(`a handshake holds at most ${MOST / KiB} KiB for ${what}`, async () => {
    const stage = await make();
    const half = program(import.meta.url, "./programs/half_handshakes.js");
    const told = JSON.stringify({ role: stage.role, ...stage.options });
    await using child = new Child(process.execPath, ["--expose-gc", half, told]);
    const sockets: Socket[] = [];
    const takePart = (socket: Socket) => {
      sockets.push(socket.on("error", () => {}));
      if (stage.first !== undefined) socket.write(stage.first);
      socket.once("data", () => {
        if (stage.second !== undefined) socket.write(stage.second);
        socket.resume();
      });
    };
    const server = createServer(takePart);
    const port = stage.role === "server" ? Number(await child.line()) : await listening(server);
    const look = async () => {
      child.say("look");
      return child.json<{ open: number; resident: number }>();
    };
    const grow = async (count: number) => {
      for (let n = sockets.length; n < count; n++) {
        if (stage.role === "client") {
          child.say(`connect ${port}`);
          if (n % 10 === 0) await until(() => sockets.length >= n, "another ten");
        } else {
          const socket = connect(port, "127.0.0.1");
          await once(socket, "connect");
          takePart(socket);
        }
      }
      await until(() => sockets.length === count, "all are connected");
      await until(async () => (await look()).open === count, "all are there");
      let before = 0;
      // Until all of it has been read.
      await until(async () => {
        const { resident } = await look();
        const still = Math.abs(resident - before) < 64 * KiB;
        before = resident;
        return still;
      }, "the memory stands still");
      return before;
    };
    try {
      let size = await grow(WARM);
      const costs: number[] = [];
      for (let step = 1; step <= STEPS; step++) {
        const before = size;
        size = await grow(WARM + step * PEERS);
        costs.push((size - before) / PEERS / KiB);
      }
      // What the process sets aside for itself meanwhile comes now and then; what each peer costs comes every time.
      const each = Math.min(...costs) * KiB;
      assert.ok(each < MOST + (stage.kept ?? 0), `${costs.map((cost) => cost.toFixed(1)).join(", ")} KiB`);
      assert.equal((await look()).open, WARM + STEPS * PEERS, "none has ended");
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
}
