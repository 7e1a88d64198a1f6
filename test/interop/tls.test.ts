import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import tls from "node:tls";
import { Client } from "undici";
import { pattern, sameBytes } from "../conformance/bytes.js";
import { type Carrier, onEveryCarrier, sameAsNodeNet, sleep } from "./carriers.js";
import { makeIdentity } from "./identity.js";

const identity = makeIdentity();
const halfOpen = { allowHalfOpen: true };

function secured(carrier: Carrier, port: number, options: tls.ConnectionOptions = {}): tls.TLSSocket {
  return tls.connect({ socket: carrier.dial(port), ca: identity.cert, servername: "localhost", ...options });
}

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

onEveryCarrier("node:tls", ({ test }) => {
  test("a TLSSocket on either side: bytes both ways, the peer's certificate, the end", async (carrier) => {
    const { port, close } = await carrier.serve((socket) => {
      const server = new tls.TLSSocket(socket, { isServer: true, ...identity });
      server.pipe(server);
    }, halfOpen); // Else the stream under TLS would end itself at the FIN, while TLS still has an answer to send.
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
    server.resume();
  });
  const socket = secured(carrier, port);
  await once(socket, "secureConnect");
  const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve));
  await sleep(30);
  (await accepted()).resetAndDestroy();
  const error = await failed;
  note(error.code, error.message);
  await close();
});

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
      const { port, close, sockets } = await carrier.serve((socket) => server.emit("connection", socket), halfOpen);
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

sameAsNodeNet("http2: a reset under a session", async (carrier, note) => {
  const server = http2.createServer();
  server.on("sessionError", () => {});
  server.on("stream", (stream) => stream.on("error", () => {}));
  const {
    port,
    close,
    socket: accepted,
  } = await carrier.serve((socket) => server.emit("connection", socket), halfOpen);
  const client = http2.connect(`http://localhost:${port}`, { createConnection: () => carrier.dial(port) });
  client.on("error", (error: NodeJS.ErrnoException) => note("session", error.code));
  const stream = client.request({ ":path": "/" });
  stream.on("error", (error: NodeJS.ErrnoException) => note("stream", error.code));
  await once(client, "connect");
  const closed = new Promise((resolve) => client.once("close", resolve));
  await sleep(30);
  (await accepted()).resetAndDestroy();
  await closed;
  note("closed");
  await close();
});

/** An undici client whose connections come from the carrier; its callback must not be called within the call. */
function undiciOver(carrier: Carrier, port: number, secure: boolean): Client {
  return new Client(`${secure ? "https" : "http"}://localhost:${port}`, {
    connect: (_options, callback) => {
      const socket = secure ? secured(carrier, port, { ALPNProtocols: ["http/1.1"] }) : carrier.dial(port);
      const failed = (error: Error): void => callback(error, null);
      socket.once("error", failed);
      socket.once(secure ? "secureConnect" : "connect", () => {
        socket.removeListener("error", failed);
        callback(null, socket);
      });
    },
  });
}

onEveryCarrier("undici", ({ test }) => {
  for (const secure of [false, true]) {
    test(`a client${secure ? " over TLS" : ""}: requests on a kept connection, a large body`, async (carrier) => {
      const listener: http.RequestListener = (request, response) => void request.pipe(response);
      const server = secure ? https.createServer(identity, listener) : http.createServer(listener);
      const { port, close, sockets } = await carrier.serve((socket) => server.emit("connection", socket), halfOpen);
      const client = undiciOver(carrier, port, secure);
      for (let count = 0; count < 50; count++) {
        const { body } = await client.request({ path: "/", method: "POST", body: `body ${count}` });
        assert.equal(await body.text(), `body ${count}`);
      }
      const large = pattern(3_000_000);
      const { body } = await client.request({ path: "/", method: "POST", body: large });
      sameBytes(Buffer.from(await body.arrayBuffer()), large);
      assert.equal(sockets.length, 1);
      await client.close();
      await close();
    });
  }
});

for (const how of ["reset", "end"] as const) {
  sameAsNodeNet(`undici: a ${how} instead of an answer`, async (carrier, note) => {
    const { port, close } = await carrier.serve((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => (how === "reset" ? socket.resetAndDestroy() : socket.end()));
    });
    const client = undiciOver(carrier, port, false);
    await assert.rejects(client.request({ path: "/", method: "GET" }), (error: NodeJS.ErrnoException) => {
      note(error.code, error.message);
      return true;
    });
    await client.destroy();
    await close();
  });
}

sameAsNodeNet("undici: nobody listens", async (carrier, note) => {
  const { port, close } = await carrier.serve();
  await close();
  const client = undiciOver(carrier, port, false);
  await assert.rejects(client.request({ path: "/", method: "GET" }), (error: NodeJS.ErrnoException) => {
    note(error.code, error.message.replace(String(port), "PORT"));
    return true;
  });
  await client.destroy();
});
