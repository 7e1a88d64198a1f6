import assert from "node:assert/strict";
import type { ServerOptions, StreamOptions } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";

type Table = readonly [
  option: string,
  options: (value: number) => StreamOptions & ServerOptions,
  range: RegExp,
  number[],
  number[],
];

const SECONDS = 32_767_000;
const INT = 0x7fffffff;
const ODD = [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, 2 ** 32, 2 ** 52];

/** What each takes, and what it does not. */
const NUMBERS: readonly Table[] = [
  [
    "keepAlive.idle",
    (idle) => ({ keepAlive: { idle } }),
    /from 1 to 32767000/,
    [1, 999.5, 60_000, SECONDS],
    [0, 0.5, SECONDS + 1],
  ],
  [
    "keepAlive.interval",
    (interval) => ({ keepAlive: { interval } }),
    /from 1 to 32767000/,
    [1, SECONDS],
    [0, SECONDS + 1],
  ],
  ["keepAlive.count", (count) => ({ keepAlive: { count } }), /from 1 to 127/, [1, 127], [0, 1.5, 128]],
  ["tcpUserTimeout", (tcpUserTimeout) => ({ tcpUserTimeout }), /from 0 to 2147483647/, [0, 1, INT], [0.5]],
  ["receiveBufferSize", (receiveBufferSize) => ({ receiveBufferSize }), /from 1 to 2147483647/, [1, INT], [0, 1.5]],
  ["sendBufferSize", (sendBufferSize) => ({ sendBufferSize }), /from 1 to 2147483647/, [1, INT], [0, 1.5]],
  ["backlog", (backlog) => ({ backlog }), /from 1 to 2147483647/, [1, 511, INT], [0, 1.5]],
];

const CAPABILITY: Readonly<Record<string, string>> = {
  "keepAlive.interval": "keepAliveProbes",
  "keepAlive.count": "keepAliveProbes",
  tcpUserTimeout: "tcpUserTimeout",
  receiveBufferSize: "bufferSizes",
  sendBufferSize: "bufferSizes",
};

