import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:os";
import { afterEach, test } from "node:test";
import { Ended, type Handle } from "../../../src/engine/streams.js";
import { assertNothingHeld, DatagramDriver, nodeSocket, UNNAMED } from "./datagram_driver.js";
import { stopDrivers } from "./driver.js";

const { errno } = constants;
const SOL_SOCKET = 1;
const SO_NO_CHECK = 11;

afterEach(stopDrivers);

/** Datagrams of these lengths, each begun with its number. */
function numbered(lengths: readonly number[]): Buffer[] {
  return lengths.map((length, i) => {
    const data = Buffer.alloc(length, i & 255);
    if (length >= 4) data.writeUInt32LE(i);
    return data;
  });
}

const LENGTHS: Record<string, readonly number[]> = {
  equal: Array.from({ length: 500 }, () => 1200),
  "the last shorter": [...Array.from({ length: 100 }, () => 700), 12, 700, 700, 1],
  growing: Array.from({ length: 150 }, (_, i) => i * 3),
  "empty ones between": Array.from({ length: 120 }, (_, i) => (i % 4 === 3 ? 0 : 50)),
  "large runs": Array.from({ length: 90 }, () => 4096),
  "small and too large for the ring": Array.from({ length: 60 }, (_, i) => (i % 5 === 4 ? 9000 : 1000)),
  "odd lengths": Array.from({ length: 300 }, () => 333),
};

for (const [name, lengths] of Object.entries(LENGTHS)) {
  test(`datagrams of one turn arrive whole and in order: ${name}`, async () => {
    const driver = new DatagramDriver();
    const size = 4 * 1024 * 1024;
    const b = await driver.openDatagrams({ receiveBufferSize: size });
    const a = await driver.openDatagrams();
    const sent = numbered(lengths);
    const before = driver.engine.counters().systemCalls;
    for (const data of sent) driver.send(a, data, driver.peerOf(a, b));
    await driver.gotDatagrams(b, sent.length);
    assert.deepEqual(driver.to(b), sent);
    assert.equal(driver.engine.outboundSize(a), 0);
    if (name === "equal") assert.ok(driver.engine.counters().systemCalls - before < 100, "in few calls");
    const counted = driver.engine.datagramCounters(a);
    assert.deepEqual([counted.sent, driver.engine.datagramCounters(b).received], [sent.length, sent.length]);
    await driver.finish(a, b);
    await assertNothingHeld();
  });
}

test("runs to a socket that knows nothing of them, and to several peers in turn, arrive one by one", async () => {
  const driver = new DatagramDriver();
  const peers = [await nodeSocket(), await nodeSocket()];
  const got: Buffer[][] = [[], []];
  peers.forEach((peer, i) => {
    peer.setRecvBufferSize(1024 * 1024);
    peer.on("message", (data) => got[i]?.push(data));
  });
  const a = await driver.openDatagrams();
  const names = peers.map((peer) =>
    driver.engine.peerFor(a, { family: "IPv4", host: "127.0.0.1", port: peer.address().port }),
  );
  const sent = numbered(Array.from({ length: 80 }, () => 600));
  for (const data of sent) driver.send(a, data, names[0]);
  for (const data of sent) for (const name of names) driver.send(a, data, name);
  while (got[0]?.length !== 160 || got[1]?.length !== 80) await once(peers[got[0]?.length === 160 ? 1 : 0]!, "message");
  assert.deepEqual(got, [[...sent, ...sent], sent]);
  for (const peer of peers) peer.close();
  await driver.finish(a);
});

test("where the kernel refuses to cut a run, its datagrams go one by one", async () => {
  const driver = new DatagramDriver();
  const b = await driver.openDatagrams({ receiveBufferSize: 1024 * 1024 });
  const a = await driver.openDatagrams();
  // Without checksums there is no segmentation.
  driver.engine.setSocketOption(a, SOL_SOCKET, SO_NO_CHECK, Buffer.from(Int32Array.of(1).buffer));
  const sent = numbered(Array.from({ length: 200 }, () => 500));
  for (const data of sent) driver.send(a, data, driver.peerOf(a, b));
  await driver.gotDatagrams(b, sent.length);
  assert.deepEqual(driver.to(b), sent);
  assert.deepEqual(driver.failed, []);
  await driver.finish(a, b);
});

/** Whether a run of equal datagrams comes as one: then they lie side by side in the arena. */
async function comesAsOne(driver: DatagramDriver, a: Handle, b: Handle): Promise<boolean> {
  const COUNT = 30;
  const starts: number[] = [];
  driver.onDatagram = (_came, _chunk, start) => starts.push(start);
  const before = driver.to(b).length;
  for (let i = 0; i < COUNT; i++) driver.send(a, Buffer.alloc(500), driver.peerOf(a, b));
  await driver.gotDatagrams(b, before + COUNT);
  driver.onDatagram = undefined;
  const besides = starts.filter((start, i) => i > 0 && start - (starts[i - 1] as number) === 500).length;
  assert.ok(besides === 0 || besides === COUNT - 1, `${besides} of ${COUNT}`);
  return besides > 0;
}

