import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type IncomingMessage, type RequestListener } from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { test } from "node:test";
import { pattern, sameBytes } from "../support/bytes.js";
import { bridges, type Carrier, onEveryCarrier, sameAsNodeNet, standstill, until } from "./carriers.js";
import { makeIdentity } from "./identity.js";

const halfOpen = { allowHalfOpen: true };

/** An http.Server whose connections come from the carrier. */
async function serveHttp(carrier: Carrier, listener: RequestListener) {
  const server = http.createServer(listener);
  const served = await carrier.serve((socket) => server.emit("connection", socket), halfOpen);
  return { ...served, server };
}

function agentOf(carrier: Carrier, options: http.AgentOptions = {}): http.Agent {
  const agent = new http.Agent(options);
  agent.createConnection = (({ port }: { port: number }) =>
    carrier.dial(Number(port))) as typeof agent.createConnection;
  return agent;
}

async function body(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function get(agent: http.Agent, port: number, path: string, sent?: Buffer) {
  const request = http.request({ host: "127.0.0.1", port, path, agent, method: sent === undefined ? "GET" : "POST" });
  request.end(sent);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await body(response) };
}

onEveryCarrier("node:http", ({ test }) => {
  test("a server and an agent: requests on a kept connection", async (carrier) => {
    const { port, close, sockets } = await serveHttp(carrier, (request, response) =>
      response.end(`you asked for ${request.url}`),
    );
    const agent = agentOf(carrier, { keepAlive: true, maxSockets: 1 });
    for (let count = 0; count < 20; count++) {
      const { status, body } = await get(agent, port, `/${count}`);
      assert.equal(status, 200);
      assert.equal(body.toString(), `you asked for /${count}`);
    }
    assert.equal(sockets.length, 1, "one connection served them all");
    agent.destroy();
    await close();
  });

  test("bodies of several megabytes both ways", async (carrier) => {
    const large = pattern(5_000_000);
    const { port, close } = await serveHttp(carrier, (request, response) => void request.pipe(response));
    const agent = agentOf(carrier);
    const answer = await get(agent, port, "/", large);
    sameBytes(answer.body, large);
    agent.destroy();
    await close();
  });

  test("an upgrade hands over the socket with what came behind the request", async (carrier) => {
    const { port, close, server } = await serveHttp(carrier, () => {});
    server.on("upgrade", (_request, socket: Socket, head: Buffer) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.write(head);
      socket.pipe(socket);
    });
    const socket = carrier.dial(port);
    socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst");
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk;
      if (text.endsWith("first")) socket.end(" second");
    });
    await once(socket, "close");
    assert.match(text, /^HTTP\/1.1 101 .*\r\n\r\nfirst second$/s);
    await close();
  });
});

sameAsNodeNet("a request that is no HTTP is answered with 400 and a close", async (carrier, note) => {
  const { port, close } = await serveHttp(carrier, () => {});
  const socket = carrier.dial(port);
  socket.write("this is no request\r\n\r\n");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const [hadError] = await once(socket, "close");
  note(Buffer.concat(chunks), hadError);
  await close();
});

sameAsNodeNet("a client that goes away under its request", async (carrier, note) => {
  let responseEnded = false;
  const { port, close } = await serveHttp(carrier, (request, response) => {
    note("request", request.url);
    request.on("error", (error: NodeJS.ErrnoException) => note("request failed", error.code));
    request.on("close", () => note("request closed", request.destroyed));
    response.on("close", () => {
      note("response closed", response.writableFinished);
      responseEnded = true;
    });
    response.write("a beginning");
  });
  const socket = carrier.dial(port);
  socket.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(socket, "data");
  socket.resetAndDestroy();
  await until(() => responseEnded, "the response is given up");
  await close();
});

const PIECE = Buffer.alloc(1_000_000, "0123456789");
const PIECES = 60;

/** Writes 60 MB as fast as they are taken; `written` is how many bytes that was so far. */
function writeMuch(to: Writable): { readonly written: number } {
  const progress = { written: 0 };
  (async () => {
    for (let count = 0; count < PIECES; count++) {
      progress.written += PIECE.length;
      if (!to.write(PIECE)) await once(to, "drain");
    }
    to.end();
  })().catch(() => {});
  return progress;
}

