import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import { pattern } from "../../support/bytes.js";
import { Driver, NOTHING_HELD, native, stopDrivers } from "./driver.js";
import { securePair, startedPair } from "./tls_peers.js";

const folder = mkdtempSync(join(tmpdir(), "eventmachine-tls-files-"));
after(() => rmSync(folder, { recursive: true, force: true }));
afterEach(stopDrivers);

const SIZE = 3_000_000;
const path = join(folder, "file");
writeFileSync(path, pattern(SIZE));

function open(): number {
  const fd = openSync(path, "r");
  after(() => closeSync(fd));
  return fd;
}

/** The value once it has not changed for a fifth of a second. */
async function standstill(read: () => number): Promise<number> {
  let last = read();
  let since = performance.now();
  while (performance.now() - since < 200) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const now = read();
    if (now !== last) since = performance.now();
    last = now;
  }
  return last;
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`files and writes leave in the order of the calls, also from before the handshake, ${version}`, async () => {
    const driver = new Driver();
    const { client, server, listener } = await startedPair(driver, { server: { maxVersion: version } });
    const { engine } = driver;
    const fd = open();
    engine.writeString(client, "head ", "latin1");
    engine.sendFile(client, fd, 0, SIZE);
    engine.writeString(client, " middle ", "latin1");
    engine.sendFile(client, fd, 1_000, 0);
    engine.sendFile(client, fd, 1_000, 70_000);
    engine.write(client, pattern(200_000));
    assert.equal(engine.outboundSize(client), 200_013, "file bytes do not count");
    const expected = Buffer.concat([
      Buffer.from("head "),
      pattern(SIZE),
      Buffer.from(" middle "),
      pattern(70_000, 1_000),
      pattern(200_000),
    ]);
    assert.ok((await driver.gets(server, expected.length)).equals(expected));
    await driver.until(() => driver.log.filter((entry) => entry === `fileSent ${client}`).length === 3, "three files");
    assert.equal(engine.outboundSize(client), 0);
    assert.equal(engine.totalOutbound(), 0);
    assert.equal(engine.counters().bytesOut, expected.length);
    await driver.finish(client, listener);
  });
}

test("a file to a peer that does not read waits in the file", async () => {
  const driver = new Driver();
  const { client, server, listener } = await securePair(driver);
  const { engine } = driver;
  engine.pause(server);
  engine.sendFile(client, open(), 0, SIZE);
  engine.sendFile(client, open(), 0, SIZE);
  engine.sendFile(client, open(), 0, SIZE);
  const sent = await standstill(() => engine.counters().bytesOut);
  assert.ok(sent < 3 * SIZE);
  engine.resume(server);
  await driver.gets(server, 3 * SIZE);
  await driver.finish(client, listener);
});

test("a file that ends early closes the connection behind what was there", async () => {
  const driver = new Driver();
  const { client, server, listener } = await securePair(driver);
  const { engine } = driver;
  const short = join(folder, "short");
  writeFileSync(short, pattern(100_000));
  const fd = openSync(short, "r");
  engine.sendFile(client, fd, 0, 200_000);
  const closing = await driver.closing(client);
  assert.equal(closing.ended, Ended.fileTruncated);
  assert.equal((await driver.closing(server)).truncated, true);
  assert.ok(driver.bytes(server).equals(pattern(100_000)));
  truncateSync(short, 0);
  closeSync(fd);
  await driver.finish(listener);
});

test("a file that cannot be read ends the connection with the system's error", async () => {
  const driver = new Driver();
  const { client, listener } = await securePair(driver);
  const fd = openSync(folder, "r");
  driver.engine.sendFile(client, fd, 0, 100);
  const closing = await driver.closing(client);
  assert.equal(closing.ended, Ended.error);
  assert.equal(closing.errno, -constants.errno.EISDIR);
  assert.equal(closing.syscall, "read");
  closeSync(fd);
  await driver.finish(listener);
});

test("a shutdown comes behind the file, and a close or a stop in the middle leaves nothing", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const pair = await securePair(driver);
  engine.sendFile(pair.client, open(), 0, SIZE);
  engine.shutdown(pair.client);
  assert.equal((await driver.closing(pair.server)).truncated, false);
  assert.equal(driver.bytes(pair.server).length, SIZE);
  const closed = await securePair(driver);
  engine.sendFile(closed.client, open(), 0, SIZE);
  await driver.gets(closed.server, 1);
  engine.close(closed.client);
  assert.equal((await driver.closing(closed.server)).truncated, true);
  const stopped = await securePair(driver);
  engine.sendFile(stopped.client, open(), 0, SIZE);
  await driver.gets(stopped.server, 1);
  engine.stop();
  // The read under way ends in its own time.
  for (let i = 0; i < 500 && native().liveCounts().loops > 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const { regions: _, ...counts } = native().liveCounts();
  assert.deepEqual(counts, NOTHING_HELD);
});
