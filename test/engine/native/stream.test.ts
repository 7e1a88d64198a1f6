import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:os";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import { pattern } from "../../support/bytes.js";
import { CONNECT, Driver, NOTHING_HELD, native, stopDrivers } from "./driver.js";

afterEach(stopDrivers);

const { ECONNRESET, EPIPE } = constants.errno;

test("bytes go both ways, and each end closes once", async () => {
  const driver = new Driver();
  driver.react.data = (handle, chunk, start, end) => {
    if (driver.accepts.includes(handle)) driver.engine.write(handle, chunk.subarray(start, end));
  };
  const { client, listener, server } = await driver.pair();
  assert.equal(driver.engine.writeString(client, "grüß dich", "utf8"), 11);
  assert.equal((await driver.gets(client, 11)).toString(), "grüß dich");
  driver.engine.close(client);
  assert.equal((await driver.closing(client)).ended, Ended.local);
  assert.equal((await driver.closing(server)).ended, Ended.peer);
  await driver.finish(listener);
});

test("nothing is held when an engine has stopped", async () => {
  const driver = new Driver();
  const { client, listener } = await driver.pair();
  const { engine } = driver;
  engine.pause(client);
  for (const accepted of driver.accepts) for (let i = 0; i < 100; i++) engine.write(accepted, pattern(100_000));
  await driver.settle();
  await driver.finish(client, listener);
  await driver.settle();
  const { regions: _, ...counts } = native().liveCounts();
  assert.deepEqual(counts, NOTHING_HELD);
});

test("writes of every size and path leave in the order of the calls", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  const sizes = [1, 4096, 4097, 3, 70_000, 1, 1, 300_000, 5, 4096, 4096];
  let sent = 0;
  for (let round = 0; round < 20; round++) {
    for (const size of sizes) {
      driver.engine.write(client, pattern(size, sent));
      sent += size;
    }
    const text = "text ".repeat(20_000).slice(0, [5, 5000, 90_000][round % 3]);
    sent += driver.engine.writeString(client, text, "latin1");
  }
  const got = await driver.gets(server, sent);
  let at = 0;
  for (let round = 0; round < 20; round++) {
    for (const size of sizes) {
      assert.ok(got.subarray(at, at + size).equals(pattern(size, at)), `round ${round}, ${size} bytes`);
      at += size;
    }
    const length = [5, 5000, 90_000][round % 3] as number;
    assert.equal(got.toString("latin1", at, at + length), "text ".repeat(20_000).slice(0, length));
    at += length;
  }
  assert.equal(got.length, sent);
  await driver.finish(client, listener);
});

test("more than the shared memory holds goes out all the same", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  for (let i = 0; i < 10_000; i++) {
    driver.engine.write(client, pattern(100, i * 100));
    driver.engine.write(server, pattern(7, i * 7)); // the handles alternate: no piece lengthens the last one
  }
  assert.ok((await driver.gets(server, 1_000_000)).equals(pattern(1_000_000)));
  assert.ok((await driver.gets(client, 70_000)).equals(pattern(70_000)));
  assert.equal(driver.engine.totalOutbound(), 0);
  await driver.finish(client, listener);
});

test("the writes of a turn are one system call", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  await driver.settle();
  const before = driver.engine.counters().systemCalls;
  for (let i = 0; i < 50; i++) driver.engine.writeString(client, "line\n", "utf8");
  driver.engine.flush();
  if (!native().torture) assert.equal(driver.engine.counters().systemCalls - before, 1);
  await driver.gets(server, 250);
  await driver.finish(client, listener);
});

test("strings count their bytes in every encoding", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  const texts: [string, BufferEncoding][] = [
    ["a€😀", "utf8"],
    ["é", "latin1"],
    ["é", "ascii"],
    ["00ff", "hex"],
    ["aGk=", "base64"],
    ["hi", "utf16le"],
    ["\ud800", "utf8"],
    ["ü".repeat(40_000), "utf8"],
  ];
  const expected = Buffer.concat(texts.map(([text, encoding]) => Buffer.from(text, encoding)));
  for (const [text, encoding] of texts) {
    assert.equal(driver.engine.writeString(client, text, encoding), Buffer.from(text, encoding).length);
  }
  assert.ok((await driver.gets(server, expected.length)).equals(expected));
  await driver.finish(client, listener);
});

test("paused in data, the bytes behind it in the same batch are held, and come in order", async () => {
  const driver = new Driver();
  const first = await driver.pair();
  const second = await driver.pair();
  const servers = [first.server, second.server];
  // Whichever is delivered first pauses both: the other's bytes are in the ring already.
  driver.react.data = () => {
    for (const server of servers) driver.engine.pause(server);
  };
  driver.engine.writeString(first.client, "one ", "utf8");
  driver.engine.writeString(second.client, "one ", "utf8");
  await driver.until(() => servers.some((server) => driver.received.has(server)), "data");
  driver.engine.writeString(first.client, "two", "utf8");
  driver.engine.writeString(second.client, "two", "utf8");
  driver.engine.finish(first.client);
  await driver.settle();
  const early = servers.filter((server) => driver.received.has(server));
  assert.ok(early.length < 2 || native().torture, "the second was held");
  assert.deepEqual(driver.closings, [], "a FIN waits too");
  driver.react = {};
  for (const server of servers) driver.engine.resume(server);
  for (const server of servers) assert.equal((await driver.gets(server, 7)).toString(), "one two");
  assert.equal((await driver.closing(first.server)).ended, Ended.peer);
  await driver.finish(first.client, second.client, first.listener, second.listener);
});

