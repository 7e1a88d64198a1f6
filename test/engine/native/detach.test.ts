import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { constants } from "node:os";
import { afterEach, test } from "node:test";
import { Ended, type Handle } from "../../../src/engine/streams.js";
import { pattern } from "../../support/bytes.js";
import { CONNECT, Driver, LISTEN, stopDrivers } from "./driver.js";

afterEach(stopDrivers);

/** Detaches and takes the descriptor, as the reactor does it. */
async function detach(driver: Driver, handle: Handle): Promise<{ fd: number; unread: Buffer }> {
  let taken: { fd: number; unread: Buffer } | undefined;
  driver.react.closed = (closed) => {
    if (closed === handle) taken = driver.engine.takeDetached(handle);
  };
  driver.engine.detach(handle);
  assert.equal((await driver.closing(handle)).ended, Ended.detached);
  driver.react.closed = () => {};
  assert.ok(taken !== undefined);
  return taken;
}

test("a descriptor moves to another engine with everything sent before and nothing lost", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  driver.engine.pause(client);
  driver.engine.write(server, pattern(3_000_000));
  driver.engine.writeString(client, "to the detached", "utf8");
  setImmediate(() => driver.engine.resume(client));
  const { fd, unread } = await detach(driver, server);
  const got = unread.toString();
  assert.ok((await driver.gets(client, 3_000_000)).equals(pattern(3_000_000)), "what was queued went first");

  const other = new Driver();
  const adopted = other.engine.adoptStream(fd, CONNECT);
  await other.until(() => other.has("connected", adopted), "connected");
  assert.deepEqual(other.engine.remoteAddress(adopted), driver.engine.localAddress(client));
  await other.until(() => (got + other.bytes(adopted).toString()).length >= 15, "the rest");
  assert.equal(got + other.bytes(adopted).toString(), "to the detached");
  driver.engine.close(client);
  assert.equal((await other.closing(adopted)).ended, Ended.peer);
  other.engine.stop();
  await driver.closing(client);
  driver.engine.close(listener);
  await driver.closing(listener);
  driver.engine.stop();
});

test("bytes that were read but not delivered go along", async () => {
  const driver = new Driver();
  const first = await driver.pair();
  const second = await driver.pair();
  const servers = [first.server, second.server];
  const taken = new Map<Handle, { fd: number; unread: Buffer }>();
  driver.react.closed = (handle, ended) => {
    if (ended === Ended.detached) taken.set(handle, driver.engine.takeDetached(handle));
  };
  // The data of one detaches both, so that the other's, in the same batch, comes too late.
  driver.react.data = () => {
    for (const server of servers) driver.engine.detach(server);
  };
  driver.engine.writeString(first.client, "payload", "utf8");
  driver.engine.writeString(second.client, "payload", "utf8");
  await driver.until(() => taken.size === 2, "both detached");
  const rests: string[] = [];
  const other = new Driver();
  for (const server of servers) {
    const { fd, unread } = taken.get(server) as { fd: number; unread: Buffer };
    const adopted = other.engine.adoptStream(fd, CONNECT);
    await other.until(() => other.has("connected", adopted), "connected");
    const before = driver.bytes(server).toString() + unread.toString();
    await other.until(() => (before + other.bytes(adopted)).length === 7, "the rest from the kernel");
    rests.push(before + other.bytes(adopted));
    other.engine.close(adopted);
    await other.closing(adopted);
  }
  assert.deepEqual(rests, ["payload", "payload"]);
  other.engine.stop();
  driver.react = {};
  await driver.closing(first.client);
  await driver.closing(second.client);
  for (const { listener } of [first, second]) {
    driver.engine.close(listener);
    await driver.closing(listener);
  }
  driver.engine.stop();
});

test("what is no connection is refused; a file's descriptor stays its owner's", async () => {
  const driver = new Driver();
  const fd = openSync("/dev/null", "r");
  const notSocket = await driver.closing(driver.engine.adoptStream(fd, CONNECT));
  assert.deepEqual([notSocket.ended, notSocket.errno], [Ended.error, -constants.errno.EPERM]);
  closeSync(fd); // throws if it was closed
  const closed = await driver.closing(driver.engine.adoptStream(fd, CONNECT));
  assert.equal(closed.errno, -constants.errno.EBADF);
  driver.engine.stop();
});

test("a descriptor adopted twice stays with the first", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  const { fd } = await detach(driver, server);
  const first = driver.engine.adoptStream(fd, CONNECT);
  await driver.until(() => driver.has("connected", first), "connected");
  const second = driver.engine.adoptStream(fd, CONNECT);
  const { ended, errno } = await driver.closing(second);
  assert.deepEqual([ended, errno], [Ended.error, -constants.errno.EEXIST]);
  assert.equal((await driver.closing(driver.engine.adoptListener(fd, LISTEN))).errno, -constants.errno.EEXIST);
  driver.engine.writeString(first, "still here", "utf8");
  assert.equal((await driver.gets(client, 10)).toString(), "still here");
  driver.engine.close(first);
  await driver.closing(first);
  await driver.closing(client);
  driver.engine.close(listener);
  await driver.closing(listener);
  driver.engine.stop();
});
