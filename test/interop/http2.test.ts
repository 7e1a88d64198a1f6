import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import type { Socket } from "node:net";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryCarrier, sameAsNodeNet, sleep, until } from "./carriers.js";
import { Gate } from "./gate.js";
import { bytesOf, identity, secured } from "./secured.js";

onEveryCarrier("node:http2", ({ test }) => {
  for (const secure of [false, true]) {
    test(`a server and a client${secure ? " over TLS" : ""}: many streams on one connection`, async (carrier) => {
      const large = pattern(2_000_000);
      const answer = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void => {
        stream.respond({ ":status": 200, path: headers[":path"] ?? "" });
        if (headers[":path"] === "/large") stream.end(large);
        else stream.pipe(stream);
      };
      const server = secure ? http2.createSecureServer(identity) : http2.createServer();
      server.on("stream", answer);
      const { port, close, sockets } = await carrier.serve((socket) => server.emit("connection", socket));
      const client = http2.connect(`${secure ? "https" : "http"}://localhost:${port}`, {
        createConnection: () =>
          secure ? secured(carrier, port, { ALPNProtocols: ["h2"] }) : (carrier.dial(port) as never),
      });
      const answers = await Promise.all(
        Array.from({ length: 50 }, async (_, n) => {
          const stream = client.request({ ":path": `/${n}`, ":method": "POST" });
          stream.end(`body ${n}`);
          return String(await bytesOf(stream));
        }),
      );
      assert.deepEqual(
        answers,
        Array.from({ length: 50 }, (_, n) => `body ${n}`),
      );
      sameBytes(await bytesOf(client.request({ ":path": "/large" })), large);
      assert.equal(sockets.length, 1);
      client.close();
      await once(client, "close");
      await close();
    });
  }
});

/** A question and its answer: behind them nothing of the beginning is under way any more. */
async function quiet(client: http2.ClientHttp2Session): Promise<void> {
  await new Promise((resolve) => client.ping(resolve));
  await sleep(10);
}

for (const how of ["reset", "end"] as const) {
  sameAsNodeNet(`http2: ${how === "end" ? "an end" : "a reset"} under a session`, async (carrier, note) => {
    const server = http2.createServer();
    server.on("sessionError", () => {});
    server.on("stream", (stream) => stream.on("error", () => {}));
    const { port, close, socket: accepted } = await carrier.serve((socket) => server.emit("connection", socket));
    const gate = await Gate.to(port);
    const client = http2.connect(`http://localhost:${port}`, { createConnection: () => carrier.dial(gate.port) });
    client.on("error", (error: NodeJS.ErrnoException) => note("session", error.code));
    const stream = client.request({ ":path": "/" });
    stream.on("error", (error: NodeJS.ErrnoException) => note("stream", error.code));
    stream.on("close", () => note("stream", "closed", stream.rstCode));
    await once(client, "connect");
    await accepted();
    const closed = new Promise((resolve) => client.once("close", resolve));
    await quiet(client);
    await gate[how]();
    await closed;
    note("closed");
    await gate.close();
    await close();
  });

  sameAsNodeNet(
    `http2: ${how === "end" ? "an end" : "a reset"} of the client under a server's session`,
    async (carrier, note) => {
      const server = http2.createServer();
      let isOver = false;
      server.on("session", (session) => {
        session.on("error", (error: NodeJS.ErrnoException) => note("session", error.code));
        session.on("close", () => {
          note("session", "closed");
          isOver = true;
        });
      });
      server.on("stream", (stream) => {
        stream.on("error", (error: NodeJS.ErrnoException) => note("stream", error.code));
        stream.on("aborted", () => note("stream", "aborted"));
        stream.on("close", () => note("stream", "closed", stream.rstCode));
      });
      const { port, close } = await carrier.serve((socket) => server.emit("connection", socket));
      let socket: Socket | undefined;
      const client = http2.connect(`http://localhost:${port}`, {
        createConnection: () => {
          socket = carrier.dial(port);
          return socket;
        },
      });
      client.on("error", () => {});
      const stream = client.request({ ":path": "/", ":method": "POST" });
      stream.on("error", () => {});
      await once(client, "connect");
      await quiet(client);
      if (how === "reset") socket?.resetAndDestroy();
      else socket?.end();
      await until(() => isOver, "the server's session ends");
      client.destroy();
      await close();
    },
  );
}

onEveryCarrier("node:http2 and peers that stand still", ({ test }) => {
  for (const side of ["client", "server"] as const) {
    test(`nothing of what the ${side} sends is lost`, async (carrier) => {
      const large = pattern(30_000_000);
      const settings = { initialWindowSize: 2 ** 26 };
      const server = http2.createServer({ settings });
      server.on("session", (session) => session.setLocalWindowSize(2 ** 26));
      server.on("stream", async (stream) => {
        stream.respond({ ":status": 200 });
        if (side === "server") stream.end(large);
        else stream.end(`${sameBytes(await bytesOf(stream), large) ?? "the same"}`);
      });
      const { port, close } = await carrier.serve((socket) => server.emit("connection", socket));
      const gate = await Gate.to(port);
      const client = http2.connect(`http://localhost:${port}`, {
        createConnection: () => carrier.dial(gate.port),
        settings,
      });
      await once(client, "connect");
      client.setLocalWindowSize(2 ** 26);
      await once(client, "remoteSettings");
      await sleep(20);
      gate.stall(side);
      const stream = client.request({ ":path": "/", ":method": "POST" });
      stream.end(side === "client" ? large : "");
      let isThere = false;
      const answered = bytesOf(stream).then((answer) => {
        isThere = true;
        return answer;
      });
      await sleep(100);
      assert.equal(isThere, false);
      gate.flow(side);
      if (side === "server") sameBytes(await answered, large);
      else assert.equal(String(await answered), "the same");
      client.close();
      await once(client, "close");
      await gate.close();
      await close();
    });
  }
});