test("toggling pause forgets nothing and repeats nothing", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  let toggles = 0;
  driver.react.data = () => {
    driver.engine.pause(server);
    if (toggles++ % 2 === 0) {
      driver.engine.resume(server);
      driver.engine.pause(server);
    }
    setImmediate(() => {
      driver.engine.resume(server);
      if (toggles % 3 === 0) {
        driver.engine.pause(server);
        setImmediate(() => driver.engine.resume(server));
      }
    });
  };
  for (let i = 0; i < 30; i++) driver.engine.write(client, pattern(50_000, i * 50_000));
  assert.ok((await driver.gets(server, 1_500_000)).equals(pattern(1_500_000)));
  await driver.finish(client, listener);
});

test("a reset while paused closes at once", async () => {
  const driver = new Driver();
  const { listener, peer, server } = await driver.withPeer();
  driver.engine.pause(server);
  peer.write("unread");
  await driver.settle();
  peer.resetAndDestroy();
  const { ended, errno } = await driver.closing(server);
  assert.deepEqual([ended, errno], [Ended.error, -ECONNRESET]);
  await driver.finish(listener);
});

test("a paused connection that hung up does not spin", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair({}, { family: "unix", path: `\0em-test-${process.pid}-spin` });
  driver.engine.pause(server);
  driver.engine.writeString(client, "last words", "utf8");
  while (driver.engine.outboundSize(client) > 0) await driver.settle();
  driver.engine.close(client);
  await driver.closing(client);
  await driver.settle();
  const before = driver.engine.counters().systemCalls;
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(driver.engine.counters().systemCalls - before < 10);
  driver.engine.resume(server);
  assert.equal((await driver.gets(server, 10)).toString(), "last words");
  assert.equal((await driver.closing(server)).ended, Ended.peer);
  await driver.finish(listener);
});

test("half-close both ways: end after the data, closed when both have ended", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair({ halfOpen: true });
  driver.engine.writeString(client, "question", "utf8");
  driver.engine.shutdown(client);
  driver.engine.writeString(client, "too late", "utf8");
  await driver.until(() => driver.has("end", server), "end");
  assert.equal(driver.bytes(server).toString(), "question");
  await driver.settle();
  assert.deepEqual(driver.closings, []);
  driver.engine.writeString(server, "answer", "utf8");
  driver.engine.shutdown(server);
  assert.equal((await driver.closing(server)).ended, Ended.local);
  assert.equal((await driver.closing(client)).ended, Ended.local);
  assert.ok(driver.has("end", client));
  assert.equal(driver.bytes(client).toString(), "answer");
  await driver.finish(listener);
});

test("a FIN loses nothing that is queued, nor what is written before it is delivered", async () => {
  const driver = new Driver();
  const { listener, peer, server } = await driver.withPeer();
  const chunks: Buffer[] = [];
  peer.on("data", (chunk) => chunks.push(chunk));
  driver.engine.write(server, pattern(3_000_000));
  peer.end();
  await once(peer, "end");
  assert.ok(Buffer.concat(chunks).equals(pattern(3_000_000)));
  assert.equal((await driver.closing(server)).ended, Ended.peer);
  await driver.finish(listener);
});

test("finish sends everything, although the peer's bytes are never read", async () => {
  const driver = new Driver();
  const { listener, peer, server } = await driver.withPeer();
  let sent = 0;
  peer.write(pattern(500_000));
  const chunks: Buffer[] = [];
  peer.on("data", (chunk) => chunks.push(chunk));
  driver.engine.pause(server);
  for (let i = 0; i < 10; i++) {
    driver.engine.write(server, pattern(30_000, sent));
    sent += 30_000;
  }
  driver.engine.finish(server);
  driver.engine.writeString(server, "too late", "utf8");
  await once(peer, "end");
  assert.ok(Buffer.concat(chunks).equals(pattern(sent)));
  await driver.settle();
  assert.deepEqual(driver.closings, [], "it waits for the peer's FIN");
  peer.end();
  const { ended, errno } = await driver.closing(server);
  assert.deepEqual([ended, errno], [Ended.local, 0]);
  assert.equal(driver.bytes(server).length, 0, "and delivers nothing meanwhile");
  await driver.finish(listener);
});

