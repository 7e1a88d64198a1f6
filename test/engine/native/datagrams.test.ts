import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:os";
import { afterEach, test } from "node:test";
import { NO_DATAGRAMS } from "../../../src/engine/datagrams.js";
import { Ended } from "../../../src/engine/streams.js";
import { assertNothingHeld, DATAGRAMS, DatagramDriver, nodeSocket } from "./datagram_driver.js";
import { LOOPBACK, stopDrivers } from "./driver.js";

const { errno } = constants;

afterEach(stopDrivers);

test("a datagram arrives with its sender, and what answers it arrives there", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const b = await driver.openDatagrams();
  assert.equal(driver.send(a, "ping", driver.peerOf(a, b)), true);
  driver.onDatagram = ({ handle, data, sender }) => {
    if (handle === b) driver.send(b, `${data}-pong`, sender);
  };
  await driver.gotDatagrams(a, 1);
  assert.deepEqual(driver.textsTo(b), ["ping"]);
  assert.deepEqual(driver.textsTo(a), ["ping-pong"]);
  assert.deepEqual(driver.came[0]?.sender.address, driver.addressOf(a));
  assert.deepEqual(driver.came[1]?.sender.address, driver.addressOf(b));
  await driver.finish(a, b);
  await assertNothingHeld();
});

test("a socket of Node's own hears whole datagrams, empty and the largest among them", async () => {
  const driver = new DatagramDriver();
  const peer = await nodeSocket();
  const got: Buffer[] = [];
  peer.on("message", (data) => got.push(data));
  const a = await driver.openDatagrams();
  const to = driver.engine.peerFor(a, { family: "IPv4", host: "127.0.0.1", port: peer.address().port });
  const sizes = [0, 1, 64, 4096, 4097, 16_384, 65_507];
  for (const size of sizes) driver.send(a, Buffer.alloc(size, size & 255), to);
  while (got.length < sizes.length) await once(peer, "message");
  assert.deepEqual(
    got,
    sizes.map((size) => Buffer.alloc(size, size & 255)),
  );
  for (const size of sizes) peer.send(Buffer.alloc(size, size & 255), driver.addressOf(a).port, "127.0.0.1");
  await driver.gotDatagrams(a, sizes.length);
  assert.deepEqual(driver.to(a), got);
  peer.close();
  await driver.finish(a);
  const [closing] = driver.closings;
  assert.deepEqual([closing?.ended, closing?.errno, closing?.unsent], [Ended.local, 0, 0]);
  assert.equal(driver.engine.totalOutbound(), 0);
});

test("what cannot be sent is reported for that datagram, and ends nothing", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const b = await driver.openDatagrams();
  const toB = driver.peerOf(a, b);
  const nowhere = driver.engine.peerFor(a, { family: "IPv4", host: "127.0.0.1", port: 0 });
  const broadcast = driver.engine.peerFor(a, { family: "IPv4", host: "127.255.255.255", port: 9 });
  driver.send(a, "first", toB);
  driver.send(a, Buffer.alloc(65_508), toB);
  driver.send(a, "lost", nowhere);
  driver.send(a, "lost", broadcast);
  driver.send(a, "lost");
  driver.send(a, "last", toB);
  await driver.gotDatagrams(b, 2);
  await driver.until(() => driver.failed.length >= 4, "four failures");
  assert.deepEqual(driver.textsTo(b), ["first", "last"]);
  assert.deepEqual(
    driver.failed.map(({ handle, errno: number, syscall, peer }) => [handle, -number, syscall, peer]),
    [
      [a, errno.EMSGSIZE, "sendmsg", toB],
      [a, errno.EINVAL, "sendmsg", nowhere],
      [a, errno.EACCES, "sendmsg", broadcast],
      [a, errno.EDESTADDRREQ, "sendmsg", undefined],
    ],
  );
  assert.equal(driver.engine.outboundSize(a), 0);
  const { sent, dropped } = driver.engine.datagramCounters(a);
  assert.deepEqual({ sent, dropped }, { sent: 2, dropped: 0 });
  await driver.finish(a, b);
  await assertNothingHeld();
});

