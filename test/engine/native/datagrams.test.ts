import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import { DatagramDriver, nodeSocket } from "./datagram_driver.js";
import { NOTHING_HELD, native, stopDrivers } from "./driver.js";

afterEach(stopDrivers);

async function assertNothingHeld(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 10));
  const { regions: _, ...counts } = native().liveCounts();
  assert.deepEqual(counts, NOTHING_HELD);
}

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
