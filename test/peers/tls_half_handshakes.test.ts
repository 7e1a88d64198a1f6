import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { connect as secure } from "node:tls";
import { Child } from "../support/child.js";
import { program } from "../support/paths.js";
import { until } from "../support/wait.js";

const KiB = 1024;
const PEERS = 1_000;
/** What the first of them fill for all: the heap of JavaScript, OpenSSL's tables. */
const WARM = 100;
const MOST = 48 * KiB;

/** The hello of a node:tls client. */
async function hello(): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = secure({ port, host: "127.0.0.1" }).on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(
    socket.on("error", () => {}),
    "data",
  )) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

function declares(length: number): Buffer {
  return Buffer.from([22, 3, 1, 0, 104, 1, length >> 16, (length >> 8) & 0xff, length & 0xff, ...Buffer.alloc(100)]);
}

const STAGES: Record<string, () => Promise<Buffer | undefined>> = {
  "that says nothing": async () => undefined,
  "that stops half way in its hello": async () => (await hello()).subarray(0, 100),
  "that declares the longest hello": async () => declares(16_384),
  "that stops when it has the server's answer": hello,
};

for (const [what, bytesOf] of Object.entries(STAGES)) {
  test(`a peer ${what} holds at most 48 KiB`, async () => {
    const bytes = await bytesOf();
    const half = program(import.meta.url, "./programs/half_handshakes.js");
    await using server = new Child(process.execPath, ["--expose-gc", half]);
    const port = Number(await server.line());
    const look = async () => {
      server.say("look");
      return JSON.parse(await server.line()) as { open: number; resident: number };
    };
    const sockets: Socket[] = [];
    const grow = async (count: number) => {
      while (sockets.length < count) {
        const socket = connect(port, "127.0.0.1").on("error", () => {});
        sockets.push(socket);
        await once(socket, "connect");
        if (bytes !== undefined) socket.write(bytes);
        socket.resume();
      }
      await until(async () => (await look()).open === count, "all are there");
      let before = 0;
      // Until every hello has been read.
      await until(async () => {
        const { resident } = await look();
        const still = Math.abs(resident - before) < 64 * KiB;
        before = resident;
        return still;
      }, "the memory stands still");
      return before;
    };
    const before = await grow(WARM);
    const each = ((await grow(WARM + PEERS)) - before) / PEERS;
    assert.ok(each < MOST, `${(each / KiB).toFixed(1)} KiB`);
    for (const socket of sockets) socket.destroy();
  });
}
