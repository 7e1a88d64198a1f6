import assert from "node:assert/strict";
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { pattern } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

const KiB = 1024;
const MiB = 1024 * KiB;

/** Numbers the reactor's turns while a test lasts. */
function countTurns(trial: Trial): () => number {
  let turn = 0;
  const next = () => {
    turn++;
    trial.reactor.nextTick(next);
  };
  trial.reactor.nextTick(next);
  return () => turn;
}

onEveryEngine("defaults", (engine) => {
  engine.rule("what can be read of a connection", async (trial) => {
    const { client, server } = await trial.pair();
    for (const each of [client, server]) {
      assert.deepEqual(
        {
          highWaterMark: each.highWaterMark,
          lowWaterMark: each.lowWaterMark,
          outboundLimit: each.outboundLimit,
          lingerTimeout: each.lingerTimeout,
          commInactivityTimeout: each.commInactivityTimeout,
          firstByteTimeout: each.firstByteTimeout,
          readTimeout: each.readTimeout,
          writeTimeout: each.writeTimeout,
          lifetimeTimeout: each.lifetimeTimeout,
          isPaused: each.isPaused,
        },
        {
          highWaterMark: 64 * KiB,
          lowWaterMark: 16 * KiB,
          outboundLimit: 16 * MiB,
          lingerTimeout: 5_000,
          commInactivityTimeout: 0,
          firstByteTimeout: 0,
          readTimeout: 0,
          writeTimeout: 0,
          lifetimeTimeout: 0,
          isPaused: false,
        },
      );
    }
    assert.equal(client.pendingConnectTimeout, 20_000);
    assert.equal(server.pendingConnectTimeout, 0);
  });

  engine.rule("a high-water mark below the default low one lowers that too", async (trial) => {
    const { client } = await trial.pair({ connect: { highWaterMark: 1000 } });
    assert.deepEqual([client.highWaterMark, client.lowWaterMark], [1000, 1000]);
  });

  engine.rule("the high-water mark is where sendData turns false", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served);
    assert.equal(client.sendData(Buffer.alloc(64 * KiB - 1)), true);
    assert.equal(client.sendData("x"), false);
  });

  engine.rule("the outbound limit is checked against what is queued before the call", async (trial) => {
    const served = await trial.serve({ keep: false });
    const client = trial.dial(served);
    client.sendData(Buffer.alloc(16 * MiB));
    client.sendData("at the limit it is still taken");
    assert.equal(client.state, "connecting");
    client.sendData("above it is not");
    await trial.allUnbound(client);
    assert.equal(client.kind, "outbound-limit");
  });

  engine.rule("noDelay is on, on both sides", async (trial) => {
    const { client, server } = await trial.pair();
    if (engine.has("socketOptions")) {
      for (const each of [client, server]) assert.notEqual(each.getSockOpt(6, 1).readInt32LE(), 0);
    } else assert.throws(() => client.getSockOpt(6, 1), { name: "UnsupportedError" });
  });

  engine.rule("keep-alive is off", async (trial) => {
    const { client, server } = await trial.pair();
    if (engine.has("socketOptions")) {
      for (const each of [client, server]) assert.equal(each.getSockOpt(1, 9).readInt32LE(), 0);
    } else assert.throws(() => client.getSockOpt(1, 9), { name: "UnsupportedError" });
  });

  engine.rule("the attempt delay is 250 ms", async (trial) => {
    const port = await trial.silentPort();
    await trial.serve({}, { host: "::1", port });
    trial.names.set("mixed.test", () => Promise.resolve(["127.0.0.1", "::1"]));
    const begun = trial.now();
    let at250 = "";
    trial.reactor.addTimer(249, () => {
      at250 = client.state;
    });
    const client = trial.dial({ host: "mixed.test", port });
    await client.opened;
    const took = trial.now() - begun;
    assert.equal(at250, "connecting");
    assert.ok(took >= 250, `the second address was tried after ${took} ms`);
  });

  engine.rule("the backlog is 1024", async (trial) => {
    const port = await trial.stillListener({});
    const clients = Array.from({ length: 1100 }, () => trial.dial({ host: "127.0.0.1", port }));
    const open = () => clients.filter(({ state }) => state === "open").length;
    await trial.until(() => open() >= 1025, "the queue fills");
    await trial.settle();
    // The kernel takes one more than it is told.
    assert.equal(open(), 1025);
  });

  engine.rule("a chunk is at most the read quota of 64 KiB", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    client.sendData(pattern(3_000_000));
    await trial.settle();
    server.resume();
    await trial.until(() => server.bytes === 3_000_000, "all of it");
    const largest = Math.max(...server.chunks.map(({ length }) => length));
    assert.ok(largest <= 64 * KiB, `one of ${largest} bytes`);
  });

  engine.rule("at most 64 connections are accepted in a turn", async (trial) => {
    const turn = countTurns(trial);
    const perTurn = new Map<number, number>();
    const served = await trial.serve({ postInit: () => void perTurn.set(turn(), (perTurn.get(turn()) ?? 0) + 1) });
    for (let count = 0; count < 300; count++) trial.dial(served);
    // They are all there before the first is accepted.
    trial.block(20);
    await trial.until(() => served.peers.length === 300, "all are accepted");
    const most = Math.max(...perTurn.values());
    if (engine.has("acceptQuota")) assert.ok(most <= 64, `${most} in one turn`);
    else
      await assert.rejects(trial.serve({}, { host: "127.0.0.1", port: 0, acceptQuota: 64 }), {
        name: "UnsupportedError",
      });
  });

  engine.rule("at most 256 KiB of a file leave in a turn", async (trial) => {
    const path = trial.path();
    const fd = openSync(path, "w");
    ftruncateSync(fd, 8 * MiB);
    closeSync(fd);
    const { client, server } = await trial.pair({ client: { keep: false } });
    let before = trial.reactor.stats().bytesOut;
    const sizes: number[] = [];
    const look = () => {
      const { bytesOut } = trial.reactor.stats();
      if (bytesOut > before) sizes.push(bytesOut - before);
      before = bytesOut;
      trial.reactor.nextTick(look);
    };
    look();
    await server.sendFileData(path);
    await trial.until(() => client.bytes === 8 * MiB, "all of it");
    // The end of the turn that sends it and the beginning of the next lie between the first two looks.
    const [first = 0, ...rest] = sizes;
    assert.ok(first <= 512 * KiB, `${first} bytes at first`);
    assert.ok(Math.max(...rest) <= 256 * KiB, `${Math.max(...rest)} bytes in one turn`);
  });

  engine.rule("a client's FIN ends the connection, for half-open is not the default", async (trial) => {
    const { client, server } = await trial.pair();
    client.halfClose();
    await trial.allUnbound();
    assert.deepEqual([server.ends, server.kind], [0, "peer-closed"]);
  });
});
