import assert from "node:assert/strict";
import { once } from "node:events";
import tls from "node:tls";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryCarrier, sameAsNodeNet, settled, standstill, until } from "./carriers.js";
import { bytesOf, identity, secured } from "./secured.js";

onEveryCarrier("node:tls", ({ test }) => {
  test("a TLSSocket on either side: bytes both ways, the peer's certificate, the end", async (carrier) => {
    const { port, close } = await carrier.serve((socket) => {
      const server = new tls.TLSSocket(socket, { isServer: true, ...identity });
      server.pipe(server);
    });
    const socket = secured(carrier, port);
    await once(socket, "secureConnect");
    assert.equal(socket.authorized, true);
    assert.equal(socket.getProtocol(), "TLSv1.3");
    const sent = pattern(3_000_000);
    socket.end(sent);
    sameBytes(await bytesOf(socket), sent);
    await close();
  });

  test("a tls.Server takes connections", async (carrier) => {
    const server = tls.createServer({ ...identity, ALPNProtocols: ["echo"] }, (socket) => void socket.pipe(socket));
    const { port, close } = await carrier.serve((socket) => server.emit("connection", socket));
    const socket = secured(carrier, port, { ALPNProtocols: ["echo"] });
    socket.write("hello");
    const [answer] = (await once(socket, "data")) as [Buffer];
    assert.equal(answer.toString(), "hello");
    assert.equal(socket.alpnProtocol, "echo");
    socket.end();
    await once(socket, "close");
    await close();
  });
});

onEveryCarrier("node:tls and slow readers", ({ test }) => {
  for (const side of ["client", "server"] as const) {
    test(`the ${side} waits for its peer`, async (carrier) => {
      const sockets: tls.TLSSocket[] = [];
      const { port, close } = await carrier.serve((socket) => {
        sockets.push(new tls.TLSSocket(socket, { isServer: true, ...identity }));
      });
      const client = secured(carrier, port);
      await once(client, "secureConnect");
      const server = sockets[0] as tls.TLSSocket;
      const [writer, reader] = side === "client" ? [client, server] : [server, client];
      const sent = pattern(60_000_000);
      let taken = 0;
      const writing = (async () => {
        while (taken < sent.length) {
          const piece = sent.subarray(taken, taken + 100_000);
          taken += piece.length;
          if (!writer.write(piece)) await once(writer, "drain");
        }
        writer.end();
      })();
      const stood = await standstill(() => taken);
      assert.ok(stood < 40_000_000, `${stood} bytes were taken for a peer that does not read`);
      sameBytes(await bytesOf(reader), sent);
      await writing;
      client.destroy();
      server.destroy();
      await close();
    });
  }
});

sameAsNodeNet(
  "tls: an end in the middle of the handshake, and one without a word of goodbye",
  async (carrier, note) => {
    const silent = await carrier.serve((socket) => void socket.once("data", () => socket.end()));
    const early = secured(carrier, silent.port);
    const [error] = (await once(early, "error")) as [NodeJS.ErrnoException];
    note("early", error.code, error.message);
    await silent.close();
    const {
      port,
      close,
      socket: accepted,
    } = await carrier.serve((socket) => {
      const server = new tls.TLSSocket(socket, { isServer: true, ...identity });
      server.on("error", () => {});
      server.write("hello");
    });
    const socket = secured(carrier, port);
    socket.on("data", (data) => note("late", data));
    socket.on("end", () => note("late", "end"));
    socket.on("error", (failure: NodeJS.ErrnoException) => note("late", failure.code, failure.message));
    await once(socket, "data");
    const closed = once(socket, "close");
    (await accepted()).end();
    note("late", "close", ...(await closed));
    await close();
  },
);

sameAsNodeNet("tls: a certificate nobody trusts", async (carrier, note) => {
  const { port, close } = await carrier.serve((socket) => {
    const server = new tls.TLSSocket(socket, { isServer: true, ...identity });
    server.on("error", () => {});
  });
  const socket = tls.connect({ socket: carrier.dial(port), servername: "localhost" });
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  note(error.code, error.message);
  await close();
});

sameAsNodeNet("tls: a reset in the middle", async (carrier, note) => {
  const {
    port,
    close,
    socket: accepted,
  } = await carrier.serve((socket) => {
    const server = new tls.TLSSocket(socket, { isServer: true, ...identity });
    server.on("error", () => {});
    server.on("data", (data) => server.write(data));
  });
  const socket = secured(carrier, port);
  await once(socket, "secureConnect");
  const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve));
  // A reset may overtake what was not read yet, the session tickets too: they came before the echo.
  socket.write("x");
  await once(socket, "data");
  (await accepted()).resetAndDestroy();
  const error = await failed;
  note(error.code, error.message);
  await close();
});

onEveryCarrier("node:tls and a peer that has ended", ({ test }) => {
  test("a reader that takes its time can still answer", async (carrier) => {
    const sockets: tls.TLSSocket[] = [];
    const {
      port,
      close,
      sockets: accepted,
    } = await carrier.serve((socket) => {
      const server = new tls.TLSSocket(socket, { isServer: true, ...identity });
      server.pause();
      sockets.push(server);
    });
    const client = secured(carrier, port, { socket: carrier.dial(port, { allowHalfOpen: true }) });
    await once(client, "secureConnect");
    let answer = "";
    client.on("data", (data: Buffer) => {
      answer += data;
    });
    client.end("question");
    await once(client, "finish");
    const server = sockets[0] as tls.TLSSocket;
    await settled(() => [server.readableLength, server.readableEnded]);
    let question = "";
    server.on("data", (data: Buffer) => {
      question += data;
    });
    server.on("end", () => server.end(`${question} answered`));
    server.resume();
    await until(() => answer === "question answered", "the answer", 5000);
    client.destroy();
    server.destroy();
    for (const socket of accepted) socket.destroy();
    await close();
  });
});
