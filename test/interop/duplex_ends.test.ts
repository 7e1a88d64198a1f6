import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { pattern } from "../support/bytes.js";
import { readToEnd, sameAsNodeNet, settled, sleep, until } from "./carriers.js";

/** Notes the events that tell how a stream ends, in their order. */
function notes(socket: Socket, note: (...what: unknown[]) => void, name: string): Promise<unknown[]> {
  socket.on("end", () => note(name, "end"));
  socket.on("finish", () => note(name, "finish"));
  socket.on("error", (error: NodeJS.ErrnoException) => note(name, "error", error.code, error.syscall, error.message));
  socket.on("close", (hadError) => note(name, "close", hadError));
  return new Promise((resolve) => socket.once("close", (...args) => resolve(args)));
}

sameAsNodeNet("an orderly end, begun by the client", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  const client = notes(socket, note, "client");
  const peer = await accepted();
  const server = notes(peer, (...what) => note(...what), "server");
  peer.on("data", (data) => note("server", "data", data));
  socket.resume();
  socket.end("bye");
  await Promise.all([client, server]);
  await close();
});

sameAsNodeNet("a reset under a reader", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  await once(socket, "connect");
  const peer = await accepted();
  peer.resume();
  const server = notes(peer, note, "server");
  socket.resetAndDestroy();
  await server;
  await close();
});

sameAsNodeNet("a reset under a writer", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  await once(socket, "connect");
  const peer = await accepted();
  const ended = new Promise((resolve) => peer.once("close", resolve));
  let failure: NodeJS.ErrnoException | undefined;
  peer.on("error", (error) => {
    failure = error;
  });
  for (let count = 0; count < 40; count++) peer.write(Buffer.alloc(1_000_000));
  let waiting: unknown;
  peer.write("more", (error) => {
    waiting = error;
  });
  socket.resetAndDestroy();
  await ended;
  note(["ECONNRESET", "EPIPE"].includes(failure?.code ?? ""), ["read", "write"].includes(failure?.syscall ?? ""));
  note(waiting instanceof Error);
  await close();
});

sameAsNodeNet("a refused connect", async (carrier, note) => {
  const { port, close } = await carrier.serve();
  await close();
  const socket = carrier.dial(port);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  let failure: (NodeJS.ErrnoException & { address?: string; port?: number }) | undefined;
  socket.on("error", (error) => {
    failure = error;
  });
  socket.write("lost", (error) => note("write", error instanceof Error));
  note("close", await closed);
  note(failure?.code, failure?.syscall, failure?.address, failure?.port === port);
  note("message", failure?.message.replace(String(port), "PORT"));
  note(socket.destroyed, socket.connecting, socket.readyState);
});

sameAsNodeNet("destroyed with an error", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  await once(socket, "connect");
  const client = notes(socket, note, "client");
  const peer = await accepted();
  const server = notes(peer, note, "server");
  peer.resume();
  socket.destroy(new Error("no more"));
  await client;
  await server;
  await close();
});

sameAsNodeNet("destroyed while it connects", async (carrier, note) => {
  const { port, close } = await carrier.serve();
  const socket = carrier.dial(port);
  const client = notes(socket, note, "client");
  socket.on("connect", () => note("connect"));
  socket.destroy();
  await client;
  await sleep(30);
  await close();
});

sameAsNodeNet("a write behind the end, and behind destroy", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  await once(socket, "connect");
  const peer = await accepted();
  peer.resume();
  const client = notes(socket, note, "client");
  socket.end();
  socket.write("x", (error) => note("callback", (error as NodeJS.ErrnoException | undefined)?.code));
  await client;
  socket.write("x", (error) => note("callback", (error as NodeJS.ErrnoException | undefined)?.code));
  await sleep(10);
  peer.destroy();
  await close();
});

