import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setImmediate as nextIteration } from "node:timers/promises";
import { Ended, NO_HANDLE } from "../../../src/engine/streams.js";
import { CONNECT, dial, drive, LISTEN, PATIENCE, readAll, readText, serve } from "./driver.js";

const { ECONNREFUSED, ECONNRESET, EADDRINUSE } = constants.errno;

async function patiently(socket: Socket, event: string): Promise<void> {
  await once(socket, event, { signal: AbortSignal.timeout(PATIENCE) });
}

describe("portable streams: opening", () => {
  it("accepts, echoes and reports both ends", () =>
    drive(async (driver) => {
      driver.react.data = (handle, chunk, start, end) => driver.engine.write(handle, chunk.subarray(start, end));
      const { address, handle: listener } = await driver.listen();
      const peer = await dial(address);
      const handle = await driver.nextAccepted();
      peer.write("hello");
      await readText(peer, "hello");
      assert.deepEqual(driver.engine.localAddress(handle), address);
      assert.deepEqual(driver.engine.remoteAddress(handle), { ...address, port: peer.localPort });
      assert.equal(driver.engine.remoteAddress(listener), undefined);
      peer.destroy();
    }));

  it("connects and reports both ends, also while closed is delivered", () =>
    drive(async (driver) => {
      const { address, handle: listener } = await driver.listen();
      const client = driver.engine.connect(address, CONNECT);
      await driver.event("connected", client);
      const local = driver.engine.localAddress(client);
      assert.deepEqual(driver.engine.remoteAddress(client), address);
      assert.deepEqual(local, driver.engine.remoteAddress(await driver.nextAccepted()));
      driver.engine.close(client);
      const closing = await driver.closing(client);
      assert.deepEqual([closing.local, closing.remote], [local, address]);
      assert.equal(driver.engine.remoteAddress(client), undefined);
      assert.notEqual(listener, client);
    }));

  it("reports the address a wildcard listener was reached at, and IPv4 peers as IPv4", () =>
    drive(async (driver) => {
      const listener = driver.engine.listen({ family: "IPv6", host: "::", port: 0 }, LISTEN);
      await driver.event("listening", listener);
      const bound = driver.engine.localAddress(listener);
      assert.ok(bound !== undefined && bound.family !== "unix");
      const peer = await dial({ family: "IPv4", host: "127.0.0.1", port: bound.port });
      const handle = await driver.nextAccepted();
      assert.deepEqual(driver.engine.localAddress(handle), { family: "IPv4", host: "127.0.0.1", port: bound.port });
      assert.deepEqual(driver.engine.remoteAddress(handle), {
        family: "IPv4",
        host: "127.0.0.1",
        port: peer.localPort,
      });
      peer.destroy();
    }));

  it("binds before connecting", () =>
    drive(async (driver) => {
      const { address } = await driver.listen();
      const client = driver.engine.connect(address, {
        ...CONNECT,
        localAddress: { family: "IPv4", host: "127.0.0.9", port: 0 },
      });
      await driver.event("connected", client);
      const local = driver.engine.localAddress(client);
      assert.ok(local !== undefined && local.family === "IPv4");
      assert.equal(local.host, "127.0.0.9");
    }));

  it("reports a refused connect and a taken port", () =>
    drive(async (driver) => {
      const { address, handle } = await driver.listen();
      const second = driver.engine.listen(address, LISTEN);
      const taken = await driver.closing(second);
      assert.deepEqual([taken.ended, taken.errno], [Ended.error, -EADDRINUSE]);
      driver.engine.close(handle);
      await driver.event("closed", handle);
      const client = driver.engine.connect(address, CONNECT);
      const refused = await driver.closing(client);
      assert.deepEqual([refused.ended, refused.errno, refused.syscall], [Ended.error, -ECONNREFUSED, "connect"]);
      assert.equal(driver.log.includes(`connected ${client}`), false);
    }));

  it("closes a connect that is under way", () =>
    drive(async (driver) => {
      const { address } = await driver.listen();
      const client = driver.engine.connect(address, CONNECT);
      driver.engine.close(client);
      assert.deepEqual(driver.closings, []);
      assert.equal((await driver.closing(client)).ended, Ended.local);
      assert.equal(driver.log.includes(`connected ${client}`), false);
    }));

  it("speaks over Unix sockets", () =>
    drive(async (driver) => {
      const folder = mkdtempSync(join(tmpdir(), "em-"));
      try {
        const address = { family: "unix", path: join(folder, "socket") } as const;
        const listener = driver.engine.listen(address, LISTEN);
        await driver.event("listening", listener);
        assert.deepEqual(driver.engine.localAddress(listener), address);
        const client = driver.engine.connect(address, CONNECT);
        await driver.event("connected", client);
        const handle = await driver.nextAccepted();
        driver.engine.write(client, Buffer.from("ping"));
        await driver.text(handle, "ping");
        assert.deepEqual(driver.engine.remoteAddress(client), address);
        assert.deepEqual(driver.engine.localAddress(client), { family: "unix", path: "" });
        assert.deepEqual(driver.engine.remoteAddress(handle), { family: "unix", path: "" });
        driver.engine.abort(client);
        await driver.event("closed", client);
        await driver.event("closed", handle);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }));

  it("does nothing on stale and unknown handles", () =>
    drive(async (driver) => {
      const { engine } = driver;
      const { handle, peer } = await driver.pair();
      engine.close(handle);
      await driver.event("closed", handle);
      const { handle: next, peer: nextPeer } = await driver.pair();
      const { handle: listener } = await driver.listen();
      for (const stale of [handle, NO_HANDLE, 0xfffff, listener]) {
        engine.write(stale, Buffer.from("x"));
        assert.equal(engine.writeString(stale, "x", "utf8"), 0);
        for (const command of ["awaitWritable", "pause", "resume", "shutdown", "finish"] as const)
          engine[command](stale);
        assert.equal(engine.outboundSize(stale), 0);
        assert.equal(engine.remoteAddress(stale), undefined);
        if (stale !== listener) engine.abort(stale);
      }
      nextPeer.write("alive");
      await driver.text(next, "alive");
      peer.destroy();
      nextPeer.destroy();
    }));
});

describe("portable streams: reading", () => {
  it("delivers nothing after pause, and what was held first after resume", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      driver.react.data = () => driver.engine.pause(handle);
      peer.write("one");
      await driver.text(handle, "one");
      peer.end("two");
      for (let i = 0; i < 20; i++) await nextIteration();
      await driver.text(handle, "one");
      driver.engine.resume(handle);
      assert.equal(driver.bytes(handle).toString(), "one");
      await driver.text(handle, "onetwo");
      assert.equal(driver.log.includes(`closed ${handle}`), false, "the FIN waits behind the pause in data");
      driver.engine.resume(handle);
      assert.equal((await driver.closing(handle)).ended, Ended.peer);
      peer.destroy();
    }));

  it("can be paused before it is open", () =>
    drive(async (driver) => {
      const { server, address } = await serve((socket) => socket.end("greeting"));
      const client = driver.engine.connect(address, CONNECT);
      driver.engine.pause(client);
      await driver.event("connected", client);
      for (let i = 0; i < 20; i++) await nextIteration();
      assert.equal(driver.bytes(client).length, 0);
      driver.engine.resume(client);
      await driver.text(client, "greeting");
      assert.equal((await driver.closing(client)).ended, Ended.peer);
      server.close();
    }));

  it("holds a bare FIN while paused", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair({ halfOpen: true });
      driver.engine.pause(handle);
      await nextIteration();
      peer.end();
      await patiently(peer, "finish");
      for (let i = 0; i < 20; i++) await nextIteration();
      assert.equal(driver.log.includes(`end ${handle}`), false);
      driver.engine.resume(handle);
      assert.equal(driver.log.includes(`end ${handle}`), false);
      await driver.event("end", handle);
      peer.destroy();
    }));

  it("pins no more than a chunk's own bytes", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      peer.write("x".repeat(100));
      await driver.until(() => driver.bytes(handle).length === 100, "100 bytes");
      for (const chunk of driver.received.get(handle) ?? []) {
        assert.ok(chunk.buffer.byteLength <= Math.max(8192, 2 * chunk.length), `${chunk.buffer.byteLength}`);
      }
      peer.destroy();
    }));
});

