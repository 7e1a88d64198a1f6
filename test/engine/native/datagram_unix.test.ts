import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import type { SocketAddress } from "../../../src/base/addresses.js";
import { assertNothingHeld, DatagramDriver, UNNAMED } from "./datagram_driver.js";
import { stopDrivers } from "./driver.js";

const { errno } = constants;
const folder = mkdtempSync(join(tmpdir(), "em-dgram-"));
let next = 0;

afterEach(stopDrivers);
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function place(mode?: number) {
  const path = join(folder, `socket-${next++}`);
  return { path, address: { family: "unix", path } as SocketAddress, options: { file: { path, mode } } };
}

test("a path has its mode, carries datagrams both ways, and is removed at the end", async () => {
  const driver = new DatagramDriver();
  const [one, two] = [place(0o640), place()];
  const a = await driver.openDatagrams(one.options, one.address);
  const b = await driver.openDatagrams(two.options, two.address);
  assert.equal(statSync(one.path).mode & 0o777, 0o640);
  driver.send(a, "ping", driver.peerOf(a, b));
  await driver.gotDatagrams(b, 1);
  assert.deepEqual(driver.came[0]?.sender.address, one.address);
  driver.send(b, "pong", driver.came[0]?.sender);
  await driver.gotDatagrams(a, 1);
  assert.deepEqual(driver.textsTo(a), ["pong"]);
  await driver.finish(a, b);
  assert.deepEqual([existsSync(one.path), existsSync(two.path)], [false, false]);
  await assertNothingHeld();
});

test("a path that is taken is refused, and what took its place is left alone", async () => {
  const driver = new DatagramDriver();
  const { path, address, options } = place();
  const a = await driver.openDatagrams(options, address);
  const taken = await driver.openDatagrams(options, address);
  const closing = await driver.closing(taken);
  assert.deepEqual([closing.errno, closing.syscall], [-errno.EADDRINUSE, "bind"]);
  assert.equal(existsSync(path), true);
  rmSync(path);
  writeFileSync(path, "somebody else's");
  await driver.finish(a);
  assert.equal(existsSync(path), true);
});

test("senders with names of all lengths, in bytes, in the abstract space and with none are told apart", async () => {
  const driver = new DatagramDriver();
  const { address, options } = place();
  const b = await driver.openDatagrams(options, address);
  const names: SocketAddress[] = [UNNAMED];
  for (let length = 1; length <= 24; length++)
    names.push({ family: "unix", path: `\0${"n".repeat(length)}${process.pid}` });
  names.push({ family: "unix", path: Buffer.from([0, 255, 0, 254, process.pid & 255]) });
  names.push({ family: "unix", path: `\0${"long".padEnd(106, `${process.pid}`)}` });
  const from = [];
  for (const name of names) from.push(await driver.openDatagrams({}, name));
  for (let round = 0; round < 2; round++) {
    for (const each of from) driver.send(each, "x", driver.peerOf(each, b));
    await driver.gotDatagrams(b, names.length * (round + 1));
  }
  const seen = driver.came.map(({ sender }) => sender.address);
  assert.deepEqual(seen, [...names, ...names]);
  driver.send(from[1]!, "x", driver.peerOf(from[1]!, b));
  driver.send(from[1]!, "x", driver.peerOf(from[1]!, b));
  await driver.gotDatagrams(b, names.length * 2 + 2);
  assert.equal(driver.came.at(-1)?.sender, driver.came.at(-2)?.sender, "one object for a peer");
  await driver.finish(b, ...from);
});

test("who has no name cannot be answered, and who is gone is reported", async () => {
  const driver = new DatagramDriver();
  const { path, address, options } = place();
  const b = await driver.openDatagrams(options, address);
  const nameless = await driver.openDatagrams({}, UNNAMED);
  driver.send(nameless, "x", driver.peerOf(nameless, b));
  await driver.gotDatagrams(b, 1);
  const [came] = driver.came;
  assert.deepEqual(came?.sender.address, UNNAMED);
  driver.send(b, "answer", came?.sender);
  await driver.until(() => driver.failed.length === 1, "a failure");
  const peer = driver.peerOf(nameless, b);
  driver.engine.close(b);
  await driver.closing(b);
  driver.send(nameless, "nobody", peer);
  await driver.until(() => driver.failed.length === 2, "a failure");
  assert.deepEqual(
    [driver.failed[1]?.errno, driver.failed[1]?.peer?.address],
    [-errno.ENOENT, { family: "unix", path }],
  );
  await driver.finish(nameless);
});

test("a datagram as large as a sender may have queued by default arrives whole", async () => {
  const driver = new DatagramDriver();
  const { address, options } = place();
  const b = await driver.openDatagrams(options, address);
  const a = await driver.openDatagrams({}, UNNAMED);
  const sizes = [65_536, 65_537, 100_000, 200_000, 0, 3];
  const sent = sizes.map((size) => Buffer.alloc(size, size & 127));
  for (const data of sent) driver.send(a, data, driver.peerOf(a, b));
  await driver.gotDatagrams(b, sizes.length);
  assert.deepEqual(driver.to(b), sent);
  driver.engine.pause(b);
  for (const data of sent) driver.send(a, data, driver.peerOf(a, b));
  await driver.settle();
  driver.engine.resume(b);
  await driver.gotDatagrams(b, sizes.length * 2);
  assert.deepEqual(driver.to(b), [...sent, ...sent]);
  await driver.finish(a, b);
});

test("a larger one is dropped whole and counted, and those around it arrive", async () => {
  const driver = new DatagramDriver();
  const { address, options } = place();
  const b = await driver.openDatagrams(options, address);
  const a = await driver.openDatagrams({ sendBufferSize: 1024 * 1024 }, UNNAMED);
  const peer = driver.peerOf(a, b);
  for (const data of [Buffer.from("before"), Buffer.alloc(400_000), Buffer.from("after")]) driver.send(a, data, peer);
  await driver.gotDatagrams(b, 2);
  assert.deepEqual(driver.textsTo(b), ["before", "after"]);
  const { received, receiveDrops } = driver.engine.datagramCounters(b);
  assert.deepEqual([received, receiveDrops], [2, 1]);
  await driver.finish(a, b);
});
