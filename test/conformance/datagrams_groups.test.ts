import assert from "node:assert/strict";
import { ArgumentError, SystemError } from "eventmachine";
import { datagramRules, openDatagrams, placeOf } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

const GROUP = "239.77.1.2";
const ANYWHERE = { host: "0.0.0.0" };
const LOOPBACK = { interface: "127.0.0.1" };

/** A socket that sends to groups over loopback. */
async function openSender(trial: Trial) {
  const sender = await openDatagrams(trial);
  sender.setMulticastInterface("127.0.0.1");
  sender.setMulticastLoop(true);
  return sender;
}

onEveryEngine("datagrams to groups", (engine: EngineSuite) => {
  datagramRules(engine, () => {
    engine.rule("a member hears what is sent to the group, until it leaves", async (trial) => {
      const member = await openDatagrams(trial, {}, ANYWHERE);
      const { port } = placeOf(member);
      const sender = await openSender(trial);
      member.joinMulticast(GROUP, LOOPBACK);
      sender.sendDatagram("one", { host: GROUP, port });
      await trial.until(() => member.received.length === 1, "the first");
      assert.deepEqual(member.senders[0], sender.localAddress);
      member.leaveMulticast(GROUP, LOOPBACK);
      sender.sendDatagram("two", { host: GROUP, port });
      sender.sendDatagram("three", { host: "127.0.0.1", port });
      await trial.until(() => member.received.length === 2, "what is sent to itself");
      assert.deepEqual(member.texts, ["one", "three"]);
      assert.deepEqual(sender.failures, []);
    });

    engine.rule("members that share a port all hear it", async (trial) => {
      const first = await openDatagrams(trial, {}, { ...ANYWHERE, reuseAddress: true });
      const { port } = placeOf(first);
      const second = await openDatagrams(trial, {}, { ...ANYWHERE, port, reuseAddress: true });
      for (const member of [first, second]) member.joinMulticast(GROUP, LOOPBACK);
      const sender = await openSender(trial);
      sender.sendDatagram("all", { host: GROUP, port });
      await trial.until(() => first.received.length === 1 && second.received.length === 1, "both hear it");
    });

    engine.rule("the options of sending to groups reach the kernel", async (trial) => {
      // The loop itself cannot be seen over the loopback device, which brings back whatever leaves by it.
      const [LEVEL, TTL, LOOP] = [0, 33, 34];
      const socket = await openDatagrams(trial);
      const read = (option: number) => (engine.has("socketOptions") ? socket.getSockOpt(LEVEL, option)[0] : undefined);
      const expected = (value: number) => (engine.has("socketOptions") ? value : undefined);
      socket.setMulticastLoop(false);
      assert.equal(read(LOOP), expected(0));
      socket.setMulticastLoop(true);
      assert.equal(read(LOOP), expected(1));
      socket.setMulticastTtl(7);
      assert.equal(read(TTL), expected(7));
      socket.setMulticastInterface("127.0.0.1");
      assert.throws(() => socket.setMulticastInterface("203.0.113.9"), SystemError);
    });

    engine.rule("a source-specific member hears its source alone", async (trial) => {
      const member = await openDatagrams(trial, {}, ANYWHERE);
      const { port } = placeOf(member);
      const chosen = await openSender(trial);
      const other = await openDatagrams(trial, {}, { host: "127.0.0.2" });
      other.setMulticastInterface("127.0.0.1");
      const group = "232.77.1.2";
      const options = { ...LOOPBACK, source: "127.0.0.1" };
      member.joinMulticast(group, options);
      other.sendDatagram("no", { host: group, port });
      chosen.sendDatagram("yes", { host: group, port });
      await trial.until(() => member.received.length > 0, "the chosen source's");
      await trial.settle();
      assert.deepEqual(member.texts, ["yes"]);
      member.leaveMulticast(group, options);
      chosen.sendDatagram("gone", { host: group, port });
      await trial.settle();
      assert.deepEqual(member.texts, ["yes"]);
    });

    engine.rule("what the kernel refuses of a group is a SystemError", async (trial) => {
      const member = await openDatagrams(trial, {}, ANYWHERE);
      const isSystems = (code: string) => (error: unknown) => {
        assert.ok(error instanceof SystemError, String(error));
        assert.equal(error.code, code);
        assert.equal(error.syscall, "setsockopt");
        return true;
      };
      member.joinMulticast(GROUP, LOOPBACK);
      assert.throws(() => member.joinMulticast(GROUP, LOOPBACK), isSystems("EADDRINUSE"));
      assert.throws(() => member.leaveMulticast("239.77.1.3", LOOPBACK), isSystems("EADDRNOTAVAIL"));
      assert.throws(() => member.joinMulticast("239.77.1.4", { interface: "203.0.113.9" }), isSystems("ENODEV"));
      member.leaveMulticast(GROUP, LOOPBACK);
    });

    engine.rule("what is no group, no source and no interface is an ArgumentError", async (trial) => {
      const member = await openDatagrams(trial, {}, ANYWHERE);
      for (const group of ["10.0.0.1", "", "group.test", "fe80::1", 7, undefined]) {
        assert.throws(() => member.joinMulticast(group as string), ArgumentError, String(group));
      }
      for (const options of [
        { source: "::1" },
        { source: "name" },
        { interface: {} },
        { interface: "" },
        { from: 1 },
      ]) {
        assert.throws(() => member.joinMulticast(GROUP, options as object), ArgumentError, JSON.stringify(options));
      }
      assert.throws(() => member.setMulticastInterface(undefined as never), ArgumentError);
    });

    engine.rule("TTLs are set, and bounded", async (trial) => {
      const socket = await openDatagrams(trial);
      socket.setTtl(1);
      socket.setTtl(255);
      socket.setMulticastTtl(0);
      socket.setMulticastTtl(32);
      for (const wrong of [0, 256, 1.5, "8", undefined]) {
        assert.throws(() => socket.setTtl(wrong as number), ArgumentError, String(wrong));
      }
      assert.throws(() => socket.setMulticastTtl(-1), ArgumentError);
    });

    engine.rule("broadcast is refused by the kernel until it is allowed", async (trial) => {
      const sink = await openDatagrams(trial, {}, ANYWHERE);
      const at = { host: "127.255.255.255", port: placeOf(sink).port };
      const socket = await openDatagrams(trial, {}, ANYWHERE);
      socket.sendDatagram("no", at);
      await trial.until(() => socket.failures.length === 1, "the refusal");
      assert.equal(socket.failures[0]?.error.code, "EACCES");
      assert.deepEqual(socket.failures[0]?.address, { family: "IPv4", ...at });
      socket.setBroadcast(true);
      socket.sendDatagram("yes", at);
      await trial.until(() => sink.received.length === 1, "the broadcast");
      socket.setBroadcast(false);
      socket.sendDatagram("no more", at);
      await trial.until(() => socket.failures.length === 2, "refused again");
      const allowed = await openDatagrams(trial, {}, { ...ANYWHERE, broadcast: true });
      allowed.sendDatagram("from the start", at);
      await trial.until(() => sink.received.length === 2, "the second broadcast");
      assert.deepEqual(sink.texts, ["yes", "from the start"]);
    });

    const info = { packetInfo: true };
    engine.ruleNeeding(
      "packetInfo",
      "each datagram tells where it was sent to, and by which interface it came",
      async (trial) => {
        const seen: unknown[] = [];
        const script = { receiveData: (me: { datagramInfo: unknown }) => seen.push(me.datagramInfo) };
        const server = await openDatagrams(trial, script, { ...ANYWHERE, ...info });
        const client = await openDatagrams(trial);
        const { port } = placeOf(server);
        for (const host of ["127.0.0.1", "127.0.0.9"]) client.sendDatagram("x", { host, port });
        await trial.until(() => seen.length === 2, "both");
        const [one, two] = seen as { destination: string; interfaceIndex: number; ttl: unknown }[];
        assert.deepEqual([one?.destination, two?.destination], ["127.0.0.1", "127.0.0.9"]);
        assert.ok((one?.interfaceIndex ?? 0) > 0);
        assert.equal(one?.ttl, undefined);
        assert.equal(server.datagramInfo, undefined);
      },
      (trial) => openDatagrams(trial, {}, info),
    );

    engine.ruleNeeding(
      "trafficInfo",
      "each datagram tells its TTL and its ECN bits",
      async (trial) => {
        const seen: unknown[] = [];
        const script = { receiveData: (me: { datagramInfo: unknown }) => seen.push(me.datagramInfo) };
        const server = await openDatagrams(trial, script, { trafficInfo: true });
        const client = await openDatagrams(trial);
        client.setTtl(9);
        client.sendDatagram("x", placeOf(server));
        await trial.until(() => seen.length === 1, "the datagram");
        const [told] = seen as { ttl: number; ecn: number; destination: unknown }[];
        assert.deepEqual([told?.ttl, told?.ecn, told?.destination], [9, 0, undefined]);
      },
      (trial) => openDatagrams(trial, {}, { trafficInfo: true }),
    );

    engine.ruleNeeding(
      "mtuDiscovery",
      "path MTU discovery is set as it is asked for",
      async (trial) => {
        const IP_MTU_DISCOVER = 10;
        const kinds = ["off", "want", "always", "probe"] as const;
        for (const [number, mtuDiscovery] of kinds.entries()) {
          const socket = await openDatagrams(trial, {}, { mtuDiscovery });
          assert.equal(socket.getSockOpt(0, IP_MTU_DISCOVER).readInt32LE(), number);
        }
      },
      (trial) => openDatagrams(trial, {}, { mtuDiscovery: "probe" }),
    );

    engine.ruleNeeding(
      "reusePort",
      "sockets share a port, and each sender stays with one of them",
      async (trial) => {
        const first = await openDatagrams(trial, {}, { reusePort: true });
        const second = await openDatagrams(trial, {}, { ...placeOf(first), reusePort: true });
        const clients = await Promise.all(Array.from({ length: 40 }, () => openDatagrams(trial)));
        for (let round = 0; round < 2; round++) for (const client of clients) client.sendDatagram("x", placeOf(first));
        await trial.until(() => first.received.length + second.received.length === 80, "all of them");
        const portsOf = (socket: typeof first) => new Set(socket.senders.map((sender) => JSON.stringify(sender)));
        assert.equal(portsOf(first).size + portsOf(second).size, 40);
        assert.ok(first.received.length > 0 && second.received.length > 0);
      },
      (trial) => openDatagrams(trial, {}, { reusePort: true }),
    );

    engine.rule("datagramInfo is undefined where it was not asked for", async (trial) => {
      const seen: unknown[] = [];
      const server = await openDatagrams(trial, { receiveData: (me) => seen.push(me.datagramInfo) });
      const client = await openDatagrams(trial);
      client.sendDatagram("x", placeOf(server));
      await trial.until(() => seen.length === 1, "the datagram");
      assert.deepEqual(seen, [undefined]);
    });
  });
});
