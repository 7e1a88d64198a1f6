import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { InetAddress } from "../../../src/base/addresses.js";
import { Ended } from "../../../src/engine/streams.js";
import { CONNECT, dial, drive, LISTEN, PATIENCE, readAll, readText, serve } from "./driver.js";

const engineUrl = new URL("../../../src/engine/portable/portable_engine.js", import.meta.url).href;

/** An echo server in a process of its own, on descriptor 3. */
function echoChild(fd: number, adopt: "adoptListener" | "adoptStream"): ChildProcess {
  const options = adopt === "adoptListener" ? LISTEN : CONNECT;
  const script = `
    const { PortableEngine } = await import(${JSON.stringify(engineUrl)});
    const engine = new PortableEngine();
    const ignore = () => {};
    const opened = (handle) => console.log(JSON.stringify([engine.localAddress(handle), engine.remoteAddress(handle)]));
    const events = { enter: ignore, leave: ignore, timer: ignore, ticks: ignore, listening: opened, accepted: ignore,
      connected: opened, data: (handle, chunk) => engine.write(handle, chunk), end: ignore, writable: ignore,
      fileSent: ignore, closed: () => engine.unref() };
    engine.start(events);
    engine.${adopt}(3, { ...${JSON.stringify(options)}, maxConnections: Infinity });
  `;
  return spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit", fd] });
}

/** node:net shows the descriptor only to those who know where to look. */
function descriptor(holder: Server | Socket): number {
  return (holder as unknown as { _handle: { fd: number } })._handle.fd;
}

async function firstLine(child: ChildProcess): Promise<unknown> {
  assert.ok(child.stdout !== null);
  const [line] = await once(child.stdout.setEncoding("utf8"), "data", { signal: AbortSignal.timeout(PATIENCE) });
  return JSON.parse(String(line));
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

describe("portable adoption", () => {
  it("accepts from a listening descriptor", async () => {
    const { server, address } = await serve(() => {});
    const child = echoChild(descriptor(server), "adoptListener");
    try {
      server.close();
      assert.deepEqual(await firstLine(child), [address, null]);
      const peer = await dial(address);
      peer.write("hello");
      await readText(peer, "hello");
      peer.destroy();
    } finally {
      child.kill("SIGKILL");
      await ended(child);
    }
  });

  it("accepts from a listening Unix descriptor", async () => {
    const folder = mkdtempSync(join(tmpdir(), "em-"));
    const path = join(folder, "socket");
    const server = createServer().listen(path);
    await once(server, "listening");
    const child = echoChild(descriptor(server), "adoptListener");
    try {
      assert.deepEqual(await firstLine(child), [{ family: "unix", path: "" }, null]);
    } finally {
      child.kill("SIGKILL");
      await ended(child);
      server.close();
      rmSync(folder, { recursive: true });
    }
  });

  it("drives a connected descriptor, with what was sent before", async () => {
    const server = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
    const accepting = once(server, "connection");
    await once(server, "listening");
    const address = { family: "IPv4", host: "127.0.0.1", port: (server.address() as AddressInfo).port } as const;
    const peer = await dial(address);
    const [socket] = (await accepting) as [Socket];
    server.close();
    peer.write("early, ");
    const child = echoChild(descriptor(socket), "adoptStream");
    try {
      const remote = { family: "IPv4", host: "127.0.0.1", port: peer.localPort };
      assert.deepEqual(await firstLine(child), [address, remote]);
      socket.destroy();
      peer.end("late");
      assert.equal((await readAll(peer)).toString(), "early, late");
      await ended(child);
      assert.equal(child.exitCode, 0);
      peer.destroy();
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("refuses a descriptor that an engine of this thread has, and leaves it to its owner", () =>
    drive(async (driver) => {
      const listener = driver.engine.listen({ family: "IPv4", host: "127.0.0.1", port: 0 }, LISTEN);
      await driver.event("listening", listener);
      const client = driver.engine.connect(driver.engine.localAddress(listener) as InetAddress, CONNECT);
      await driver.event("connected", client);
      await driver.until(() => driver.accepts.length === 1, "accepted");
      const owned = [...driver.engine.descriptors()];
      assert.equal(owned.length, 3);
      for (const fd of owned) {
        for (const handle of [driver.engine.adoptStream(fd, CONNECT), driver.engine.adoptListener(fd, LISTEN)]) {
          const { ended, errno } = await driver.closing(handle);
          assert.deepEqual([ended, errno], [Ended.error, -constants.errno.EEXIST]);
        }
      }
      driver.engine.writeString(client, "still here", "utf8");
      const server = driver.accepts[0] as number;
      await driver.until(() => driver.bytes(server).toString() === "still here", "the owner goes on");
      for (const handle of [client, server, listener]) driver.engine.close(handle);
      for (const handle of [client, server, listener]) await driver.closing(handle);
    }));

  it("says why a descriptor is no socket", () =>
    drive(async (driver) => {
      const fd = openSync(tmpdir(), "r");
      const stream = driver.engine.adoptStream(fd, CONNECT);
      const listener = driver.engine.adoptListener(fd, LISTEN);
      for (const handle of [stream, listener]) {
        const { ended, errno } = await driver.closing(handle);
        assert.equal(ended, Ended.error);
        assert.ok(errno < 0);
      }
      assert.deepEqual(driver.log, [`closed ${stream}`, `closed ${listener}`]);
      closeSync(fd);
    }));
});
