import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import type { InetAddress } from "../../../src/base/addresses.js";
import { DatagramDriver } from "./datagram_driver.js";
import { LOOPBACK, stopDrivers } from "./driver.js";

const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_MTU_DISCOVER = 10;
const IPPROTO_IPV6 = 41;
const IPV6_TCLASS = 67;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;

const number = (value: number) => Buffer.from(Int32Array.of(value).buffer);
const ANY: InetAddress = { family: "IPv4", host: "0.0.0.0", port: 0 };

afterEach(stopDrivers);

test("packet information and traffic are told where they are asked for", async () => {
  const driver = new DatagramDriver();
  const { engine } = driver;
  const asked = { packetInfo: true, trafficInfo: true };
  const a = await driver.openDatagrams();
  const plain = await driver.openDatagrams();
  const four = await driver.openDatagrams(asked, ANY);
  const six = await driver.openDatagrams(asked, { family: "IPv6", host: "::", port: 0 });
  const a6 = await driver.openDatagrams({}, { family: "IPv6", host: "::1", port: 0 });
  engine.setDatagramOptions(a, { ttl: 9 });
  engine.setSocketOption(a, IPPROTO_IP, IP_TOS, number(2));
  engine.setDatagramOptions(a6, { ttl: 17 });
  engine.setSocketOption(a6, IPPROTO_IPV6, IPV6_TCLASS, number(1));
  const port = (handle: number) => driver.addressOf(handle).port;
  const seen = async (from: number, to: number, host: string) => {
    const before = driver.to(to).length;
    const family = host.includes(":") ? "IPv6" : "IPv4";
    driver.send(from, "x", engine.peerFor(from, { family, host, port: port(to) }));
    await driver.gotDatagrams(to, before + 1);
    return driver.came.at(-1)?.info;
  };
  assert.equal(await seen(a, plain, "127.0.0.1"), undefined);
  const lo = 1;
  assert.deepEqual(await seen(a, four, "127.0.0.3"), { destination: "127.0.0.3", interfaceIndex: lo, ttl: 9, ecn: 2 });
  assert.deepEqual(await seen(a, six, "127.0.0.4"), { destination: "127.0.0.4", interfaceIndex: lo, ttl: 9, ecn: 2 });
  assert.deepEqual(await seen(a6, six, "::1"), { destination: "::1", interfaceIndex: lo, ttl: 17, ecn: 1 });
  await driver.finish(a, plain, four, six, a6);
});

test("options of the kernel are set as asked", async () => {
  const driver = new DatagramDriver();
  const { engine } = driver;
  const modes = { off: 0, want: 1, always: 2, probe: 3 } as const;
  for (const [mode, value] of Object.entries(modes)) {
    const a = await driver.openDatagrams({ mtuDiscovery: mode as keyof typeof modes, receiveBufferSize: 10_000 });
    assert.equal(engine.getSocketOption(a, IPPROTO_IP, IP_MTU_DISCOVER, 4).readInt32LE(), value);
    assert.equal(engine.getSocketOption(a, SOL_SOCKET, SO_RCVBUF, 4).readInt32LE(), 20_000);
    engine.close(a);
  }
  const a = await driver.openDatagrams();
  assert.throws(() => engine.setDatagramOptions(a, { ttl: 1000 }), { code: "EINVAL", syscall: "setsockopt" });
  assert.throws(() => engine.setDatagramOptions(a, { multicastInterface: "no such" }), { code: "ENODEV" });
  await driver.finish(a);
});

test("broadcast is allowed where it is asked for, and can be later", async () => {
  const driver = new DatagramDriver();
  const { engine } = driver;
  const b = await driver.openDatagrams({}, ANY);
  const to = { family: "IPv4", host: "127.255.255.255", port: driver.addressOf(b).port } as const;
  const a = await driver.openDatagrams({ broadcast: true });
  driver.send(a, "to all", engine.peerFor(a, to));
  await driver.gotDatagrams(b, 1);
  const late = await driver.openDatagrams();
  engine.setDatagramOptions(late, { broadcast: true });
  driver.send(late, "to all", engine.peerFor(late, to));
  await driver.gotDatagrams(b, 2);
  await driver.finish(a, b, late);
});

