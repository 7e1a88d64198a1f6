import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:os";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import { CONNECT, Driver, LISTEN, rawServer, stopDrivers } from "./driver.js";

const { ECONNREFUSED, EINVAL } = constants.errno;

afterEach(stopDrivers);

test("a refused connect, and addresses that are none, are events", async () => {
  const driver = new Driver();
  const { server, at } = await rawServer(() => {});
  server.close();
  await once(server, "close");
  const { engine } = driver;
  const refused = engine.connect(at, CONNECT);
  const nonsense = engine.connect({ family: "IPv4", host: "nonsense", port: 1 }, CONNECT);
  const noPath = engine.connect({ family: "unix", path: "/nonexistent/socket" }, CONNECT);
  const noListener = engine.listen({ family: "unix", path: "" }, LISTEN);
  assert.deepEqual(driver.closings, [], "not inside the call");
  const outcome = async (handle: number) => {
    const { ended, errno, syscall } = await driver.closing(handle);
    return [ended, errno, syscall];
  };
  assert.deepEqual(await outcome(refused), [Ended.error, -ECONNREFUSED, "connect"]);
  assert.deepEqual(await outcome(nonsense), [Ended.error, -EINVAL, "connect"]);
  assert.deepEqual(await outcome(noPath), [Ended.error, -constants.errno.ENOENT, "connect"]);
  assert.deepEqual(await outcome(noListener), [Ended.error, -EINVAL, "bind"]);
  engine.stop();
});

test("a closed connection still knows its addresses while closed is delivered, and not afterwards", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  const at = [driver.engine.localAddress(client), driver.engine.remoteAddress(client)];
  driver.engine.close(client);
  const ours = await driver.closing(client);
  const theirs = await driver.closing(server);
  assert.deepEqual([ours.local, ours.remote], at);
  assert.deepEqual([theirs.remote, theirs.local], at);
  await driver.settle();
  assert.equal(driver.engine.localAddress(client), undefined);
  assert.equal(driver.engine.remoteAddress(client), undefined);
  await driver.finish(listener);
});

test("IPv6 and mapped IPv4 peers are named as they are", async () => {
  const driver = new Driver();
  const { listener, address } = await driver.listen({}, { family: "IPv6", host: "::", port: 0 });
  const ports: number[] = [];
  driver.react.accepted = (_, __, ___, port) => ports.push(port);
  const six = driver.engine.connect({ family: "IPv6", host: "::1", port: address.port }, CONNECT);
  await driver.until(() => driver.accepts.length === 1, "IPv6");
  const four = driver.engine.connect({ family: "IPv4", host: "127.0.0.1", port: address.port }, CONNECT);
  await driver.until(() => driver.accepts.length === 2 && driver.has("connected", four), "IPv4");
  const [first, second] = driver.accepts.map((handle) => driver.engine.remoteAddress(handle));
  assert.deepEqual(first, driver.engine.localAddress(six));
  assert.deepEqual(second, driver.engine.localAddress(four));
  assert.equal(second?.family, "IPv4");
  assert.deepEqual(ports, [-1, second.family === "IPv4" ? second.port : 0]);
  await driver.finish(six, four, listener);
});

test("a local address is bound before connecting", async () => {
  const driver = new Driver();
  const { listener, address } = await driver.listen();
  const from = { family: "IPv4", host: "127.0.0.2", port: 0 } as const;
  const client = driver.engine.connect(address, { ...CONNECT, localAddress: from });
  await driver.until(() => driver.accepts.length === 1, "accepted");
  const peer = driver.engine.remoteAddress(driver.accepts[0] as number);
  assert.equal(peer?.family === "IPv4" && peer.host, "127.0.0.2");
  const elsewhere = { family: "IPv4", host: "192.0.2.1", port: 0 } as const;
  const failed = driver.engine.connect(address, { ...CONNECT, localAddress: elsewhere });
  const { errno, syscall } = await driver.closing(failed);
  assert.deepEqual([errno, syscall], [-constants.errno.EADDRNOTAVAIL, "bind"]);
  await driver.finish(client, listener);
});

test("options reach the kernel, also through accept", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const { listener, peer, server } = await driver.withPeer({ noDelay: true, keepAlive: { idle: 61_500, count: 4 } });
  const IPPROTO_TCP = 6;
  const read = (name: number) => engine.getSocketOption(server, IPPROTO_TCP, name, 4).readInt32LE();
  assert.deepEqual([read(1), read(4), read(6)], [1, 62, 4]);
  engine.setOptions(server, { noDelay: false, tcpUserTimeout: 1234 });
  assert.deepEqual([read(1), read(18)], [0, 1234]);
  assert.throws(() => engine.getSocketOption(server, IPPROTO_TCP, 9999, 4), { code: "ENOPROTOOPT" });
  assert.throws(() => engine.setSocketOption(server, 1, 9999, Buffer.alloc(4)), { code: "ENOPROTOOPT" });
  peer.destroy();
  await driver.finish(listener);
});

test("a Unix peer's credentials", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair({}, { family: "unix", path: `\0em-test-${process.pid}-cred` });
  const us = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
  assert.deepEqual(driver.engine.peerCredentials(server), us);
  assert.deepEqual(driver.engine.localAddress(server), { family: "unix", path: `\0em-test-${process.pid}-cred` });
  assert.deepEqual(driver.engine.remoteAddress(server), { family: "unix", path: "" });
  await driver.finish(client, listener);
  assert.throws(() => driver.engine.peerCredentials(server), { code: "EBADF" });
});