describe("portable streams: writing", () => {
  it("has copied when write returns, and joins the writes of one turn", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      const mine = Buffer.from("ab");
      driver.engine.write(handle, mine);
      mine.fill("-");
      assert.equal(driver.engine.writeString(handle, "ç", "utf8"), 2);
      driver.engine.write(handle, Buffer.from("d"));
      assert.equal(driver.engine.writeString(handle, "ff00", "hex"), 2);
      assert.equal(driver.engine.writeString(handle, "zz", "hex"), 0);
      assert.equal(driver.engine.outboundSize(handle), 7);
      assert.equal(driver.engine.totalOutbound(), 7);
      const [chunk] = await once(peer, "data", { signal: AbortSignal.timeout(PATIENCE) });
      assert.deepEqual(chunk, Buffer.concat([Buffer.from("abçd"), Buffer.from([0xff, 0])]));
      assert.equal(driver.engine.outboundSize(handle), 0);
      peer.destroy();
    }));

  it("counts what a slow peer has not taken, and tells once when it is writable again", () =>
    drive(async (driver) => {
      const { engine } = driver;
      const { handle, peer } = await driver.pair();
      peer.pause();
      const block = Buffer.alloc(100_000);
      let sent = 0;
      for (let i = 0; i < 160; i++) {
        for (let at = 0; at < block.length; at += 4) block.writeUInt32LE((sent + at) / 4, at);
        engine.write(handle, block);
        sent += block.length;
      }
      await nextIteration();
      await nextIteration();
      assert.ok(engine.outboundSize(handle) > 1_000_000);
      assert.equal(engine.outboundSize(handle), engine.totalOutbound());
      engine.awaitWritable(handle);
      engine.awaitWritable(handle);
      let atWritable = -1;
      driver.react.writable = () => {
        atWritable = engine.outboundSize(handle);
      };
      engine.finish(handle);
      engine.awaitWritable(handle);
      const all = await readAll(peer);
      assert.equal(all.length, sent);
      for (let at = 0; at < all.length; at += 4) if (all.readUInt32LE(at) !== at / 4) assert.fail(`wrong at ${at}`);
      assert.ok(atWritable >= 0 && atWritable <= 16 * 1024);
      assert.equal(driver.log.filter((entry) => entry === `writable ${handle}`).length, 1);
      peer.end();
      assert.equal((await driver.closing(handle)).ended, Ended.local);
    }));

  it("tells writable in a later turn where the queue is low already", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      driver.engine.awaitWritable(handle);
      assert.equal(driver.log.includes(`writable ${handle}`), false);
      await driver.event("writable", handle);
      peer.destroy();
    }));

  it("writes at once on flush", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      driver.engine.write(handle, Buffer.from("now"));
      driver.engine.flush();
      assert.equal(driver.engine.outboundSize(handle), 0);
      await readText(peer, "now");
      peer.destroy();
    }));

  it("keeps many connections' small writes apart when their peers do not read", () =>
    drive(async (driver) => {
      const { address } = await driver.listen();
      const peers: Socket[] = [];
      for (let i = 0; i < 8; i++) peers.push((await dial(address)).pause());
      await driver.nextAccepted(8);
      const expected = driver.accepts.map((handle) => `${handle}:`.repeat(40_000));
      for (let round = 0; round < 400; round++) {
        for (const handle of driver.accepts) {
          for (let i = 0; i < 100; i++) driver.engine.writeString(handle, `${handle}:`, "latin1");
        }
        if (round % 50 === 0) await nextIteration();
      }
      for (const handle of driver.accepts) driver.engine.shutdown(handle);
      const texts = await Promise.all(peers.map(async (peer) => (await readAll(peer)).toString()));
      assert.deepEqual(texts.sort(), expected.sort());
      for (const peer of peers) peer.destroy();
    }));
});

