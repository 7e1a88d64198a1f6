import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import tls from "node:tls";
import { WebSocket, WebSocketServer } from "ws";
import { type Carrier, onEveryCarrier, sameAsNodeNet, sleep, standstill, until } from "./carriers.js";
import { Gate } from "./gate.js";
import { makeIdentity } from "./identity.js";

const MOST = 128 * 1024 * 1024;

const identity = makeIdentity();

/** A WebSocketServer on an http(s) server whose connections come from the carrier. */
async function serveWs(carrier: Carrier, onSocket: (socket: WebSocket) => void, secure = false) {
  const server = secure ? https.createServer(identity) : http.createServer();
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MOST });
  server.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on("error", () => {});
      onSocket(webSocket);
    });
  });
  return carrier.serve((socket) => server.emit("connection", socket), { allowHalfOpen: true });
}

function dialWs(carrier: Carrier, port: number, secure = false): WebSocket {
  return new WebSocket(`${secure ? "wss" : "ws"}://127.0.0.1:${port}/`, {
    maxPayload: MOST,
    createConnection: (() => {
      const socket = carrier.dial(port);
      return secure ? tls.connect({ socket, ca: identity.cert, servername: "localhost" }) : socket;
    }) as unknown as NonNullable<WebSocket.ClientOptions["createConnection"]>,
  });
}

const echo = (socket: WebSocket): void => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
};

onEveryCarrier("ws", ({ test }) => {
  for (const secure of [false, true]) {
    test(`a session${secure ? " over TLS" : ""}: text, binary, ping, close with a code`, async (carrier) => {
      const { port, close } = await serveWs(carrier, echo, secure);
      const socket = dialWs(carrier, port, secure);
      await once(socket, "open");
      for (let count = 0; count < 200; count++) {
        const text = `message ${count} `.repeat(count);
        const answer = once(socket, "message");
        socket.send(text);
        const [data, isBinary] = (await answer) as [Buffer, boolean];
        assert.equal(isBinary, false);
        assert.equal(data.toString(), text);
      }
      socket.ping("hello");
      const [pong] = (await once(socket, "pong")) as [Buffer];
      assert.equal(pong.toString(), "hello");
      socket.close(4000, "enough");
      const [code, reason] = (await once(socket, "close")) as [number, Buffer];
      assert.deepEqual([code, reason.toString()], [4000, "enough"]);
      await close();
    });
  }

  test("an echo of a binary message of 100 MB", async (carrier) => {
    const { port, close } = await serveWs(carrier, echo);
    const socket = dialWs(carrier, port);
    await once(socket, "open");
    const sent = randomFillSync(Buffer.allocUnsafe(100_000_000));
    socket.send(sent);
    const [received] = (await once(socket, "message")) as [Buffer];
    assert.equal(received.length, sent.length);
    assert.ok(received.equals(sent));
    socket.close();
    await once(socket, "close");
    await close();
  });

  test("a client that stops reading makes the server's buffer grow, and gets everything in the end", async (carrier) => {
    const piece = Buffer.alloc(1_000_000);
    const sockets: WebSocket[] = [];
    const { port, close } = await serveWs(carrier, (socket) => {
      sockets.push(socket);
      for (let count = 0; count < 60; count++) socket.send(piece);
    });
    const socket = dialWs(carrier, port);
    socket.once("open", () => socket.pause());
    let received = 0;
    socket.on("message", (data: Buffer) => {
      received += data.length;
    });
    await once(socket, "open");
    await sleep(200);
    assert.ok((sockets[0] as WebSocket).bufferedAmount > 10_000_000, "the server holds what the client does not read");
    socket.resume();
    await until(() => received === 60_000_000, "everything arrives");
    socket.terminate();
    await close();
  });
});

onEveryCarrier("ws: a server that does not read for a while", ({ test }) => {
  test("makes the client's buffer grow, and gets everything in the end", async (carrier) => {
    let received = 0;
    const { port, close } = await serveWs(carrier, (socket) => {
      socket.on("message", (data: Buffer) => {
        received += data.length;
      });
    });
    const gate = await Gate.to(port);
    const socket = dialWs(carrier, gate.port);
    await once(socket, "open");
    gate.stall("client");
    const piece = Buffer.alloc(1_000_000);
    for (let count = 0; count < 60; count++) socket.send(piece);
    const held = await standstill(() => socket.bufferedAmount);
    assert.ok(held > 10_000_000, "the client holds what the server does not read");
    gate.flow("client");
    await until(() => received === 60_000_000, "everything arrives");
    assert.equal(socket.bufferedAmount, 0);
    socket.close();
    await once(socket, "close");
    await gate.close();
    await close();
  });
});

sameAsNodeNet("ws: an end without a closing handshake, from either side", async (carrier, note) => {
  for (const side of ["client", "server"] as const) {
    let other: WebSocket | undefined;
    const {
      port,
      close,
      socket: accepted,
    } = await serveWs(carrier, (socket) => {
      other = socket;
    });
    const gate = await Gate.to(port);
    const socket = dialWs(carrier, gate.port);
    await once(socket, "open");
    await until(() => other !== undefined, "the server has it");
    socket.on("error", (error: NodeJS.ErrnoException) => note("client error", error.code));
    const [code] = await (async () => {
      if (side === "server") {
        const closed = once(socket, "close");
        (await accepted()).end();
        return (await closed) as [number];
      }
      const closed = once(other as WebSocket, "close");
      (socket as unknown as { _socket: Socket })._socket.end();
      return (await closed) as [number];
    })();
    note(side, code);
    socket.terminate();
    await gate.close();
    await close();
  }
});

sameAsNodeNet("ws: a peer that terminates", async (carrier, note) => {
  let closed = false;
  const { port, close } = await serveWs(carrier, (socket) => {
    socket.on("close", (code) => {
      note("server", code);
      closed = true;
    });
  });
  const socket = dialWs(carrier, port);
  await once(socket, "open");
  socket.on("close", (code) => note("client", code));
  socket.terminate();
  await until(() => closed, "the server notices");
  await close();
});

sameAsNodeNet("ws: a reset under it", async (carrier, note) => {
  const {
    port,
    close,
    socket: accepted,
  } = await serveWs(carrier, (socket) => {
    socket.on("error", (error: NodeJS.ErrnoException) => note("server error", error.code));
  });
  const socket = dialWs(carrier, port);
  await once(socket, "open");
  socket.on("error", (error: NodeJS.ErrnoException) => note("client error", error.code));
  (await accepted()).resetAndDestroy();
  const [code] = (await once(socket, "close")) as [number];
  note("client", code);
  await close();
});

sameAsNodeNet("ws: a server that refuses the upgrade", async (carrier, note) => {
  const server = http.createServer((_request, response) => response.writeHead(404).end());
  const { port, close } = await carrier.serve((socket) => server.emit("connection", socket), { allowHalfOpen: true });
  const socket = dialWs(carrier, port);
  const [error] = (await once(socket, "error")) as [Error];
  note(error.message);
  await until(() => socket.readyState === WebSocket.CLOSED, "it is closed");
  await close();
});