test("an ICMP error is reported for its address, and what was sent elsewhere in between arrives", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const b = await driver.openDatagrams();
  const gone = await driver.openDatagrams();
  const toGone = driver.peerOf(a, gone);
  const toB = driver.peerOf(a, b);
  const { port } = driver.addressOf(gone);
  driver.engine.close(gone);
  await driver.closing(gone);
  const COUNT = 40;
  for (let i = 0; i < COUNT; i++) {
    driver.send(a, `lost ${i}`, toGone);
    driver.send(a, `${i}`, toB);
    if (i % 5 === 4) driver.engine.flush();
  }
  await driver.gotDatagrams(b, COUNT);
  await driver.until(() => driver.failed.length >= 1, "a failure");
  await driver.settle();
  assert.deepEqual(
    driver.textsTo(b),
    Array.from({ length: COUNT }, (_, i) => `${i}`),
  );
  for (const failed of driver.failed) {
    assert.deepEqual([failed.handle, -failed.errno], [a, errno.ECONNREFUSED]);
    assert.deepEqual(failed.peer?.address, { family: "IPv4", host: "127.0.0.1", port });
  }
  assert.equal(driver.engine.datagramCounters(a).sent, COUNT * 2);
  assert.equal(driver.engine.counters().spins, 0);
  await driver.finish(a, b);
});

test("a connected socket sends without a peer and hears nobody else", async () => {
  const driver = new DatagramDriver();
  const b = await driver.openDatagrams();
  const other = await driver.openDatagrams();
  const a = await driver.openDatagrams({ remote: driver.addressOf(b) });
  assert.deepEqual(driver.engine.remoteAddress(a), driver.addressOf(b));
  driver.send(a, "hello");
  driver.send(other, "not heard", driver.peerOf(other, a));
  await driver.gotDatagrams(b, 1);
  driver.send(b, "answer", driver.came[0]?.sender);
  await driver.gotDatagrams(a, 1);
  assert.deepEqual(driver.textsTo(a), ["answer"]);
  driver.engine.close(b);
  await driver.closing(b);
  driver.send(a, "refused");
  await driver.until(() => driver.failed.some(({ handle }) => handle === a), "a failure");
  assert.equal(driver.failed.find(({ handle }) => handle === a)?.errno, -errno.ECONNREFUSED);
  await driver.finish(a, other);
});

test("while paused nothing is delivered, from the moment of the call, and then all of it in order", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const b = await driver.openDatagrams();
  const peer = await nodeSocket();
  const COUNT = 100;
  let paused = false;
  driver.onDatagram = ({ handle }) => {
    assert.equal(paused, false, "nothing while paused");
    if (handle !== b || driver.to(b).length % 7 !== 0) return;
    paused = true;
    driver.engine.pause(b);
    setTimeout(() => {
      paused = false;
      driver.engine.resume(b);
    }, 2);
  };
  // From the engine they come in runs, from Node one by one.
  for (let i = 0; i < COUNT; i++) driver.send(a, `run ${String(i).padStart(3)}`, driver.peerOf(a, b));
  await driver.gotDatagrams(b, COUNT);
  for (let i = 0; i < COUNT; i++) peer.send(`one ${i}`, driver.addressOf(b).port, "127.0.0.1");
  await driver.gotDatagrams(b, COUNT * 2);
  const runs = Array.from({ length: COUNT }, (_, i) => `run ${String(i).padStart(3)}`);
  assert.deepEqual(driver.textsTo(b), [...runs, ...Array.from({ length: COUNT }, (_, i) => `one ${i}`)]);
  peer.close();
  await driver.finish(a, b);
  await assertNothingHeld();
});

test("a socket that is closed while datagrams are held, or in its own callback, gives everything back", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const held = await driver.openDatagrams();
  const closed = await driver.openDatagrams();
  driver.onDatagram = ({ handle }) => {
    if (handle === held) driver.engine.pause(held);
    else driver.engine.close(closed);
  };
  for (let i = 0; i < 20; i++) {
    driver.send(a, `${i}`.padStart(i % 3), driver.peerOf(a, held));
    driver.send(a, `${i}`, driver.peerOf(a, closed));
  }
  await driver.closing(closed);
  await driver.gotDatagrams(held, 1);
  await driver.settle();
  assert.equal(driver.to(held).length, 1);
  assert.equal(driver.to(closed).length, 1);
  driver.engine.resume(held);
  await driver.gotDatagrams(held, 2);
  driver.engine.close(held);
  await driver.closing(held);
  assert.equal(driver.to(held).length, 2);
  await driver.finish(a);
  await assertNothingHeld();
});