describe("portable streams: ending", () => {
  it("sends what is queued after the peer's FIN, then closes", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      driver.react.data = () => {
        for (let i = 0; i < 100; i++) driver.engine.write(handle, Buffer.alloc(50_000, i));
      };
      peer.end("all, please");
      assert.equal((await readAll(peer)).length, 5_000_000);
      const closing = await driver.closing(handle);
      assert.deepEqual([closing.ended, closing.unsent], [Ended.peer, 0]);
      assert.equal(driver.log.includes(`end ${handle}`), false);
    }));

  it("half-closes in both orders", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair({ halfOpen: true });
      peer.end("bye");
      await driver.event("end", handle);
      driver.engine.write(handle, Buffer.from("answer"));
      driver.engine.shutdown(handle);
      assert.equal((await readAll(peer)).toString(), "answer");
      assert.equal((await driver.closing(handle)).ended, Ended.local);

      const second = await driver.pair({ halfOpen: true });
      driver.engine.writeString(second.handle, "first", "utf8");
      driver.engine.shutdown(second.handle);
      assert.equal((await readAll(second.peer)).toString(), "first");
      second.peer.end("still heard");
      await driver.text(second.handle, "still heard");
      await driver.event("end", second.handle);
      assert.equal((await driver.closing(second.handle)).ended, Ended.local);
    }));

  it("finishes: all output, then the FIN, then waits for the peer's, discarding", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair({ halfOpen: true });
      peer.write("x".repeat(100_000));
      await driver.until(() => driver.bytes(handle).length > 0, "some data");
      const heard = driver.bytes(handle).length;
      driver.engine.pause(handle);
      driver.engine.write(handle, Buffer.alloc(300_000, 1));
      driver.engine.finish(handle);
      assert.equal((await readAll(peer)).length, 300_000);
      for (let i = 0; i < 5; i++) await nextIteration();
      assert.equal(driver.log.includes(`closed ${handle}`), false);
      peer.end("more");
      assert.equal((await driver.closing(handle)).ended, Ended.local);
      assert.equal(driver.bytes(handle).length, heard);
      assert.equal(driver.log.includes(`end ${handle}`), false);
    }));

  it("drops what is queued on close, and says how much", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      driver.engine.write(handle, Buffer.from("dropped"));
      driver.engine.close(handle);
      assert.equal((await readAll(peer)).length, 0);
      const closing = await driver.closing(handle);
      assert.deepEqual([closing.ended, closing.unsent], [Ended.local, 7]);
    }));

  it("resets on abort", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      const failed = once(peer, "error", { signal: AbortSignal.timeout(PATIENCE) });
      driver.engine.abort(handle);
      peer.resume();
      const [error] = (await failed) as [NodeJS.ErrnoException];
      assert.equal(error.code, "ECONNRESET");
      assert.equal((await driver.closing(handle)).ended, Ended.local);
    }));

  it("lets go of the descriptor when aborted between the last write and the FIN", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      driver.engine.shutdown(handle);
      driver.engine.flush();
      // The socket asks for the FIN in a nextTick; from then until the loop's next turn libuv refuses to reset.
      await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)));
      driver.engine.abort(handle);
      await readAll(peer);
      const failed = once(peer, "error", { signal: AbortSignal.timeout(PATIENCE) });
      peer.write("anybody there?");
      const [error] = (await failed) as [NodeJS.ErrnoException];
      assert.match(error.code ?? "", /^(ECONNRESET|EPIPE)$/);
      assert.equal((await driver.closing(handle)).ended, Ended.local);
    }));

  it("reports a reset by the peer", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      peer.resetAndDestroy();
      const closing = await driver.closing(handle);
      assert.deepEqual([closing.ended, closing.errno, closing.syscall], [Ended.error, -ECONNRESET, "read"]);
      assert.deepEqual(closing.remote?.family, "IPv4");
    }));

  it("delivers no event inside a command, whatever the command", () =>
    drive(async (driver) => {
      const { server, address } = await serve((socket) => socket.resume());
      const client = driver.engine.connect(address, CONNECT);
      await driver.event("connected", client);
      const before = driver.log.length;
      driver.engine.write(client, Buffer.alloc(200_000));
      driver.engine.awaitWritable(client);
      driver.engine.flush();
      driver.engine.pause(client);
      driver.engine.resume(client);
      driver.engine.close(client);
      assert.equal(driver.log.length, before);
      await driver.event("closed", client);
      assert.deepEqual(driver.log.slice(before), [`closed ${client}`]);
      server.close();
    }));
});
