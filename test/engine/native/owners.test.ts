import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { afterEach, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Worker } from "node:worker_threads";
import { Ended, HANDLE_INDEX_MASK, type Handle } from "../../../src/engine/streams.js";
import { sockets } from "../../support/descriptors.js";
import { program } from "../../support/paths.js";
import { within } from "../../support/wait.js";
import { CONNECT, Driver, LISTEN, stopDrivers } from "./driver.js";
import { PEERS, Starving } from "./starving.js";

afterEach(stopDrivers);

const OWNED = -constants.errno.EEXIST;

async function detach(driver: Driver, handle: Handle): Promise<number> {
  let fd = -1;
  driver.react.closed = (closed) => {
    if (closed === handle) fd = driver.engine.takeDetached(handle).fd;
  };
  driver.engine.detach(handle);
  await driver.closing(handle);
  driver.react.closed = () => {};
  return fd;
}

/** One end of a pair, detached; the other stays the driver's. */
async function descriptor(driver: Driver): Promise<{ fd: number; peer: Handle }> {
  const { client, server } = await driver.pair();
  return { fd: await detach(driver, client), peer: server };
}

async function refused(driver: Driver, fd: number, when: string): Promise<void> {
  for (const handle of [driver.engine.adoptStream(fd, CONNECT), driver.engine.adoptListener(fd, LISTEN)]) {
    const { ended, errno } = await driver.closing(handle);
    assert.deepEqual([ended, errno], [Ended.error, OWNED], when);
  }
}

test("an attached descriptor is refused whatever its poller knows, on every reactor of the thread", async () => {
  const driver = new Driver();
  const other = new Driver();
  const { fd, peer } = await descriptor(driver);
  const adopted = driver.engine.adoptStream(fd, CONNECT);
  await refused(driver, fd, "before it is polled");
  await refused(other, fd, "before it is polled, elsewhere");
  await driver.event("connected", adopted);
  await refused(driver, fd, "open");
  await refused(other, fd, "open, elsewhere");

  driver.engine.pause(adopted);
  driver.engine.shutdown(adopted);
  driver.engine.finish(peer);
  await driver.closing(peer);
  await driver.settle();
  await refused(driver, fd, "parked");
  await refused(other, fd, "parked, elsewhere");
  driver.engine.close(adopted);
  await driver.closing(adopted);
  const { errno } = await driver.closing(driver.engine.adoptStream(fd, CONNECT));
  assert.equal(errno, -constants.errno.EBADF, "closed, the number is nobody's");
  await other.finish();
});

test("what was accepted, connected or opened is refused too, until it is detached", async () => {
  const before = sockets();
  const driver = new Driver();
  const other = new Driver();
  const { client, server } = await driver.pair();
  const owned = [...sockets()].filter((fd) => !before.has(fd));
  assert.equal(owned.length, 3, "a listener and both ends");
  for (const fd of owned) await refused(other, fd, `descriptor ${fd}`);
  for (const fd of owned) await refused(driver, fd, `descriptor ${fd}`);

  const fd = await detach(driver, server);
  assert.ok(owned.includes(fd));
  const adopted = other.engine.adoptStream(fd, CONNECT);
  await other.event("connected", adopted);
  await refused(driver, fd, "attached elsewhere");
  other.engine.close(adopted);
  await driver.closing(client);
  await other.finish();
});

test("a listener is refused while it accepts, and while it is full", async () => {
  const before = sockets();
  const driver = new Driver();
  const other = new Driver();
  const { address } = await driver.listen({ maxConnections: 1 });
  const [fd] = [...sockets()].filter((number) => !before.has(number)) as [number];
  await refused(other, fd, "accepting");
  const clients = [driver.engine.connect(address, CONNECT), driver.engine.connect(address, CONNECT)];
  for (const client of clients) await driver.event("connected", client);
  await driver.until(() => driver.accepts.length === 1, "accepted");
  await driver.settle();
  await refused(other, fd, "full");
  await refused(driver, fd, "full");
  await other.finish();
});

test("a listener is refused while it waits for descriptors, and goes on accepting", async () => {
  await using server = new Starving();
  const { after } = await server.starve();
  assert.ok(after.accepted < PEERS);
  server.say("attach");
  assert.deepEqual(await server.json(), [OWNED, OWNED, OWNED, OWNED]);
  assert.equal((await server.report()).accepted, after.accepted, "it waits still");
  await server.recover();
});

test("a number that was closed behind our back is not refused, and its old owner does not close it", async () => {
  const driver = new Driver();
  const other = new Driver();
  for (const state of ["attached", "paused", "accepted"] as const) {
    const first = await descriptor(driver);
    let old: Handle;
    let number = first.fd;
    if (state === "accepted") {
      const before = sockets();
      const { client } = await driver.pair();
      number = [...sockets()].filter((fd) => !before.has(fd)).at(-1) as number;
      old = client;
      closeSync(first.fd);
    } else {
      old = driver.engine.adoptStream(first.fd, CONNECT);
      await driver.event("connected", old);
      if (state === "paused") driver.engine.pause(old);
    }
    const { address } = await other.listen();
    const accepted = other.accepts.length;
    closeSync(number);
    // The kernel gives the lowest number that is free.
    let client = other.engine.connect(address, CONNECT);
    for (let tries = 0; tries < 50 && !sockets().has(number); tries++) client = other.engine.connect(address, CONNECT);
    await other.event("connected", client);
    const own = other.engine.localAddress(client);
    const isPeer = (handle: Handle) => isDeepStrictEqual(other.engine.remoteAddress(handle), own);
    await other.until(() => other.accepts.slice(accepted).some(isPeer), "accepted");
    const peer = other.accepts.find(isPeer) as Handle;
    const fd = await detach(other, client);
    assert.equal(fd, number);
    const adopted = other.engine.adoptStream(fd, CONNECT);
    await other.event("connected", adopted);
    driver.engine.close(old);
    await driver.settle();
    other.engine.writeString(peer, `still ${state}`, "utf8");
    assert.equal((await other.gets(adopted, 6 + state.length)).toString(), `still ${state}`);
    other.engine.close(adopted);
    await other.closing(adopted);
  }
});

test("a worker's reactor is refused what another thread's has, and its own are free when it was ended", async () => {
  const driver = new Driver();
  const { fd } = await descriptor(driver);
  const adopted = driver.engine.adoptStream(fd, CONNECT);
  await driver.event("connected", adopted);
  const worker = new Worker(program(import.meta.url, "./attaching_worker.js"), { workerData: fd });
  const said = async () => (await within(once(worker, "message"), "the worker's word"))[0] as number;
  assert.equal(await said(), OWNED);
  const handed = await detach(driver, adopted);
  assert.equal(handed, fd);
  worker.postMessage("again");
  assert.equal(await said(), 0, "given up, it can be attached elsewhere");
  await refused(driver, fd, "a worker has it");
  await worker.terminate();
  const { errno } = await driver.closing(driver.engine.adoptStream(fd, CONNECT));
  assert.equal(errno, -constants.errno.EBADF, "the worker's end closed it");
});

test("a slot is not given out again while fewer than 64 others are free", async () => {
  const driver = new Driver();
  const indexes: number[] = [];
  for (let round = 0; round < 200; round++) {
    const handle = driver.engine.adoptStream(2 ** 30, CONNECT);
    indexes.push(handle & HANDLE_INDEX_MASK);
    await driver.closing(handle);
  }
  for (let at = 0; at < 200; at++) assert.ok(!indexes.slice(at + 1, at + 65).includes(indexes[at] as number));
});