sameAsNodeNet("what is written before the connect is sent behind it, and so is the end", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  const client = notes(socket, note, "client");
  socket.on("connect", () => note("connect"));
  socket.write("first ", () => note("written"));
  socket.end("last");
  socket.resume();
  const peer = await accepted();
  note(await readToEnd(peer));
  await client;
  await close();
});

sameAsNodeNet("a FIN to a stream nobody reads", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  await once(socket, "connect");
  const peer = await accepted();
  const server = notes(peer, note, "server");
  socket.end();
  socket.resume();
  await server;
  await close();
});

sameAsNodeNet("a FIN behind bytes nobody reads ends nothing", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  await once(socket, "connect");
  const peer = await accepted();
  const server = notes(peer, note, "server");
  socket.end("unread");
  await sleep(50);
  note(peer.readableLength, peer.destroyed);
  note(String(peer.read()));
  peer.resume();
  await server;
  await close();
});

sameAsNodeNet("reset while it connects", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve((peer) => void peer.on("error", () => {}));
  const socket = carrier.dial(port);
  socket.on("connect", () => note("client", "connect"));
  const client = notes(socket, note, "client");
  assert.equal(socket.resetAndDestroy(), socket);
  note("client", socket.destroyed, socket.connecting);
  await client;
  const peer = await accepted();
  await until(() => peer.destroyed, "the peer hears of it");
  await close();
});

sameAsNodeNet("paused before it is connected, and resumed", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve((socket) => void socket.write("held"));
  const socket = carrier.dial(port);
  socket.pause();
  await once(socket, "connect");
  const peer = await accepted();
  await settled(() => [socket.bytesRead, peer.writableLength]);
  note(socket.bytesRead, socket.readableLength);
  socket.on("data", (data) => note(data));
  socket.resume();
  await until(() => socket.bytesRead === 4, "it is read");
  socket.destroy();
  peer.destroy();
  await close();
});

sameAsNodeNet("the connect and what was written before it, in order", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  const socket = carrier.dial(port);
  for (const event of ["connect", "ready", "finish"]) socket.on(event, () => note(event));
  socket.write("early", () => note("written"));
  await once(socket, "ready");
  await settled(() => socket.writableLength);
  socket.destroy();
  (await accepted()).destroy();
  await close();
});

sameAsNodeNet(
  "a write that waits for the connect when the stream is destroyed, and when none comes",
  async (carrier, note) => {
    const { port, close } = await carrier.serve();
    for (const name of ["quietly", "loudly", "refused"]) {
      if (name === "refused") await close();
      const socket = carrier.dial(port);
      const closed = notes(socket, (who, what, ...more) => what !== "error" && note(who, what, ...more), name);
      socket.write("lost", (error) => note(name, "write", (error as NodeJS.ErrnoException).code));
      socket.end(() => note(name, "ended"));
      if (name !== "refused") socket.destroy(name === "loudly" ? new Error("no more") : undefined);
      await closed;
      await settled(() => socket.writableLength);
    }
  },
);

sameAsNodeNet("a large write under way when the stream is destroyed", async (carrier, note) => {
  const { port, close, socket: accepted } = await carrier.serve();
  for (const [index, error] of [undefined, new Error("no more")].entries()) {
    const socket = carrier.dial(port);
    await once(socket, "connect");
    const peer = await accepted(index);
    peer.on("error", () => {});
    const name = error === undefined ? "quietly" : "loudly";
    // From Node 22 on node:net says that it was cancelled: docs/bridges.md names the difference.
    const told = (failure: unknown): unknown =>
      (failure as NodeJS.ErrnoException | null)?.code === "ECANCELED" ? undefined : (failure ?? undefined);
    const closed = notes(socket, note, name);
    socket.write(pattern(20_000_000), (failure) => note(name, "first", told(failure)));
    socket.write("more", (failure) => note(name, "second", failure instanceof Error));
    await settled(() => peer.bytesRead);
    socket.destroy(error);
    await closed;
    note(name, told(socket.errored), socket.writableFinished);
    peer.destroy();
  }
  await close();
});