test("several sockets share a port where both ask for it", async () => {
  const driver = new DatagramDriver();
  const a = await driver.openDatagrams({ reusePort: true });
  const b = await driver.openDatagrams({ reusePort: true }, driver.addressOf(a));
  assert.equal(driver.has("listening", b), true);
  const from = await Promise.all(Array.from({ length: 40 }, () => driver.openDatagrams()));
  for (const each of from) driver.send(each, "x", driver.peerOf(each, a));
  await driver.until(() => driver.came.length === 40, "all of them");
  assert.ok(driver.to(a).length > 0 && driver.to(b).length > 0, "spread over both");
  await driver.finish(a, b, ...from);
});

test("a multicast group is heard from joining to leaving, by every socket that shares the port", async () => {
  const driver = new DatagramDriver();
  const { engine } = driver;
  const group = "239.255.77.7";
  const a = await driver.openDatagrams({ reuseAddress: true }, ANY);
  const b = await driver.openDatagrams({ reuseAddress: true }, { ...ANY, port: driver.addressOf(a).port });
  const from = await driver.openDatagrams();
  engine.setDatagramOptions(from, { multicastInterface: "127.0.0.1", multicastTtl: 1, multicastLoop: true });
  const peer = engine.peerFor(from, { family: "IPv4", host: group, port: driver.addressOf(a).port });
  const membership = { group, interface: "127.0.0.1", source: undefined };
  engine.setMembership(a, membership, true);
  engine.setMembership(b, { ...membership, interface: "lo" }, true);
  assert.throws(() => engine.setMembership(a, membership, true), { code: "EADDRINUSE" });
  driver.send(from, "one", peer);
  await driver.gotDatagrams(a, 1);
  await driver.gotDatagrams(b, 1);
  engine.setMembership(b, { ...membership, interface: "1" }, false);
  driver.send(from, "two", peer);
  await driver.gotDatagrams(a, 2);
  engine.setMembership(a, membership, false);
  driver.send(from, "three", peer);
  driver.send(from, "end", engine.peerFor(from, { ...LOOPBACK, port: driver.addressOf(from).port }));
  await driver.gotDatagrams(from, 1);
  await driver.settle();
  assert.deepEqual([driver.textsTo(a), driver.textsTo(b).filter((text) => text !== "two")], [["one", "two"], ["one"]]);
  assert.throws(() => engine.setMembership(a, membership, false), { code: "EADDRNOTAVAIL" });
  const nowhere = { ...membership, group: "127.0.0.1" };
  assert.throws(() => engine.setMembership(a, nowhere, true), { code: "EINVAL", syscall: "setsockopt" });
  assert.throws(() => engine.setMembership(a, { ...membership, interface: "192.0.2.99" }, true), {
    code: "ENODEV",
  });
  await driver.finish(a, b, from);
});

test("a source-specific group is heard from that source alone", async () => {
  const driver = new DatagramDriver();
  const { engine } = driver;
  const group = "232.1.77.7";
  const a = await driver.openDatagrams({}, ANY);
  const wanted = await driver.openDatagrams({}, { ...LOOPBACK, host: "127.0.0.5" });
  const other = await driver.openDatagrams({}, { ...LOOPBACK, host: "127.0.0.6" });
  const membership = { group, interface: "127.0.0.1", source: "127.0.0.5" };
  engine.setMembership(a, membership, true);
  for (const from of [other, wanted]) {
    engine.setDatagramOptions(from, { multicastInterface: "lo" });
    driver.send(
      from,
      from === wanted ? "wanted" : "other",
      engine.peerFor(from, { ...LOOPBACK, host: group, port: driver.addressOf(a).port }),
    );
  }
  await driver.gotDatagrams(a, 1);
  await driver.settle();
  assert.deepEqual(driver.textsTo(a), ["wanted"]);
  engine.setMembership(a, membership, false);
  assert.throws(() => engine.setMembership(a, membership, false), { code: "EINVAL" });
  await driver.finish(a, wanted, other);
});