test("an address that the kernel refuses says nothing of runs to others", async () => {
  const driver = new DatagramDriver();
  const [a, b] = [await driver.openDatagrams(), await driver.openDatagrams()];
  const nowhere = driver.engine.peerFor(a, { family: "IPv4", host: "127.0.0.1", port: 0 });
  assert.equal(await comesAsOne(driver, a, b), true);
  for (let round = 1; round <= 3; round++) {
    for (let i = 0; i < 100; i++) driver.send(a, Buffer.alloc(500), nowhere);
    await driver.until(() => driver.failed.length >= 100 * round, "the failures");
    await driver.settle();
    assert.equal(driver.failed.length, 100 * round, "one for each");
  }
  assert.ok(driver.failed.every(({ errno: number, peer }) => -number === errno.EINVAL && peer === nowhere));
  assert.equal(await comesAsOne(driver, a, b), true);
  await driver.finish(a, b);
  await assertNothingHeld();
});

test("where the kernel cannot cut runs they are tried again after a while", async () => {
  const driver = new DatagramDriver();
  const [a, b] = [await driver.openDatagrams(), await driver.openDatagrams()];
  const noChecksums = (value: number) => Buffer.from(Int32Array.of(value).buffer);
  driver.engine.setSocketOption(a, SOL_SOCKET, SO_NO_CHECK, noChecksums(1));
  assert.equal(await comesAsOne(driver, a, b), false);
  driver.engine.setSocketOption(a, SOL_SOCKET, SO_NO_CHECK, noChecksums(0));
  assert.equal(await comesAsOne(driver, a, b), false, "not at once");
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.equal(await comesAsOne(driver, a, b), true);
  assert.deepEqual(driver.failed, []);
  await driver.finish(a, b);
});

test("each datagram of a run that fails is reported", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams();
  const nowhere = driver.engine.peerFor(a, { family: "IPv4", host: "127.255.255.255", port: 9 });
  for (let i = 0; i < 30; i++) driver.send(a, "equal", nowhere);
  await driver.until(() => driver.failed.length >= 30, "thirty failures");
  await driver.settle();
  assert.deepEqual(
    driver.failed.map(({ errno: number }) => -number),
    Array.from({ length: 30 }, () => errno.EACCES),
  );
  await driver.finish(a);
});

/** A Unix socket that does not read makes the kernel refuse what is sent to it. */
async function blocked(sendLimit: number, connected: boolean) {
  const driver = new DatagramDriver();
  const path = `\0em-datagrams-${process.pid}-${Math.random()}`;
  const b = await driver.openDatagrams({}, { family: "unix", path });
  const remote = connected ? ({ family: "unix", path } as const) : undefined;
  const a = await driver.openDatagrams({ sendLimit, remote }, UNNAMED);
  driver.engine.pause(b);
  return { driver, a, b, peer: connected ? undefined : driver.peerOf(a, b) };
}

for (const connected of [true, false]) {
  const kind = connected ? "connected" : "unconnected";
  test(`what the kernel has no room for waits, in order, and goes on by itself (${kind})`, async () => {
    const { driver, a, b, peer } = await blocked(1024 * 1024, connected);
    const COUNT = 2000;
    const answers = new Set<boolean>();
    for (let i = 0; i < COUNT; i++) {
      answers.add(driver.send(a, `${i}`, peer));
      if (i % 100 === 99) driver.engine.flush();
    }
    assert.deepEqual(answers, new Set([true, false]));
    assert.ok(driver.engine.outboundSize(a) > 0);
    driver.engine.awaitWritable(a);
    await driver.settle();
    assert.equal(driver.has("writable", a), false);
    driver.engine.resume(b);
    await driver.gotDatagrams(b, COUNT);
    await driver.event("writable", a);
    assert.deepEqual(
      driver.textsTo(b),
      Array.from({ length: COUNT }, (_, i) => `${i}`),
    );
    assert.equal(driver.engine.outboundSize(a), 0);
    assert.equal(driver.send(a, "more", peer), true);
    assert.equal(driver.engine.counters().spins, 0);
    await driver.finish(a, b);
    await assertNothingHeld();
  });

  test(`above the limit the newest are dropped and counted (${kind})`, async () => {
    const { driver, a, b, peer } = await blocked(10 * 164, connected);
    const data = numbered(Array.from({ length: 200 }, () => 100));
    for (const each of data) driver.send(a, each, peer);
    driver.engine.flush();
    assert.equal(driver.engine.outboundSize(a), 1000);
    const { dropped, sent } = driver.engine.datagramCounters(a);
    assert.equal(sent + dropped, 190);
    assert.ok(dropped > 0 && sent > 0);
    // One that is too long for the ring is refused like the others.
    assert.equal(driver.send(a, Buffer.alloc(9000), peer), false);
    assert.equal(driver.engine.datagramCounters(a).dropped, dropped + 1);
    driver.engine.resume(b);
    await driver.gotDatagrams(b, sent + 10);
    assert.deepEqual(driver.to(b), data.slice(0, sent + 10));
    await driver.finish(a, b);
  });

  test(`finish sends what waits before it closes (${kind})`, async () => {
    const { driver, a, b, peer } = await blocked(1024 * 1024, connected);
    for (let i = 0; i < 500; i++) driver.send(a, `${i}`, peer);
    driver.engine.finishDatagrams(a);
    assert.equal(driver.send(a, "too late", peer), false);
    await driver.settle();
    assert.equal(driver.has("closed", a), false);
    driver.engine.resume(b);
    const closing = await driver.closing(a);
    assert.deepEqual([closing.ended, closing.errno, closing.unsent], [Ended.local, 0, 0]);
    await driver.gotDatagrams(b, 500);
    assert.deepEqual(
      driver.textsTo(b),
      Array.from({ length: 500 }, (_, i) => `${i}`),
    );
    await driver.finish(b);
    await assertNothingHeld();
  });
}