test("an engine that is stopped within a datagram delivers no other", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const b = await driver.openDatagrams();
  const stopped = new Promise<void>((resolve) => {
    driver.onDatagram = () => {
      driver.engine.stop();
      resolve();
    };
  });
  for (let i = 0; i < 10; i++) driver.send(a, "x", driver.peerOf(a, b));
  await stopped;
  await driver.settle();
  assert.equal(driver.to(b).length, 1);
  assert.equal(driver.engine.sendDatagram(a, Buffer.from("x"), undefined), false);
  await assertNothingHeld();
});

test("IPv6 carries datagrams, and IPv4 too where it may", async () => {
  const driver = new DatagramDriver();
  const six = await driver.openDatagrams({}, { family: "IPv6", host: "::1", port: 0 });
  const other = await driver.openDatagrams({}, { family: "IPv6", host: "::1", port: 0 });
  driver.send(six, "six", driver.peerOf(six, other));
  await driver.gotDatagrams(other, 1);
  assert.deepEqual(driver.came[0]?.sender.address, driver.addressOf(six));
  const dual = await driver.openDatagrams({}, { family: "IPv6", host: "::", port: 0 });
  const four = await driver.openDatagrams();
  driver.send(four, "four", driver.engine.peerFor(four, { ...LOOPBACK, port: driver.addressOf(dual).port }));
  await driver.gotDatagrams(dual, 1);
  const sender = driver.came[1]?.sender;
  assert.deepEqual(sender?.address, driver.addressOf(four), "shown as the IPv4 address it stands for");
  driver.send(dual, "answer", sender);
  driver.send(dual, "again", driver.peerOf(dual, four));
  await driver.gotDatagrams(four, 2);
  assert.deepEqual(driver.textsTo(four), ["answer", "again"]);
  const only = await driver.openDatagrams({ ipv6Only: true }, { family: "IPv6", host: "::", port: 0 });
  driver.send(only, "lost", driver.peerOf(only, four));
  await driver.until(() => driver.failed.length > 0, "a failure");
  assert.equal(driver.failed[0]?.errno, -errno.ENETUNREACH);
  const gone = driver.engine.peerFor(six, { family: "IPv6", host: "::1", port: driver.addressOf(other).port });
  driver.engine.close(other);
  await driver.closing(other);
  driver.send(six, "refused", gone);
  await driver.until(() => driver.failed.length > 1, "an ICMPv6 error");
  assert.deepEqual([driver.failed[1]?.errno, driver.failed[1]?.peer], [-errno.ECONNREFUSED, gone]);
  await driver.finish(six, dual, four, only);
});

test("a socket that cannot be opened is closed with the reason", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const taken = await driver.openDatagrams({}, driver.addressOf(a));
  const foreign = await driver.openDatagrams({}, { family: "IPv4", host: "192.0.2.77", port: 0 });
  const nonsense = await driver.openDatagrams({}, { family: "IPv4", host: "nonsense", port: 0 });
  for (const [handle, number] of [
    [taken, errno.EADDRINUSE],
    [foreign, errno.EADDRNOTAVAIL],
    [nonsense, errno.EINVAL],
  ]) {
    const closing = await driver.closing(handle as number);
    assert.deepEqual([closing.ended, -closing.errno, closing.syscall], [Ended.error, number, "bind"]);
  }
  assert.throws(() => driver.engine.peerFor(a, { family: "IPv4", host: "nonsense", port: 1 }), { code: "EINVAL" });
  await driver.finish(a);
});

test("commands on a stale handle do nothing", async () => {
  const driver = new DatagramDriver();
  const { engine } = driver;
  const a = await driver.openDatagrams();
  const peer = driver.peerOf(a, a);
  engine.close(a);
  await driver.closing(a);
  assert.equal(engine.sendDatagram(a, Buffer.from("x"), peer), false);
  assert.equal(engine.sendDatagram(a, Buffer.alloc(5000), peer), false);
  engine.finishDatagrams(a);
  engine.awaitWritable(a);
  engine.pause(a);
  engine.resume(a);
  engine.setDatagramOptions(a, { ttl: 3 });
  engine.setMembership(a, { group: "239.1.2.3", interface: undefined, source: undefined }, true);
  assert.deepEqual(engine.datagramCounters(a), NO_DATAGRAMS);
  const b = engine.openDatagrams(LOOPBACK, DATAGRAMS);
  engine.close(b);
  await driver.closing(b);
  assert.equal(driver.has("listening", b), false);
  await driver.finish();
});