onEveryCarrier("node:http and slow readers", ({ test }) => {
  test("a response waits for its client", async (carrier) => {
    let progress = { written: 0 };
    const { port, close } = await serveHttp(carrier, (_request, response) => {
      progress = writeMuch(response);
    });
    const agent = agentOf(carrier);
    const request = http.get({ host: "127.0.0.1", port, agent });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const stood = await standstill(() => progress.written);
    assert.ok(stood < 40_000_000, `${stood} bytes were taken for a client that does not read`);
    assert.equal((await body(response)).length, PIECES * PIECE.length);
    agent.destroy();
    await close();
  });

  test("a request waits for its server", async (carrier) => {
    let arrived: (request: IncomingMessage) => void = () => {};
    const atServer = new Promise<IncomingMessage>((resolve) => {
      arrived = resolve;
    });
    const { port, close } = await serveHttp(carrier, (request, response) => {
      arrived(request);
      request.on("end", () => response.end("thank you"));
    });
    const agent = agentOf(carrier);
    const request = http.request({ host: "127.0.0.1", port, agent, method: "POST" });
    const progress = writeMuch(request);
    const held = await atServer;
    const stood = await standstill(() => progress.written);
    assert.ok(stood < 40_000_000, `${stood} bytes were taken for a server that does not read`);
    const answered = once(request, "response");
    assert.equal((await body(held)).length, PIECES * PIECE.length);
    const [response] = (await answered) as [IncomingMessage];
    assert.equal(String(await body(response)), "thank you");
    agent.destroy();
    await close();
  });
});

for (const how of ["reset", "end"] as const) {
  sameAsNodeNet(`http.Agent: ${how === "end" ? "an end" : "a reset"} instead of an answer`, async (carrier, note) => {
    const { port, close } = await carrier.serve((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => (how === "reset" ? socket.resetAndDestroy() : socket.end()));
    });
    const agent = agentOf(carrier, { keepAlive: true });
    const request = http.get({ host: "127.0.0.1", port, agent });
    const [error] = (await once(request, "error")) as [NodeJS.ErrnoException];
    note(error.code, error.message);
    await until(() => Object.keys(agent.sockets).length === 0, "the agent forgets the connection");
    agent.destroy();
    await close();
  });

  sameAsNodeNet(
    `http.Agent: ${how === "end" ? "an end" : "a reset"} in the middle of an answer`,
    async (carrier, note) => {
      // A reset may overtake what was not read yet: it comes when the beginning has been.
      let read = "";
      const { port, close } = await carrier.serve((socket) => {
        socket.on("error", () => {});
        socket.once("data", async () => {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na beginning");
          await until(() => read === "a beginning", "the client has read the beginning");
          if (how === "reset") socket.resetAndDestroy();
          else socket.end();
        });
      });
      const agent = agentOf(carrier);
      const request = http.get({ host: "127.0.0.1", port, agent });
      request.on("error", (error: NodeJS.ErrnoException) => note("request", error.code, error.message));
      const [response] = (await once(request, "response")) as [IncomingMessage];
      const reading = async () => {
        for await (const chunk of response) read += chunk;
      };
      await assert.rejects(reading(), (error: NodeJS.ErrnoException) => {
        note("response", error.code, error.message, response.complete);
        return true;
      });
      agent.destroy();
      await close();
    },
  );

  sameAsNodeNet(
    `http.Server: ${how === "end" ? "an end" : "a reset"} in the middle of a request`,
    async (carrier, note) => {
      let isOver = false;
      let read = "";
      const { port, close, server } = await serveHttp(carrier, (request, response) => {
        request.on("data", (data) => {
          read += data;
          note("request", data);
        });
        request.on("error", (error: NodeJS.ErrnoException) => note("request failed", error.code, error.message));
        request.on("close", () => note("request closed", request.complete));
        response.on("close", () => {
          note("response closed");
          isOver = true;
        });
      });
      server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
        note("client error", error.code);
        socket.destroy();
      });
      const socket = carrier.dial(port);
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na beginning");
      await until(() => read === "a beginning", "the server has read the beginning");
      if (how === "reset") socket.resetAndDestroy();
      else socket.end();
      await until(() => isOver, "the server gives it up");
      socket.destroy();
      await close();
    },
  );
}

for (const bridge of bridges()) {
  test(`HTTPS: an http.Server on connections with TLS of their own, on ${bridge.name}`, { timeout: 60_000 }, () =>
    bridge.run(async () => {
      const identity = makeIdentity();
      const server = http.createServer((request, response) => void request.pipe(response));
      const { port, close } = await bridge.serve((socket) => server.emit("connection", socket), {
        ...halfOpen,
        tls: identity,
      } as typeof halfOpen);
      const large = pattern(2_000_000);
      const request = https.request({
        port,
        host: "127.0.0.1",
        servername: "localhost",
        ca: identity.cert,
        method: "POST",
      });
      request.end(large);
      const [response] = (await once(request, "response")) as [IncomingMessage];
      sameBytes(await body(response), large);
      request.destroy();
      await close();
    }),
  );
}
