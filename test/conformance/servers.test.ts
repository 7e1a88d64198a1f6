import assert from "node:assert/strict";
import { inspect } from "node:util";
import { Connection, SystemError } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

const HERE = { host: "127.0.0.1", port: 0 };

async function reaches(trial: Trial, host: string, port: number): Promise<boolean> {
  const client = trial.dial({ host, port }, { name: `${host}:${port}` });
  await trial.until(() => client.state === "open" || client.isUnbound, "it is decided");
  const open = client.state === "open";
  client.closeConnection();
  return open;
}

/** From where a program may call. */
const CALLS: Record<string, (trial: Trial, close: () => void) => void> = {
  "the callback itself": (_, close) => close(),
  "a tick": (trial, close) => trial.reactor.nextTick(close),
  "a timer": (trial, close) => void trial.reactor.addTimer(1, close),
  setImmediate: (_, close) => void setImmediate(close),
  setTimeout: (_, close) => void setTimeout(close, 1),
  "a promise": (_, close) => void Promise.resolve().then(close),
  "process.nextTick": (_, close) => process.nextTick(close),
};

onEveryEngine("servers", (engine) => {
  engine.rule("port 0: the system chooses, the listener tells", async (trial) => {
    const { listener } = await trial.serve();
    assert.ok((listener.port as number) > 0);
    assert.deepEqual(listener.address, { family: "IPv4", host: "127.0.0.1", port: listener.port });
    assert.deepEqual(listener.addresses, [listener.address]);
    assert.equal(listener.isListening, true);
    assert.match(inspect(listener), new RegExp(`Listener \\{ 127\\.0\\.0\\.1:${listener.port} \\}`));
  });

  engine.rule("two listeners on port 0 have two ports", async (trial) => {
    const [one, two] = await Promise.all([trial.serve(), trial.serve()]);
    assert.notEqual(one.listener.port, two.listener.port);
  });

  engine.rule("a port in use is EADDRINUSE, with its place", async (trial) => {
    const { listener } = await trial.serve();
    const port = listener.port as number;
    await assert.rejects(trial.serve({}, { host: "127.0.0.1", port }), (error) => {
      assert.ok(error instanceof SystemError);
      assert.deepEqual([error.code, error.address, error.port], ["EADDRINUSE", "127.0.0.1", port]);
      assert.match(error.message, new RegExp(`EADDRINUSE 127\\.0\\.0\\.1:${port}`));
      return true;
    });
    assert.equal(listener.isListening, true);
  });

  engine.rule("an address that is not here is EADDRNOTAVAIL", async (trial) => {
    await assert.rejects(trial.serve({}, { host: "198.51.100.7", port: 0 }), {
      name: "SystemError",
      code: "EADDRNOTAVAIL",
      address: "198.51.100.7",
    });
  });

  engine.rule("a name that is not there rejects", async (trial) => {
    await assert.rejects(trial.serve({}, { host: "unknown.test", port: 0 }), {
      code: "ENOTFOUND",
      syscall: "getaddrinfo",
    });
  });

  engine.rule("a name is listened to on all its addresses, with one port", async (trial) => {
    trial.names.set("all.test", () => Promise.resolve(["127.0.0.1", "::1", "127.0.0.2"]));
    const { listener } = await trial.serve({}, { host: "all.test", port: 0 });
    assert.equal(listener.addresses.length, 3);
    const port = listener.port as number;
    for (const address of listener.addresses) assert.equal(address.family !== "unix" && address.port, port);
    for (const host of ["127.0.0.1", "::1", "127.0.0.2"]) assert.equal(await reaches(trial, host, port), true, host);
    assert.equal(await reaches(trial, "127.0.0.3", port), false);
    await listener.close();
    for (const host of ["127.0.0.1", "::1", "127.0.0.2"]) assert.equal(await reaches(trial, host, port), false, host);
  });

  engine.rule("localhost means both families", async (trial) => {
    const { listener } = await trial.serve({}, { host: "localhost", port: 0 });
    const families = listener.addresses.map(({ family }) => family).sort();
    assert.deepEqual(families, ["IPv4", "IPv6"]);
    for (const host of ["127.0.0.1", "::1"]) assert.equal(await reaches(trial, host, listener.port as number), true);
  });

  engine.rule(":: takes both families, and says IPv4 peers as IPv4", async (trial) => {
    const served = await trial.serve({}, { host: "::", port: 0 });
    const port = served.listener.port as number;
    let count = 0;
    for (const [host, family] of [
      ["127.0.0.1", "IPv4"],
      ["::1", "IPv6"],
    ] as const) {
      const client = trial.dial({ host, port });
      await client.opened;
      const server = await served.peer(count++);
      assert.deepEqual(server.remoteAddress, client.localAddress);
      assert.deepEqual(server.localAddress, { family, host, port });
    }
  });

  engine.rule("no host means the same", async (trial) => {
    const { listener } = await trial.serve({}, { port: 0 });
    assert.equal((listener.address as { host: string }).host, "::");
    for (const host of ["127.0.0.1", "::1"]) assert.equal(await reaches(trial, host, listener.port as number), true);
  });

  engine.rule("ipv6Only refuses IPv4", async (trial) => {
    const { listener } = await trial.serve({}, { host: "::", port: 0, ipv6Only: true });
    assert.equal(await reaches(trial, "::1", listener.port as number), true);
    assert.equal(await reaches(trial, "127.0.0.1", listener.port as number), false);
  });

  engine.rule("an IPv6 address may stand in brackets", async (trial) => {
    const served = await trial.serve({}, { host: "[::1]", port: 0 });
    const client = trial.dial({ host: "[::1]", port: served.listener.port as number });
    await client.opened;
    assert.deepEqual(client.remoteAddress, { family: "IPv6", host: "::1", port: served.listener.port });
  });

  engine.ruleNeeding(
    "reusePort",
    "reusePort shares a port between listeners that ask for it, and with no other",
    async (trial) => {
      const one = await trial.serve({}, { ...HERE, reusePort: true });
      const port = one.listener.port as number;
      const two = await trial.serve({}, { host: "127.0.0.1", port, reusePort: true });
      await assert.rejects(trial.serve({}, { host: "127.0.0.1", port }), { code: "EADDRINUSE" });
      for (let count = 0; count < 64; count++) trial.dial(one);
      await trial.until(() => one.peers.length + two.peers.length === 64, "all are accepted");
      assert.ok(one.peers.length > 0 && two.peers.length > 0, "both have some");
      await one.listener.close();
      await trial.settle();
      assert.equal(await reaches(trial, "127.0.0.1", port), true, "the other one serves on");
    },
    (trial) => trial.serve({}, { ...HERE, reusePort: true }),
  );

  engine.rule("stopServer frees the port at once, time and again; what it accepted lives on", async (trial) => {
    const { client, server, served } = await trial.pair();
    const port = served.listener.port as number;
    await trial.reactor.stopServer(served.listener);
    for (let count = 0; count < 5; count++) {
      assert.equal(await reaches(trial, "127.0.0.1", port), false, "nobody listens");
      const again = await trial.serve({}, { host: "127.0.0.1", port });
      assert.equal(await reaches(trial, "127.0.0.1", port), true);
      await again.listener.close();
    }
    client.sendData("still here");
    await trial.until(() => server.text === "still here", "the old connection");
    assert.equal(served.listener.isListening, false);
    assert.equal(served.listener.connectionCount, 1);
    assert.match(inspect(served.listener), /closed/);
  });

  engine.rule("closing a listener twice is harmless, and await using closes it", async (trial) => {
    const { listener } = await trial.serve();
    await Promise.all([listener.close(), listener.close(), listener[Symbol.asyncDispose]()]);
    await listener.close();
    assert.equal(listener.isListening, false);
  });

  engine.rule("connections that are knocking when a listener closes end one way or the other", async (trial) => {
    const served = await trial.serve();
    const clients = Array.from({ length: 50 }, () => trial.dial(served));
    await served.listener.close();
    await trial.until(
      () => clients.every((client) => client.isUnbound || client.state === "open"),
      "every one is decided",
    );
    const accepted = served.peers.length;
    assert.equal(served.listener.acceptedCount, accepted);
    const open = () => clients.filter(({ state }) => state === "open").length;
    await trial.until(() => open() <= accepted, "those that waited in vain are gone");
    await trial.settle();
    assert.equal(open(), accepted);
  });

  engine.rule("a listener closed while it accepts accepts no more", async (trial) => {
    const served = await trial.serve({ postInit: () => void served.listener.close() });
    const clients = Array.from({ length: 20 }, () => trial.dial(served));
    await trial.until(() => served.peers.length > 0, "one is accepted");
    await served.listener.close();
    const stood = served.peers.length;
    await trial.settle();
    assert.equal(served.peers.length, stood);
    for (const client of clients) client.closeConnection();
  });

  engine.rule("a listener counts what is open and all it has accepted", async (trial) => {
    const served = await trial.serve();
    const clients = [1, 2, 3].map(() => trial.dial(served));
    await served.peer(2);
    assert.deepEqual([served.listener.connectionCount, served.listener.acceptedCount], [3, 3]);
    assert.equal(trial.reactor.connectionCount, 6, "listeners do not count");
    clients[0]?.closeConnection();
    await trial.allUnbound(served.peers[0] as Recorder);
    assert.deepEqual([served.listener.connectionCount, served.listener.acceptedCount], [2, 3]);
  });

  // How many -----------------------------------------------------------------------------------------------------

  engine.rule("at maxConnections newcomers wait until there is room", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { maxConnections: 2 });
    const clients = Array.from({ length: 6 }, (_, at) =>
      trial.dial(served, { postInit: (me) => me.sendData(`${at}`) }),
    );
    await trial.until(() => served.peers.length === 2, "two are served");
    await trial.settle();
    assert.equal(served.peers.length, 2);
    assert.equal(served.listener.connectionCount, 2);
    for (let gone = 1; gone <= 4; gone++) {
      clients.find((client) => client.bytes > 0 && client.state === "open")?.closeConnection();
      await trial.until(() => served.peers.length === 2 + gone, "the next one is served");
      await trial.until(() => clients.filter(({ bytes }) => bytes > 0).length === 2 + gone, "with what it had sent");
      assert.ok(served.listener.connectionCount <= 2);
    }
  });

  for (const [where, call] of Object.entries(CALLS)) {
    engine.rule(`a place is free when the end was told: a close from ${where}`, async (trial) => {
      let open = 0;
      let most = 0;
      const served = await trial.serve(
        {
          postInit: () => {
            most = Math.max(most, ++open);
          },
          receiveData: (me) =>
            call(trial, () => {
              me.closeConnection();
              trial.block(2);
            }),
          unbind: () => {
            open--;
          },
        },
        { maxConnections: 1 },
      );
      for (let n = 0; n < 20; n++) trial.dial(served, { postInit: (me) => me.sendData("x") });
      await trial.until(() => served.peers.length === 20, "all are served");
      await trial.allUnbound(...served.peers);
      assert.equal(most, 1);
    });
  }

  engine.rule('whenFull "close" lets newcomers go at once', async (trial) => {
    const served = await trial.serve({}, { maxConnections: 2, whenFull: "close" });
    const first = [trial.dial(served), trial.dial(served)];
    await served.peer(1);
    const rest = Array.from({ length: 5 }, () => trial.dial(served));
    await trial.allUnbound(...rest);
    for (const client of rest) assert.match(client.kind ?? "", /^(peer-closed|peer-reset|connect-failed)$/);
    assert.equal(served.peers.length, 2);
    first[0]?.closeConnection();
    await trial.allUnbound(served.peers[0] as Recorder);
    const next = trial.dial(served);
    await served.peer(2);
    assert.equal(next.kind, undefined, "there is room again");
  });

  engine.rule("a backlog of 1 serves everybody in the end", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { backlog: 1 });
    // Two find room at once. The others knock again after a second, both at one time, and then after two, four, ...
    const clients = Array.from({ length: 4 }, () => trial.dial(served, { postInit: (me) => me.sendData("x") }));
    await trial.until(() => clients.every(({ bytes }) => bytes === 1), "all are served");
  });

  engine.ruleNeeding(
    "acceptQuota",
    "no more than acceptQuota connections are accepted in a turn",
    async (trial) => {
      const perTurn = new Map<number, number>();
      let turn = 0;
      const count = () => {
        turn++;
        trial.reactor.nextTick(count);
      };
      const served = await trial.serve(
        { postInit: () => void perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1) },
        { acceptQuota: 3 },
      );
      trial.reactor.nextTick(count);
      for (let made = 0; made < 30; made++) trial.dial(served);
      await trial.until(() => served.peers.length === 30, "all are accepted");
      assert.ok(Math.max(...perTurn.values()) <= 3, `in one turn: ${Math.max(...perTurn.values())}`);
    },
    (trial) => trial.serve({}, { ...HERE, acceptQuota: 3 }),
  );

  // Options ------------------------------------------------------------------------------------------------------

  engine.rule("options that are none reject, before anything listens", async (trial) => {
    const { reactor } = trial;
    const wrong: object[] = [
      { host: "127.0.0.1", port: -1 },
      { host: "127.0.0.1", port: 65_536 },
      { host: "127.0.0.1", port: 1.5 },
      { host: "127.0.0.1", port: "80" },
      { host: "127.0.0.1" },
      { host: "", port: 0 },
      { host: "with space", port: 0 },
      { host: 7, port: 0 },
      { ...HERE, backlog: 0 },
      { ...HERE, backlog: 2 ** 31 },
      { ...HERE, maxConnections: 0 },
      { ...HERE, maxConnections: 1.5 },
      { ...HERE, whenFull: "wait" },
      { ...HERE, acceptQuota: 0 },
      { ...HERE, reusePort: 1 },
      { ...HERE, ipv6Only: "yes" },
      { ...HERE, noDelay: 1 },
      { ...HERE, keepAlive: 5 },
      { ...HERE, keepAlive: { idle: -1 } },
      { ...HERE, keepAlive: { count: 0 } },
      { ...HERE, allowHalfOpen: null },
      { ...HERE, highWaterMark: 0 },
      { ...HERE, lowWaterMark: 100, highWaterMark: 10 },
      { ...HERE, outboundLimit: -1 },
      { ...HERE, lingerTimeout: -1 },
      { ...HERE, commInactivityTimeout: Number.NaN },
      { ...HERE, receiveBufferSize: 0 },
      { ...HERE, tcpUserTimeout: -1 },
    ];
    for (const options of wrong) {
      await assert.rejects(
        reactor.startServer(options as never, Connection),
        { name: "ArgumentError" },
        inspect(options),
      );
    }
    for (const address of [undefined, null, 7, "127.0.0.1:0"]) {
      await assert.rejects(reactor.startServer(address as never, Connection), { name: "ArgumentError" });
    }
  });

  engine.rule("socket options that every engine takes", async (trial) => {
    const options = { noDelay: false, keepAlive: { idle: 60_000 } };
    const { client, server } = await trial.pair({ connect: options, listen: options });
    for (const each of [client, server]) {
      each.setNoDelay();
      each.setNoDelay(false);
      each.enableKeepalive();
      each.enableKeepalive({ idle: 5_000 });
      each.disableKeepalive();
    }
    client.sendData("x");
    await trial.until(() => server.bytes === 1, "it works on");
  });

  const options = [
    ["bufferSizes", { receiveBufferSize: 20_000, sendBufferSize: 20_000 }],
    ["keepAliveProbes", { keepAlive: { idle: 60_000, interval: 5_000, count: 3 } }],
    ["tcpUserTimeout", { tcpUserTimeout: 30_000 }],
  ] as const;
  for (const [capability, wanted] of options) {
    engine.ruleNeeding(
      capability,
      `${Object.keys(wanted)} on both sides`,
      async (trial) => {
        const { client, server } = await trial.pair({ connect: wanted, listen: wanted });
        client.sendData("x");
        await trial.until(() => server.bytes === 1, "it works");
      },
      (trial) => trial.serve({}, { ...HERE, ...wanted }),
    );

    engine.ruleNeeding(
      capability,
      `a connect with ${Object.keys(wanted)}`,
      async (trial) => {
        const served = await trial.serve();
        const client = trial.dial(served, {}, wanted);
        await client.opened;
      },
      async (trial) => {
        const served = await trial.serve();
        try {
          trial.dial(served, {}, wanted);
        } finally {
          assert.equal(trial.reactor.connectionCount, 0, "nothing is left of it");
          assert.equal(trial.recorders.length, 0, "no handler was made");
        }
      },
    );
  }

  engine.ruleNeeding(
    "tcpUserTimeout",
    "setTcpUserTimeout",
    async (trial) => {
      const { client } = await trial.pair();
      client.setTcpUserTimeout(1234);
      assert.throws(() => client.setTcpUserTimeout(-1), { name: "ArgumentError" });
      if (engine.has("socketOptions")) assert.equal(client.getSockOpt(6, 18).readInt32LE(), 1234);
    },
    async (trial) => (await trial.pair()).client.setTcpUserTimeout(1234),
  );

  engine.ruleNeeding(
    "keepAliveProbes",
    "the times of keep-alive probes",
    async (trial) => {
      const { client } = await trial.pair();
      client.enableKeepalive({ idle: 7_000, interval: 3_000, count: 4 });
      if (!engine.has("socketOptions")) return;
      const read = [
        [1, 9],
        [6, 4],
        [6, 5],
        [6, 6],
      ].map(([level, name]) => client.getSockOpt(level as number, name as number).readInt32LE());
      assert.deepEqual(read, [1, 7, 3, 4]);
      client.disableKeepalive();
      assert.equal(client.getSockOpt(1, 9).readInt32LE(), 0);
    },
    async (trial) => (await trial.pair()).client.enableKeepalive({ interval: 3_000 }),
  );

  engine.ruleNeeding(
    "socketOptions",
    "any socket option can be read and set",
    async (trial) => {
      const { client, server } = await trial.pair({ connect: { noDelay: false } });
      const [SOL_SOCKET, SO_RCVLOWAT, IPPROTO_TCP, TCP_NODELAY] = [1, 18, 6, 1];
      assert.equal(client.getSockOpt(IPPROTO_TCP, TCP_NODELAY).readInt32LE(), 0);
      client.setSockOpt(IPPROTO_TCP, TCP_NODELAY, 1);
      assert.equal(client.getSockOpt(IPPROTO_TCP, TCP_NODELAY).readInt32LE(), 1);
      assert.notEqual(server.getSockOpt(IPPROTO_TCP, TCP_NODELAY).readInt32LE(), 0, "noDelay is the default");
      client.setSockOpt(SOL_SOCKET, SO_RCVLOWAT, new Uint8Array([2, 0, 0, 0]));
      assert.equal(client.getSockOpt(SOL_SOCKET, SO_RCVLOWAT).readInt32LE(), 2);
      client.setSockOpt(SOL_SOCKET, SO_RCVLOWAT, 1);
      assert.throws(() => client.getSockOpt(12_345, 1), { name: "SystemError" });
      assert.throws(() => client.setSockOpt(IPPROTO_TCP, 12_345, 1), { name: "SystemError", code: "ENOPROTOOPT" });
      assert.throws(() => client.setSockOpt(IPPROTO_TCP, TCP_NODELAY, 2 ** 31), { name: "ArgumentError" });
      assert.throws(() => client.getSockOpt(IPPROTO_TCP, TCP_NODELAY, 0), { name: "ArgumentError" });
    },
    async (trial) => (await trial.pair()).client.getSockOpt(6, 1),
  );

  engine.ruleNeeding(
    "socketOptions",
    "setting any socket option",
    async (trial) => (await trial.pair()).client.setSockOpt(6, 1, 1),
    async (trial) => (await trial.pair()).client.setSockOpt(6, 1, 1),
  );

  engine.rule("handlers that are none are refused before anything happens", async (trial) => {
    class Other {}
    const refused = { name: "ArgumentError", code: "ERR_EM_INVALID_HANDLER" };
    for (const handler of [Other, () => {}, {}, "Echo", 7, null, Recorder.prototype]) {
      await assert.rejects(trial.reactor.startServer(HERE, handler as never), refused);
      assert.throws(() => trial.reactor.connect({ host: "127.0.0.1", port: 1 }, handler as never), refused);
    }
    await assert.rejects(trial.reactor.startServer(HERE, undefined as never), { name: "ArgumentError" });
    assert.equal(trial.reactor.connectionCount, 0);
  });
});