onEveryEngine("numbers that the kernel bounds", (engine) => {
  for (const [option, options, range, good, bad] of NUMBERS) {
    const refused = (error: Error & { code: string }): boolean => {
      assert.equal(error.code, "ERR_EM_INVALID_ARGUMENT");
      assert.ok(error.message.startsWith(option), error.message);
      assert.match(error.message, range);
      return true;
    };

    engine.rule(`${option}: what it does not take is refused, with the option and the range`, async (trial) => {
      for (const value of [...bad, ...ODD]) {
        await assert.rejects(trial.serve({}, options(value)), refused, String(value));
        if (option === "backlog") continue;
        assert.throws(() => trial.reactor.connect({ host: "127.0.0.1", port: 1, ...options(value) }), refused);
      }
    });

    const capability = CAPABILITY[option];
    if (capability !== undefined && !engine.has(capability as "bufferSizes")) continue;
    engine.rule(`${option}: what it takes reaches the kernel`, async (trial) => {
      for (const value of good) {
        const served = await trial.serve({}, options(value));
        const client = trial.dial(served, {}, option === "backlog" ? {} : options(value));
        await client.opened;
        await served.peer();
        client.closeConnection();
        await trial.allUnbound();
      }
    });
  }

  engine.rule("the methods of an open connection check by the same table", async (trial) => {
    const { client } = await trial.pair();
    assert.throws(() => client.enableKeepalive({ idle: 0 }), /^ArgumentError: keepAlive.idle must be/);
    assert.throws(() => client.enableKeepalive({ idle: SECONDS + 1 }), /32767000/);
    assert.throws(() => client.setTcpUserTimeout(INT + 1), /^ArgumentError: tcpUserTimeout must be/);
    client.enableKeepalive({ idle: SECONDS });
    client.closeConnection();
  });

  engine.rule("a socket's options that are set before it is open are kept, and set when it is", async (trial) => {
    const served = await trial.serve();
    let marks: number[] = [];
    const client = trial.dial(served, {
      postInit: (me) => {
        me.enableKeepalive({ idle: 77_000 });
        me.setNoDelay(false);
        me.setWaterMarks(4_096, 1_024);
        me.commInactivityTimeout = 60_000;
        me.outboundLimit = 1_000_000;
        if (engine.has("tcpUserTimeout")) me.setTcpUserTimeout(12_345);
        else assert.throws(() => me.setTcpUserTimeout(12_345), { code: "ERR_EM_UNSUPPORTED" });
        if (!engine.has("socketOptions")) {
          assert.throws(() => me.setSockOpt(1, 8, 5_000), { code: "ERR_EM_UNSUPPORTED" });
          return;
        }
        const bytes = Uint8Array.of(0x88, 0x13, 0, 0);
        me.setSockOpt(1, 8, bytes);
        bytes.fill(0xff);
      },
      connectionCompleted: (me) => {
        marks = [me.highWaterMark, me.lowWaterMark, me.commInactivityTimeout, me.outboundLimit];
      },
    });
    await client.opened;
    assert.deepEqual(marks, [4_096, 1_024, 60_000, 1_000_000]);
    if (engine.has("socketOptions")) {
      const option = (level: number, name: number) => client.getSockOpt(level, name).readInt32LE();
      assert.deepEqual([option(1, 9), option(6, 4), option(6, 1), option(6, 18)], [1, 77, 0, 12_345]);
      assert.equal(option(1, 8), 10_000, "the kernel doubles it");
    }
    client.closeConnection();
    await trial.allUnbound();
    assert.throws(() => client.setNoDelay(), { code: "ERR_EM_NOT_OPEN" });
  });

  engine.rule("the last of several holds, and so it is with a connection that is called off", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, {
      postInit: (me) => {
        me.setNoDelay(false);
        me.setNoDelay(true);
        me.enableKeepalive();
        me.disableKeepalive();
      },
    });
    const off = trial.dial(served, { postInit: (me) => [me.setNoDelay(), me.closeConnection()] });
    await client.opened;
    if (engine.has("socketOptions")) {
      assert.deepEqual([client.getSockOpt(6, 1)[0], client.getSockOpt(1, 9)[0]], [1, 0]);
    }
    client.closeConnection();
    await trial.allUnbound();
    assert.equal(off.kind, "connect-aborted");
  });

  if (engine.has("socketOptions")) {
    engine.rule("what the kernel refuses when it opens is an error of the connection's", async (trial) => {
      const served = await trial.serve();
      const client = trial.dial(served, {
        postInit: (me) => me.setSockOpt(6, 4, 40_000),
        onError: () => true,
      });
      await client.opened;
      assert.equal((client.errors[0] as { code?: string }).code, "EINVAL");
      client.closeConnection();
    });
  }

  engine.rule("getSocketError answers at any time", async (trial) => {
    const port = await trial.deadPort();
    const refused = trial.dial({ host: "127.0.0.1", port });
    assert.equal(refused.getSocketError(), undefined);
    await trial.allUnbound(refused);
    assert.equal(refused.getSocketError()?.code, "ECONNREFUSED");
    const { client, server } = await trial.pair();
    assert.equal(client.getSocketError(), undefined);
    server.abort();
    await trial.allUnbound();
    assert.equal(client.kind, "peer-reset");
    assert.equal(client.getSocketError()?.code, "ECONNRESET");
    assert.equal(server.getSocketError(), undefined);
    const ended = await trial.pair();
    ended.client.closeConnection();
    assert.equal(ended.client.getSocketError(), undefined, "closing");
    await trial.allUnbound();
    assert.equal(ended.client.getSocketError(), undefined);
    assert.equal(ended.server.getSocketError(), undefined);
  });
});
