import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { constants } from "node:os";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import { program } from "../../support/paths.js";
import { CONNECT, Driver, LISTEN, stopDrivers } from "./driver.js";
import { Starving } from "./starving.js";

afterEach(stopDrivers);

test("an address in use is an event, and SO_REUSEPORT shares one", async () => {
  const driver = new Driver();
  const { listener, address } = await driver.listen({ reusePort: true });
  const { ended, errno, syscall } = await driver.closing(driver.engine.listen(address, LISTEN));
  assert.deepEqual([ended, errno, syscall], [Ended.error, -constants.errno.EADDRINUSE, "bind"]);
  const other = await driver.listen({ reusePort: true }, address);
  await driver.finish(listener, other.listener);
});

test("connecting in the same turn as listening succeeds", async () => {
  const driver = new Driver();
  const listener = driver.engine.listen({ family: "IPv4", host: "127.0.0.1", port: 0 }, LISTEN);
  const address = driver.engine.localAddress(listener);
  assert.ok(address !== undefined);
  const client = driver.engine.connect(address, CONNECT);
  await driver.until(() => driver.has("connected", client) && driver.accepts.length === 1, "both");
  await driver.finish(listener, client);
});

test("after closed, its port can be listened on again", async () => {
  const driver = new Driver();
  const { listener, address } = await driver.listen();
  let again = -1;
  driver.react.closed = () => {
    if (again < 0) again = driver.engine.listen(address, LISTEN);
  };
  driver.engine.close(listener);
  await driver.until(() => again >= 0 && driver.has("listening", again), "listening again");
  await driver.finish(again);
});

test("no more than the quota is accepted in a batch", async () => {
  const driver = new Driver();
  const { listener, address } = await driver.listen({ acceptQuota: 3 });
  let inBatch = 0;
  let most = 0;
  driver.react.enter = () => {
    inBatch = 0;
  };
  driver.react.accepted = () => {
    most = Math.max(most, ++inBatch);
  };
  const clients = Array.from({ length: 40 }, () => driver.engine.connect(address, CONNECT));
  await driver.until(() => driver.accepts.length === 40, "all accepted");
  assert.ok(most <= 3, `${most} in one batch`);
  await driver.finish(listener, ...clients);
});

test("at the most connections newcomers wait, or are closed", async () => {
  const driver = new Driver();
  const waiting = await driver.listen({ maxConnections: 2 });
  const clients = [1, 2, 3].map(() => driver.engine.connect(waiting.address, CONNECT));
  for (const client of clients) await driver.until(() => driver.has("connected", client), "the kernel took all");
  await driver.until(() => driver.accepts.length === 2, "two accepted");
  await driver.settle();
  assert.equal(driver.accepts.length, 2);
  driver.engine.close(driver.accepts[0] as number);
  await driver.until(() => driver.accepts.length === 3, "the third after one has left");

  const strict = await driver.listen({ maxConnections: 1, whenFull: "close" });
  const first = driver.engine.connect(strict.address, CONNECT);
  await driver.until(() => driver.accepts.length === 4, "one accepted");
  const second = driver.engine.connect(strict.address, CONNECT);
  assert.equal((await driver.closing(second)).ended, Ended.peer);
  assert.equal(driver.accepts.length, 4);
  await driver.finish(waiting.listener, strict.listener, ...clients, first);
});

test("a listening descriptor from outside is taken over", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const child = spawn(process.execPath, [program(import.meta.url, "./scenarios.js"), "adoptListener"], {
    stdio: ["ignore", "inherit", "inherit", fd],
  });
  const { port } = server.address() as AddressInfo;
  server.close(); // the child has a descriptor of its own: the socket goes on listening
  const peer = connect({ port, host: "127.0.0.1" });
  const signal = AbortSignal.timeout(30_000);
  let greeting = "";
  peer.on("data", (data) => (greeting += data));
  await once(peer, "end", { signal });
  assert.equal(greeting, "from the child");
  peer.destroy();
  assert.deepEqual(await once(child, "exit", { signal }), [0, null]);
});

test("what is no listening socket is refused", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  driver.react.closed = (handle, ended) => {
    if (ended !== Ended.detached) return;
    const refused = driver.engine.adoptListener(driver.engine.takeDetached(handle).fd, LISTEN);
    driver.log.push(`refused ${refused}`);
  };
  driver.engine.detach(server);
  await driver.closing(server);
  const { ended, errno } = await driver.closing(
    Number(driver.log.find((line) => line.startsWith("refused"))?.slice(8)),
  );
  assert.deepEqual([ended, errno], [Ended.error, -constants.errno.EINVAL]);
  await driver.closing(client); // a socket it is, so it was ours to close
  driver.react = {};
  driver.engine.close(listener);
  await driver.closing(listener);
  driver.engine.stop();
});

test("out of descriptors: no newcomer is lost, nothing spins, and accepting goes on by itself", async () => {
  await using server = new Starving();
  const { before, after, waited } = await server.starve();
  assert.ok(after.accepted < 64 && after.accepted > 10, `${after.accepted} accepted`);
  const calls = after.systemCalls - before.systemCalls;
  assert.ok(calls < 60 * (waited / 500), `${calls} system calls in ${waited} ms`);
  await server.recover();
  for (const peer of server.peers) peer.destroy();
  server.feed("", true);
  assert.deepEqual(await server.ended(), { code: 0, signal: null }, server.stderr);
});
