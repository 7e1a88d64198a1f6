import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { onEveryEngine, Peer } from "./example.js";

/** A raw server on a port of its own, or on the one it had before. */
async function serve(context: TestContext, accept: (socket: Socket) => void, port = 0): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    context.after(() => socket.destroy());
    accept(socket);
  });
  context.after(() => server.close());
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

onEveryEngine("port_forwarder holds back a client whose target is slow, and loses nothing", async (trial) => {
  const server = await serve(trial.context, (socket) => void socket.pause());
  const accepted = once(server, "connection");
  const forwarder = trial.start("port_forwarder", "127.0.0.1:0", `127.0.0.1:${portOf(server)}`);
  const client = await Peer.to(await forwarder.place());

  // More than the kernel's buffers and the forwarder's own limit of unsent output together could hold.
  const size = 48 * 1024 * 1024;
  const block = Buffer.alloc(1024 * 1024, "0123456789abcdef");
  for (let sent = 0; sent < size; sent += block.length) client.send(block);
  client.socket.end();
  const [socket] = (await accepted) as [Socket];
  let stalled = client.socket.writableLength;
  for (let before = Number.POSITIVE_INFINITY; stalled < before; stalled = client.socket.writableLength) {
    before = stalled;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.ok(stalled > 0, "the client was held back");

  let received = 0;
  let intact = true;
  socket.on("data", (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; at += 4096) {
      const place = (received + at) % block.length;
      if (chunk[at] !== block[place]) intact = false;
    }
    received += chunk.length;
  });
  // The client's FIN comes through as one, and the answer behind it goes back.
  socket.resume();
  await once(socket, "end");
  assert.equal(received, size);
  assert.ok(intact);
  socket.end("thank you");
  assert.equal((await client.rest()).toString(), "thank you");
});

onEveryEngine("port_forwarder passes a refusal on", async ({ start, context }) => {
  const gone = await serve(context, () => {});
  const port = portOf(gone);
  gone.close();
  await once(gone, "close");
  const forwarder = start("port_forwarder", "127.0.0.1:0", `127.0.0.1:${port}`);
  const client = await Peer.to(await forwarder.place());
  assert.equal((await client.rest()).length, 0);
  await forwarder.complaint(/^target: connect-refused$/m);
  forwarder.signal("SIGTERM");
  await forwarder.ended();
});

onEveryEngine("reconnecting_client comes back until it is told to go", async ({ start, context }) => {
  const greet = (socket: Socket) => {
    socket.resume().end("news\n");
  };
  const server = await serve(context, greet);
  const port = portOf(server);
  const client = start("reconnecting_client", `127.0.0.1:${port}`, 20);
  for (let life = 0; life < 2; life++) {
    await client.line(/^connected$/);
    await client.line(/^news$/);
    await client.line(/^peer-closed, attempt 1 soon$/);
  }
  server.close();
  await client.line(/^connect-refused, attempt 2 soon$/);
  await serve(context, (socket) => void socket.resume().write("back\n"), port);
  await client.line(/^back$/);
  client.signal("SIGTERM");
  await client.ended();
});

onEveryEngine("load_generator keeps an echo server busy", async ({ start }) => {
  const echo = start("echo_server", "127.0.0.1:0");
  const place = (await echo.place()) as { port: number };
  const load = start("load_generator", `127.0.0.1:${place.port}`, 10, 100, 300);
  const [, trips] = /^(\d+) round trips, \d+ a second$/.exec(await load.line(/round trips/)) ?? [];
  assert.ok(Number(trips) >= 10, `${trips} round trips`);
  await load.line(/^median [\d.]+ ms, 99 % under [\d.]+ ms, 99.9 % under [\d.]+ ms$/);
  await load.ended();
  assert.deepEqual(load.output, []);
});
