import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import type { DeadlineName } from "eventmachine";
import { pattern } from "./bytes.js";
import { onEveryEngine } from "./harness.js";
import type { Recorder } from "./recorder.js";
import type { Trial } from "./trial.js";

/** How late a deadline may be at most: 5 % of it, or 20 ms. */
const slack = (ms: number) => Math.max(20, ms * 0.05);

function timedOut(recorder: Recorder, deadline: DeadlineName): void {
  const { reason } = recorder;
  assert.ok(reason?.kind === "timeout", `${recorder.label} ended with ${reason?.kind}`);
  assert.equal(reason.deadline, deadline);
  assert.equal(reason.error.code, "ERR_EM_TIMEOUT");
}

/**
 * Checks that a connection ends `ms` after its last traffic, which was between `from` and now: not before, and not later
 * than a timer set to the latest allowed moment sees. A machine that is busy delays both alike.
 */
async function endsAfter(trial: Trial, recorder: Recorder, ms: number, from: number): Promise<void> {
  let stood: string | undefined;
  trial.reactor.addTimer(ms + slack(ms), () => {
    stood = recorder.state;
  });
  await trial.until(() => stood !== undefined && recorder.isUnbound, "the deadline passes");
  assert.notEqual(stood, "open", "still open when the deadline and its slack have passed");
  const took = recorder.unboundAt - from;
  assert.ok(took >= ms - 0.5, `it ended after ${took} of ${ms} ms`);
}