test("a Unix peer that does not read delays what is sent to it, and nothing else", async () => {
  const { driver, a, b, peer } = await blocked(1024 * 1024, false);
  const c = await driver.openDatagrams({}, { family: "unix", path: `\0em-reads-${process.pid}-${Math.random()}` });
  const toC = driver.peerOf(a, c);
  const COUNT = 800;
  const LARGE = 9000;
  const texts = Array.from({ length: COUNT }, (_, i) => (i % 100 === 99 ? `${i}`.padEnd(LARGE) : `${i}`));
  for (const [i, text] of texts.entries()) {
    driver.send(a, text, peer);
    driver.send(a, text, toC);
    // So that the one that reads has room when it is asked.
    if (i % 4 === 3) await driver.settle();
  }
  await driver.gotDatagrams(c, COUNT);
  assert.deepEqual(driver.textsTo(c), texts);
  assert.equal(driver.to(b).length, 0);
  driver.engine.awaitWritable(a);
  driver.engine.finishDatagrams(a);
  await driver.settle();
  assert.equal(driver.has("closed", a), false);
  driver.engine.resume(b);
  await driver.gotDatagrams(b, COUNT);
  assert.deepEqual(driver.textsTo(b), texts);
  await driver.closing(a);
  assert.equal(driver.engine.totalOutbound(), 0);
  await driver.finish(b, c);
  await assertNothingHeld();
});

test("what waits for several peers counts together, and goes when each of them reads", async () => {
  const { driver, a, b, peer } = await blocked(1000 * 65, false);
  const others = [];
  for (let i = 0; i < 3; i++) {
    const path = `\0em-other-${i}-${process.pid}-${Math.random()}`;
    const handle = await driver.openDatagrams({}, { family: "unix", path });
    driver.engine.pause(handle);
    others.push({ handle, to: driver.peerOf(a, handle) });
  }
  for (let i = 0; i < 2000; i++) {
    driver.send(a, "x", peer);
    for (const { to } of others) driver.send(a, "y", to);
    if (i % 100 === 99) driver.engine.flush();
  }
  assert.equal(driver.engine.outboundSize(a), 1000);
  const { sent, dropped } = driver.engine.datagramCounters(a);
  assert.equal(sent + dropped + 1000, 8000);
  driver.engine.awaitWritable(a);
  for (const { handle } of others) driver.engine.resume(handle);
  await driver.until(() => driver.engine.outboundSize(a) < 1000, "room");
  await driver.settle();
  assert.equal(driver.has("writable", a), false, "one of them does not read yet");
  driver.engine.resume(b);
  await driver.event("writable", a);
  assert.equal(driver.engine.datagramCounters(a).sent, sent + 1000);
  // What is dropped with a close is given back.
  driver.engine.pause(b);
  for (let i = 0; i < 900; i++) driver.send(a, "x", peer);
  driver.engine.close(a);
  assert.ok((await driver.closing(a)).unsent > 0);
  await driver.finish(b, ...others.map(({ handle }) => handle));
  await assertNothingHeld();
});

test("close drops what waits, and tells how much that was", async () => {
  const { driver, a, b, peer } = await blocked(1024 * 1024, true);
  for (let i = 0; i < 500; i++) driver.send(a, "x", peer);
  driver.engine.close(a);
  const closing = await driver.closing(a);
  assert.ok(closing.unsent > 0);
  assert.equal(driver.engine.totalOutbound(), 0);
  await driver.finish(b);
  await assertNothingHeld();
});
