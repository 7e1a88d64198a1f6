import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setImmediate as nextIteration } from "node:timers/promises";
import { Ended } from "../../../src/engine/streams.js";
import { type Driver, drive, readAll } from "./driver.js";

const CONTENT = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 7 + (i >> 8)) & 255));

function withFile(test: (driver: Driver, fd: number) => Promise<void>): Promise<void> {
  return drive(async (driver) => {
    const folder = mkdtempSync(join(tmpdir(), "em-"));
    const path = join(folder, "file");
    writeFileSync(path, CONTENT);
    const fd = openSync(path, "r");
    try {
      await test(driver, fd);
    } finally {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    }
  });
}

describe("portable sendFile", () => {
  it("sends ranges and writes in the order of the calls", () =>
    withFile(async (driver, fd) => {
      const { engine } = driver;
      const { handle, peer } = await driver.pair();
      engine.writeString(handle, "head", "utf8");
      engine.sendFile(handle, fd, 0, CONTENT.length);
      engine.writeString(handle, "middle", "utf8");
      assert.equal(engine.outboundSize(handle), 10, "file bytes do not count");
      engine.sendFile(handle, fd, 5, 0);
      engine.sendFile(handle, fd, 100, 70_000);
      engine.writeString(handle, "tail", "utf8");
      engine.finish(handle);
      const expected = ["head", CONTENT, "middle", CONTENT.subarray(100, 70_100), "tail"].map((part) =>
        Buffer.from(part),
      );
      assert.ok((await readAll(peer)).equals(Buffer.concat(expected)));
      peer.end();
      await driver.event("closed", handle);
      assert.equal(driver.log.filter((entry) => entry === `fileSent ${handle}`).length, 3);
    }));

  it("waits for a peer that does not read, holding one piece", () =>
    withFile(async (driver, fd) => {
      const { handle, peer } = await driver.pair();
      peer.pause();
      for (let i = 0; i < 16; i++) driver.engine.sendFile(handle, fd, 0, CONTENT.length);
      driver.engine.writeString(handle, "end", "utf8");
      await driver.event("fileSent", handle);
      for (let i = 0; i < 50; i++) await nextIteration();
      const sent = driver.log.filter((entry) => entry === `fileSent ${handle}`).length;
      assert.ok(sent < 16, `${sent} of 16 are with the kernel`);
      assert.equal(driver.engine.outboundSize(handle), 3);
      driver.engine.shutdown(handle);
      const all = await readAll(peer);
      assert.ok(all.equals(Buffer.concat([...Array<Buffer>(16).fill(CONTENT), Buffer.from("end")])));
      peer.destroy();
    }));

  it("ends the connection where the file is shorter than promised", () =>
    withFile(async (driver, fd) => {
      const { handle, peer } = await driver.pair();
      driver.engine.sendFile(handle, fd, 0, CONTENT.length + 1);
      peer.resume();
      assert.equal((await driver.closing(handle)).ended, Ended.fileTruncated);
      assert.equal(driver.log.includes(`fileSent ${handle}`), false);
      peer.destroy();
    }));

  it("ends the connection where the file cannot be read", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      const fd = openSync(tmpdir(), "r");
      driver.engine.sendFile(handle, fd, 0, 10);
      const { ended, errno, syscall } = await driver.closing(handle);
      assert.deepEqual([ended, syscall], [Ended.error, "read"]);
      assert.ok(errno < 0);
      closeSync(fd);
      peer.destroy();
    }));

  it("tells nothing but closed after a close, not even of a file that is through", () =>
    withFile(async (driver, fd) => {
      const { handle, peer } = await driver.pair();
      driver.engine.sendFile(handle, fd, 0, 0);
      driver.engine.flush();
      driver.engine.close(handle);
      await driver.event("closed", handle);
      assert.equal(driver.log.includes(`fileSent ${handle}`), false);
      peer.destroy();
    }));

  it("can be closed while a piece is read", () =>
    withFile(async (driver, fd) => {
      const { handle, peer } = await driver.pair();
      driver.engine.sendFile(handle, fd, 0, CONTENT.length);
      driver.engine.flush();
      driver.engine.close(handle);
      assert.equal((await driver.closing(handle)).ended, Ended.local);
      peer.destroy();
    }));
});