onEveryEngine("deadlines", (engine) => {
  engine.ruleOnEach("inactivity ends a connection at its time when nothing ever moves", async (trial) => {
    const served = await trial.serve({}, { commInactivityTimeout: 150 });
    const client = trial.dial(served);
    const from = trial.now();
    await client.opened;
    const server = await served.peer();
    await endsAfter(trial, server, 150, from);
    timedOut(server, "inactivity");
    await trial.allUnbound();
    assert.equal(client.kind, "peer-closed");
  });

  engine.ruleOnEach("inactivity counts from the last byte read", async (trial) => {
    const { client, server } = await trial.pair({ listen: { commInactivityTimeout: 500 } });
    let from = 0;
    for (let count = 0; count < 6; count++) {
      await trial.sleep(100);
      from = trial.now();
      client.sendData("x");
    }
    await trial.until(() => server.bytes === 6, "the last byte");
    await endsAfter(trial, server, 500, from);
    timedOut(server, "inactivity");
  });

  engine.ruleOnEach("inactivity counts from the last byte written", async (trial) => {
    const { client, server } = await trial.pair({ listen: { commInactivityTimeout: 500 } });
    let from = 0;
    for (let count = 0; count < 6; count++) {
      await trial.sleep(100);
      from = trial.now();
      server.sendData("x");
    }
    await trial.until(() => client.bytes === 6, "the last byte");
    await endsAfter(trial, server, 500, from);
    timedOut(server, "inactivity");
  });

  engine.ruleOnStreams("inactivity counts from the write, not from the turn it was made in", async (trial) => {
    const { client, server } = await trial.pair();
    const from = await new Promise<number>((resolve) => {
      server.script.receiveData = (me) => {
        me.commInactivityTimeout = 100;
        trial.block(80);
        const now = trial.now();
        me.sendData("at last");
        resolve(now);
      };
      client.sendData("x");
    });
    await trial.until(() => server.isUnbound, "the deadline passes");
    timedOut(server, "inactivity");
    const took = server.unboundAt - from;
    assert.ok(took >= 99, `it ended ${took} ms after the write`);
  });

  engine.ruleOnStreams("on the client's side too, and set in postInit", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, {
      postInit: (me) => {
        me.commInactivityTimeout = 60;
        assert.equal(me.commInactivityTimeout, 60);
      },
    });
    await client.opened;
    await trial.allUnbound(client);
    timedOut(client, "inactivity");
  });

  engine.ruleOnStreams("setting it anew counts anew; 0 turns it off", async (trial) => {
    const { server } = await trial.pair({ listen: { commInactivityTimeout: 5_000 } });
    await trial.sleep(40);
    server.commInactivityTimeout = 100;
    const from = trial.now();
    await endsAfter(trial, server, 100, from);
    const other = await trial.pair({ listen: { commInactivityTimeout: 500 } });
    other.server.commInactivityTimeout = 0;
    await trial.sleep(600);
    assert.equal(other.server.state, "open");
  });

  engine.rule("a thousand deadlines with traffic: none passes early", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { commInactivityTimeout: 200 });
    const clients = Array.from({ length: 100 }, () => trial.dial(served));
    await Promise.all(clients.map(({ opened }) => opened));
    await served.peer(99);
    const begun = trial.now();
    const beats = trial.reactor.addPeriodicTimer(40, () => {
      for (const client of clients) client.sendData("x");
    });
    await trial.until(() => trial.now() - begun > 500, "half a second");
    beats.cancel();
    const { loopDelay } = trial.reactor.stats();
    // A machine that stood still for longer than the deadline says nothing about the deadline.
    if (loopDelay.max < 100) assert.ok(served.peers.every(({ state }) => state === "open"));
    await trial.allUnbound();
    for (const peer of served.peers) timedOut(peer, "inactivity");
  });

  engine.ruleOnStreams("first byte: passes when none comes", async (trial) => {
    const from = trial.now();
    const { client, server } = await trial.pair({ listen: { firstByteTimeout: 80 } });
    server.sendData("what we write does not matter");
    await trial.allUnbound();
    timedOut(server, "first-byte");
    assert.ok(server.unboundAt - from >= 79.5);
    assert.equal(client.kind, "peer-closed");
  });

  engine.ruleOnStreams("first byte: does not pass when one has come", async (trial) => {
    const { server } = await trial.pair({
      client: { connectionCompleted: (me) => me.sendData("x") },
      listen: { firstByteTimeout: 500 },
    });
    await trial.sleep(600);
    assert.equal(server.state, "open");
  });

  engine.ruleOnStreams("first byte: stands still while paused, and goes on from there", async (trial) => {
    const timeout = 400;
    const { client, server } = await trial.pair({
      server: {
        postInit: (me) => {
          me.pause();
          me.firstByteTimeout = timeout;
        },
      },
    });
    await trial.sleep(timeout + 100);
    assert.equal(server.state, "open", "it does not run before the connection has listened");
    const begun = trial.now();
    server.resume();
    await trial.sleep(100);
    server.pause();
    const ran = trial.now() - begun;
    await trial.sleep(timeout + 100);
    assert.equal(server.state, "open", "nor in a later pause");
    const from = trial.now();
    server.resume();
    await endsAfter(trial, server, timeout - ran, from);
    timedOut(server, "first-byte");
    client.closeConnection();
  });

  engine.ruleOnStreams("first byte: one that came in a pause is one that came", async (trial) => {
    const { client, server } = await trial.pair({
      listen: { firstByteTimeout: 100 },
      server: { postInit: (me) => me.pause() },
    });
    client.sendData("x");
    await trial.sleep(200);
    server.resume();
    await trial.until(() => server.bytes === 1, "the byte");
    await trial.sleep(200);
    assert.equal(server.state, "open");
  });

  engine.ruleOnStreams("read: what is written does not count", async (trial) => {
    const from = trial.now();
    const { server } = await trial.pair({ listen: { readTimeout: 100 } });
    const writing = trial.reactor.addPeriodicTimer(10, () => server.sendData("x"));
    await trial.allUnbound(server);
    writing.cancel();
    timedOut(server, "read");
    assert.ok(server.unboundAt - from >= 99.5);
  });

  engine.ruleOnStreams("read: each byte read counts", async (trial) => {
    const { client, server } = await trial.pair({ listen: { readTimeout: 500 } });
    let from = 0;
    for (let count = 0; count < 5; count++) {
      await trial.sleep(120);
      from = trial.now();
      client.sendData("x");
    }
    await trial.until(() => server.bytes === 5, "the last byte");
    await endsAfter(trial, server, 500, from);
    timedOut(server, "read");
  });

  engine.ruleOnStreams("read: set on a paused connection it begins when that is resumed", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    server.readTimeout = 60;
    client.sendData("x");
    await trial.sleep(200);
    assert.equal(server.state, "open");
    const from = trial.now();
    server.resume();
    await trial.allUnbound(server);
    timedOut(server, "read");
    assert.equal(server.bytes, 1);
    assert.ok(server.unboundAt - from >= 59.5);
  });

  engine.rule("what came while the loop was held up is read before a deadline is judged", async (trial) => {
    const served = await trial.serve({}, { readTimeout: 400, commInactivityTimeout: 400 });
    const { port } = served.at as { port: number };
    const peer = connect(port, "127.0.0.1");
    peer.resume();
    await once(peer, "connect");
    const server = await served.peer();
    for (const count of [1, 2]) {
      // Not inside a batch that was under way when the deadline fell due.
      await trial.sleep(1);
      peer.write("x");
      trial.block(500);
      await trial.until(() => server.bytes === count || server.isUnbound, "what the peer has sent");
      assert.equal(server.state, "open");
      assert.equal(server.bytes, count);
    }
    peer.destroy();
    await trial.allUnbound();
  });

  engine.ruleOnStreams("write: passes when output makes no progress", async (trial) => {
    const { client, server } = await trial.pair({ listen: { writeTimeout: 100 } });
    await trial.sleep(150);
    assert.equal(server.state, "open", "with nothing to write it stands still");
    client.pause();
    server.sendData(pattern(16_000_000));
    await trial.allUnbound(server);
    timedOut(server, "write");
    client.resume();
    await trial.allUnbound();
  });

  engine.ruleOnStreams(
    "write: progress counts",
    async (trial) => {
      const size = 24_000_000;
      const timeout = 1_500;
      const { client, server } = await trial.pair({
        listen: { writeTimeout: timeout },
        client: {
          keep: false,
          receiveData: (me) => {
            me.pause();
            trial.reactor.addTimer(5, () => me.resume());
          },
        },
      });
      const begun = trial.now();
      server.sendData(pattern(size));
      await trial.until(() => client.bytes === size, "all of it", 20_000);
      assert.equal(server.state, "open");
      assert.ok(trial.now() - begun > timeout, "it took longer than the deadline");
    },
    { limit: 30_000 },
  );

  engine.ruleOnStreams("write: begins with the output, not with the connection", async (trial) => {
    const { client, server } = await trial.pair({ listen: { writeTimeout: 100 } });
    await trial.sleep(80);
    client.pause();
    const from = trial.now();
    server.sendData(pattern(16_000_000));
    await trial.allUnbound(server);
    timedOut(server, "write");
    assert.ok(server.unboundAt - from >= 99);
    client.resume();
  });

  engine.ruleOnStreams(
    "write: holds for files and for what was queued before the connection was open",
    async (trial) => {
      const path = trial.path("file");
      writeFileSync(path, pattern(16_000_000));
      const served = await trial.serve({ postInit: (me) => me.pause() });
      const early = trial.dial(served, { postInit: (me) => me.sendData(pattern(16_000_000)) }, { writeTimeout: 100 });
      const late = trial.dial(served, {}, { writeTimeout: 100 });
      await late.opened;
      const sent = assert.rejects(late.sendFileData(path), { code: "ERR_EM_CLOSED" });
      await trial.allUnbound(early, late);
      await sent;
      timedOut(early, "write");
      timedOut(late, "write");
    },
  );

  engine.ruleOnStreams("lifetime: passes whatever moves", async (trial) => {
    const from = trial.now();
    const { client, server } = await trial.pair({ listen: { lifetimeTimeout: 120 } });
    const talk = trial.reactor.addPeriodicTimer(10, () => client.sendData("x"));
    await trial.allUnbound();
    talk.cancel();
    timedOut(server, "lifetime");
    assert.ok(server.unboundAt - from >= 119.5);
  });

  engine.ruleOnStreams("each counts from when it was set, whatever was set before", async (trial) => {
    const { server } = await trial.pair({ listen: { commInactivityTimeout: 10_000 } });
    await trial.sleep(200);
    const from = trial.now();
    server.firstByteTimeout = 150;
    await endsAfter(trial, server, 150, from);
    timedOut(server, "first-byte");
    const other = await trial.pair({ listen: { commInactivityTimeout: 10_000 } });
    await trial.sleep(200);
    const later = trial.now();
    other.server.lifetimeTimeout = 150;
    await endsAfter(trial, other.server, 150, later);
    timedOut(other.server, "lifetime");
  });

  engine.ruleOnStreams("what is set beside a deadline does not begin it anew", async (trial) => {
    const { client, server } = await trial.pair({ listen: { lifetimeTimeout: 10_000 } });
    const from = trial.now();
    server.commInactivityTimeout = 400;
    await trial.sleep(200);
    server.readTimeout = 10_000;
    server.writeTimeout = 10_000;
    server.lifetimeTimeout = 10_000;
    server.setWaterMarks(100_000);
    await endsAfter(trial, server, 400 - (trial.now() - from), from);
    timedOut(server, "inactivity");
    assert.ok(server.unboundAt - from >= 399.5);
    await trial.allUnbound(client);
  });

  engine.ruleOnStreams("the deadline that passes first is the reason", async (trial) => {
    const { server } = await trial.pair({
      listen: { lifetimeTimeout: 5_000, readTimeout: 60, commInactivityTimeout: 4_000, firstByteTimeout: 3_000 },
    });
    await trial.allUnbound();
    timedOut(server, "read");
  });

  engine.ruleOnStreams("all of them can be read and set on an open connection", async (trial) => {
    const { client } = await trial.pair();
    const names = [
      "commInactivityTimeout",
      "firstByteTimeout",
      "readTimeout",
      "writeTimeout",
      "lifetimeTimeout",
      "lingerTimeout",
    ] as const;
    for (const name of names) {
      client[name] = 12_345;
      assert.equal(client[name], 12_345);
      for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY, "9", undefined, null]) {
        assert.throws(
          () => {
            client[name] = wrong as number;
          },
          { name: "ArgumentError" },
        );
      }
      assert.equal(client[name], 12_345);
    }
  });

  engine.ruleOnStreams("a deadline while closing after writing leaves the linger deadline in charge", async (trial) => {
    const { client, server } = await trial.pair({
      connect: { allowHalfOpen: true },
      listen: { lingerTimeout: 120, commInactivityTimeout: 10_000 },
    });
    server.closeConnectionAfterWriting();
    await trial.allUnbound(server);
    assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: true });
    client.closeConnection();
  });
});