test("close drops what is unsent and still tells how much", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  driver.engine.pause(server);
  driver.engine.write(client, pattern(20_000_000));
  driver.engine.writeString(client, "small", "utf8");
  const queued = driver.engine.outboundSize(client);
  assert.ok(queued > 1_000_000);
  assert.equal(driver.engine.totalOutbound(), queued);
  driver.engine.close(client);
  driver.engine.writeString(client, "too late", "utf8");
  assert.equal(driver.engine.totalOutbound(), 0);
  assert.equal((await driver.closing(client)).unsent, queued);
  await driver.settle();
  assert.equal(driver.engine.outboundSize(client), 0);
  await driver.finish(listener);
});

test("abort resets", async () => {
  const driver = new Driver();
  const { listener, peer, server } = await driver.withPeer();
  const failed = once(peer, "error");
  driver.engine.abort(server);
  assert.equal((await driver.closing(server)).ended, Ended.local);
  assert.equal(((await failed)[0] as NodeJS.ErrnoException).code, "ECONNRESET");
  await driver.finish(listener);
});

test("writing to a peer that is gone closes with the error", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair(
    { halfOpen: true },
    { family: "unix", path: `\0em-${process.pid}-p` },
  );
  driver.engine.close(client);
  await driver.until(() => driver.has("end", server), "end");
  driver.engine.writeString(server, "anybody there?", "utf8");
  const { ended, errno, syscall } = await driver.closing(server);
  assert.deepEqual([ended, errno, syscall], [Ended.error, -EPIPE, "write"]);
  await driver.finish(listener);
});

test("writable comes once, at the low-water mark, and not inside the call", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  driver.engine.pause(server);
  driver.engine.write(client, pattern(20_000_000));
  driver.engine.awaitWritable(client);
  driver.engine.awaitWritable(client);
  await driver.settle();
  assert.ok(!driver.has("writable", client));
  let atMost = 0;
  driver.react.writable = () => {
    atMost = driver.engine.outboundSize(client);
  };
  driver.engine.resume(server);
  await driver.gets(server, 20_000_000);
  await driver.settle();
  assert.equal(driver.log.filter((line) => line === `writable ${client}`).length, 1);
  assert.ok(atMost <= CONNECT.lowWaterMark);
  driver.engine.awaitWritable(client);
  assert.equal(driver.log.filter((line) => line === `writable ${client}`).length, 1);
  await driver.until(() => driver.log.filter((line) => line === `writable ${client}`).length === 2, "writable again");
  await driver.finish(client, listener);
});

test("slots are used again under other handles, and stale handles do nothing", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const { listener, address } = await driver.listen();
  const seen = new Set<number>();
  let last = -1;
  for (let i = 0; i < 50; i++) {
    last = engine.connect(address, CONNECT);
    assert.ok(!seen.has(last) && last >= 0);
    seen.add(last);
    await driver.until(() => driver.has("connected", last) && driver.accepts.length === i + 1, "connected");
    engine.close(last);
    await driver.closing(last);
    await driver.closing(driver.accepts[i] as number);
  }
  await driver.settle();
  engine.write(last, pattern(10));
  engine.write(last, pattern(10_000));
  engine.writeString(last, "x", "utf8");
  for (const command of [
    "pause",
    "resume",
    "shutdown",
    "finish",
    "close",
    "abort",
    "detach",
    "awaitWritable",
  ] as const) {
    engine[command](last);
  }
  engine.setOptions(last, { noDelay: true });
  engine.setLowWaterMark(last, 1);
  engine.sendFile(last, 0, 0, 1);
  assert.deepEqual([engine.outboundSize(last), engine.lastRead(last), engine.socketError(last)], [0, 0, 0]);
  assert.equal(engine.remoteAddress(last), undefined);
  assert.equal(engine.totalOutbound(), 0);
  assert.throws(() => engine.takeDetached(last), { code: "ERR_EM_NOT_DETACHED" });
  await driver.settle();
  assert.equal(driver.closings.length, 100);
  await driver.finish(listener);
});

test("when bytes moved last is told on the engine's clock", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  const opened = driver.engine.lastWrite(client);
  assert.ok(opened <= driver.engine.now() && opened > driver.engine.now() - 10_000);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const before = driver.engine.now();
  driver.engine.writeString(client, "x", "utf8");
  await driver.gets(server, 1);
  for (const stamp of [driver.engine.lastWrite(client), driver.engine.lastRead(server)]) {
    assert.ok(stamp >= before - 1 && stamp <= driver.engine.now(), `${before} ${stamp} ${driver.engine.now()}`);
  }
  assert.equal(driver.engine.lastRead(client), opened);
  await driver.finish(client, listener);
});

test("a program that keeps and detaches what it was lent harms only itself", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  const kept: Buffer[] = [];
  driver.react.data = (_, chunk, start, end) => {
    kept.push(chunk.subarray(start, end));
    const memory = chunk.buffer as ArrayBuffer & { transfer?(): ArrayBuffer };
    memory.transfer?.(); // from Node 22 on
  };
  for (let i = 0; i < 3; i++) {
    driver.engine.writeString(client, "abc", "utf8");
    await driver.gets(server, 3 * (i + 1));
  }
  await driver.finish(client, listener);
  for (const view of kept) assert.ok(view.length === 0 || view.length === 3 || view[0] !== undefined);
});
