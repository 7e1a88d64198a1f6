import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type IncomingMessage, type RequestListener } from "node:http";
import type { Socket } from "node:net";
import { pattern, sameBytes } from "../conformance/bytes.js";
import { type Carrier, onEveryCarrier, sameAsNodeNet, until } from "./carriers.js";

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
