import assert from "node:assert/strict";
import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";
import { Client } from "undici";
import { pattern, sameBytes } from "../support/bytes.js";
import { type Carrier, onEveryCarrier, sameAsNodeNet, standstill, until } from "./carriers.js";
import { bytesOf, halfOpen, identity, secured } from "./secured.js";

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

onEveryCarrier("undici and slow readers", ({ test }) => {
  const piece = Buffer.alloc(1_000_000, "0123456789");
  const count = 60;

  /** 60 MB, as they are asked for; `given` is how much that was. */
  function source(progress: { given: number }): Readable {
    return Readable.from(
      (function* () {
        for (let n = 0; n < count; n++) {
          progress.given += piece.length;
          yield piece;
        }
      })(),
      { objectMode: false },
    );
  }

  test("a body that nobody reads holds the server up", async (carrier) => {
    const progress = { given: 0 };
    const server = http.createServer((_request, response) => void source(progress).pipe(response));
    const { port, close } = await carrier.serve((socket) => server.emit("connection", socket), halfOpen);
    const client = undiciOver(carrier, port, false);
    const { body } = await client.request({ path: "/", method: "GET" });
    const stood = await standstill(() => progress.given);
    assert.ok(stood < 40_000_000, `${stood} bytes were taken from the server`);
    assert.equal((await body.arrayBuffer()).byteLength, count * piece.length);
    await client.close();
    await close();
  });

  test("a server that does not read holds the body up", async (carrier) => {
    const progress = { given: 0 };
    let goOn: () => void = () => {};
    const server = http.createServer((request, response) => {
      goOn = async () => response.end(String((await bytesOf(request)).length));
    });
    const { port, close } = await carrier.serve((socket) => server.emit("connection", socket), halfOpen);
    const client = undiciOver(carrier, port, false);
    const answer = client.request({ path: "/", method: "POST", body: source(progress) });
    await until(() => progress.given > 0, "it has begun");
    const stood = await standstill(() => progress.given);
    assert.ok(stood < 40_000_000, `${stood} bytes were taken for the server`);
    goOn();
    const { body } = await answer;
    assert.equal(await body.text(), String(count * piece.length));
    await client.close();
    await close();
  });
});

for (const how of ["reset", "end"] as const) {
  sameAsNodeNet(`undici: ${how === "end" ? "an end" : "a reset"} instead of an answer`, async (carrier, note) => {
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