test("streams' commands on a datagram socket, and the other way round, do nothing", async () => {
  const driver = new DatagramDriver();
  const { engine } = driver;
  const a = await driver.openDatagrams();
  engine.write(a, Buffer.from("x"));
  engine.writeString(a, "x", "utf8");
  engine.shutdown(a);
  engine.finish(a);
  const { listener, client, server } = await driver.pair();
  engine.sendDatagram(client, Buffer.from("yes"), undefined);
  engine.finishDatagrams(client);
  engine.writeString(client, "!", "utf8");
  driver.send(a, "to myself", driver.peerOf(a, a));
  await driver.gotDatagrams(a, 1);
  await driver.gets(server, 1);
  assert.equal(driver.bytes(server).at(-1), "!".charCodeAt(0));
  await driver.finish(a, client, listener);
});

test("memory that a program detaches or keeps does no harm", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const kept: Buffer[] = [];
  driver.onDatagram = (_came, chunk, start, end) => {
    const { datagramLending: lending } = driver.engine;
    assert.ok(lending !== undefined);
    const view = lending.view(start, end);
    const copy = lending.copy(start, end);
    assert.deepEqual(view, chunk.subarray(start, end));
    assert.deepEqual(copy, view);
    kept.push(copy);
    structuredClone(chunk.buffer, { transfer: [chunk.buffer as ArrayBuffer] });
  };
  for (let i = 0; i < 3; i++) {
    driver.send(a, `round ${i}`, driver.peerOf(a, a));
    await driver.gotDatagrams(a, i + 1);
  }
  assert.deepEqual(kept.map(String), ["round 0", "round 1", "round 2"]);
  await driver.finish(a);
});

test("a flood to one socket leaves the others their turn", async () => {
  const driver = new DatagramDriver();
  const flooded = await driver.openDatagrams({ receiveBufferSize: 1024 * 1024 });
  const quiet = await driver.openDatagrams();
  const a = await driver.openDatagrams();
  driver.engine.pause(flooded);
  driver.engine.pause(quiet);
  // Of different lengths, so that none come as one.
  for (let i = 0; i < 300; i++) driver.send(a, "x".repeat(1 + (i % 2)), driver.peerOf(a, flooded));
  driver.send(a, "quiet", driver.peerOf(a, quiet));
  await driver.settle();
  driver.engine.resume(flooded);
  driver.engine.resume(quiet);
  await driver.gotDatagrams(quiet, 1);
  const before = driver.came.findIndex(({ handle }) => handle === quiet);
  assert.ok(before <= 128, `${before} came before it`);
  await driver.gotDatagrams(flooded, 300);
  await driver.finish(a, flooded, quiet);
});

test("datagrams that the kernel drops for want of room are counted", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams({ receiveBufferSize: 4096 });
  const peer = await nodeSocket();
  driver.engine.pause(a);
  const { port } = driver.addressOf(a);
  const send = (text: string) => new Promise((resolve) => peer.send(text, port, "127.0.0.1", resolve));
  for (let i = 0; i < 100; i++) await send(`${i}`);
  const { receiveDrops } = driver.engine.datagramCounters(a);
  assert.ok(receiveDrops > 0, "without anything that comes after them");
  driver.engine.resume(a);
  await driver.settle();
  await send("last");
  await driver.until(() => driver.textsTo(a).includes("last"), "the last");
  const { received } = driver.engine.datagramCounters(a);
  assert.equal(received, driver.to(a).length);
  assert.equal(received + receiveDrops, 101);
  driver.engine.pause(a);
  for (let i = 0; i < 100; i++) await send(`${i}`);
  const { receiveDrops: counted } = driver.engine.counters();
  assert.ok(counted > receiveDrops, "nor is the socket itself asked first");
  for (let i = 0; i < 100; i++) await send(`${i}`);
  driver.engine.close(a);
  await driver.closing(a);
  assert.equal(driver.engine.counters().receiveDrops, counted + 100, "those before the end count too");
  peer.close();
  await driver.finish(a);
});
