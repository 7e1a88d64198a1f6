import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import { pattern } from "../../support/bytes.js";
import { CONNECT, Driver, stopDrivers } from "./driver.js";

afterEach(stopDrivers);

function withFile(length: number, body: (fd: number, path: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "em-native-"));
    const path = join(folder, "file");
    writeFileSync(path, pattern(length));
    const fd = openSync(path, "r");
    try {
      await body(fd, path);
    } finally {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    }
  };
}

for (const family of ["tcp", "unix"] as const) {
  const address = family === "tcp" ? undefined : ({ family, path: `\0em-files-${process.pid}` } as const);
  test(
    `files and bytes leave in the order of the calls (${family})`,
    withFile(1_000_000, async (fd) => {
      const driver = new Driver();
      const { client, listener, server } = await driver.pair({}, address);
      const { engine } = driver;
      const expected: Buffer[] = [];
      const bytes = (data: Buffer) => {
        expected.push(data);
        engine.write(client, data);
      };
      const file = (offset: number, length: number) => {
        expected.push(pattern(length, offset));
        engine.sendFile(client, fd, offset, length);
      };
      bytes(Buffer.from("head"));
      file(0, 1_000_000);
      bytes(pattern(10_000));
      file(10, 5);
      file(0, 0);
      bytes(Buffer.from("tail"));
      engine.finish(client);
      const whole = Buffer.concat(expected);
      assert.ok((await driver.gets(server, whole.length)).equals(whole));
      assert.equal((await driver.closing(client)).ended, Ended.local);
      assert.equal(driver.log.filter((line) => line === `fileSent ${client}`).length, 3);
      assert.equal(readFileSync(fd).length, 1_000_000, "the descriptor's own position has not moved");
      await driver.finish(listener);
    }),
  );
}

test(
  "a stalled peer costs nothing, and file bytes do not count as queued",
  withFile(30_000_000, async (fd) => {
    const driver = new Driver();
    const { client, listener, server } = await driver.pair();
    driver.engine.pause(server);
    driver.engine.sendFile(client, fd, 0, 30_000_000);
    let before = driver.engine.counters();
    let after = before;
    // Until a while has passed in which the kernel took nothing.
    do {
      before = after;
      await new Promise((resolve) => setTimeout(resolve, 100));
      after = driver.engine.counters();
    } while (after.bytesOut > before.bytesOut);
    assert.equal(driver.engine.outboundSize(client), 0);
    assert.ok(after.bytesOut > 0 && after.bytesOut < 30_000_000, "the peer has stalled it");
    assert.ok(after.systemCalls - before.systemCalls < 10);
    driver.engine.resume(server);
    await driver.until(() => driver.has("fileSent", client), "fileSent");
    assert.ok((await driver.gets(server, 30_000_000)).equals(pattern(30_000_000)));
    await driver.finish(client, listener);
  }),
);

test(
  "a file that shrinks, or is none, ends the connection with its own reason",
  withFile(100_000, async (fd, path) => {
    const driver = new Driver();
    const { engine } = driver;
    const { listener, address } = await driver.listen();
    const open = async () => {
      const client = engine.connect(address, CONNECT);
      await driver.until(() => driver.has("connected", client), "connected");
      return client;
    };
    const truncated = await open();
    truncateSync(path, 50_000);
    engine.sendFile(truncated, fd, 0, 100_000);
    assert.equal((await driver.closing(truncated)).ended, Ended.fileTruncated);

    const broken = await open();
    engine.sendFile(broken, 999_999, 0, 10);
    const { ended, errno, syscall } = await driver.closing(broken);
    assert.deepEqual([ended, errno, syscall], [Ended.error, -constants.errno.EBADF, "sendfile"]);
    await driver.finish(listener);
  }),
);
