import assert from "node:assert/strict";
import { LimitError } from "eventmachine";
import { PatternCheck, pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder, Script } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

const BIG = 16_000_000;
const KiB = 1024;

/** Sends until it is told to stop; returns how much that was. The peer must be paused. */
function fill(connection: Recorder, piece = 16 * KiB): number {
  for (let sent = 0; sent < 64_000 * KiB; sent += piece) {
    if (!connection.sendData(pattern(piece, sent))) return sent + piece;
  }
  throw new Error("sendData never returned false");
}

/** The same over several turns, until a whole turn changes nothing: what the kernel takes is full then. */
async function fillUp(trial: Trial, connection: Recorder): Promise<void> {
  for (let idle = 0; idle < 5; ) {
    const before = connection.bytesOut;
    if (connection.outboundSize < connection.highWaterMark) connection.sendData(pattern(64 * KiB));
    await trial.sleep(2);
    idle = connection.bytesOut === before ? idle + 1 : 0;
  }
}

onEveryEngine("flow", (engine) => {
  engine.ruleOnEach("sendData returns false at the high-water mark, then one drained follows", async (trial) => {
    const seen: number[] = [];
    const { client, server } = await trial.pair({
      client: { drained: (me) => seen.push(me.outboundSize) },
      server: { keep: false },
    });
    server.pause();
    assert.equal(client.sendData("a little"), true);
    // Until the kernel takes no more: what is sent under TLS may leave in a later turn only.
    let sent = 0;
    do {
      sent += fill(client);
      assert.ok(client.outboundSize >= client.highWaterMark);
      await trial.settle();
    } while (client.outboundSize < client.lowWaterMark);
    const before = client.drains;
    assert.equal(client.sendData("more"), false, "it stays false");
    await trial.settle();
    // The kernel may take a little more at any time.
    if (client.outboundSize > client.lowWaterMark) assert.equal(client.drains, before, "nothing drains above the mark");
    server.resume();
    await trial.until(() => server.bytes === sent + 12, "all of it arrives");
    await trial.settle();
    assert.equal(client.drains, before + 1, "once");
    assert.ok((seen.at(-1) as number) <= client.lowWaterMark, `at ${seen.at(-1)} bytes`);
  });

  engine.ruleOnEach("each time it returned false, one drained", async (trial) => {
    const rounds = 5;
    const check = new PatternCheck();
    let sent = 0;
    const produce = (me: Recorder) => {
      while (me.drains < rounds) {
        sent += 10_000;
        if (!me.sendData(pattern(10_000, sent - 10_000))) return;
      }
    };
    const { client, server } = await trial.pair({
      client: { connectionCompleted: produce, drained: produce },
      server: { keep: false, receiveData: (_, data) => check.take(data) },
    });
    // Both ends: what has left one is in the kernel's hands for as long as the other takes to read it.
    await trial.until(() => client.drains === rounds && client.outboundSize === 0, "every round");
    await trial.until(() => server.bytes === sent, "all of it arrives");
    await trial.settle();
    assert.equal(client.drains, rounds);
    assert.equal(check.count, sent);
    assert.equal(server.bytes, sent);
  });

  engine.ruleOnStreams("no drained where sendData never returned false", async (trial) => {
    const { client, server } = await trial.pair();
    for (let count = 0; count < 100; count++) assert.equal(client.sendData("x"), true);
    await trial.until(() => server.bytes === 100, "all arrive");
    await trial.settle();
    assert.equal(client.drains, 0);
  });

  engine.ruleOnStreams("drained comes in a later turn, even where the kernel takes all at once", async (trial) => {
    const { client, server } = await trial.pair({ connect: { highWaterMark: 1, lowWaterMark: 0 } });
    for (let count = 1; count <= 20; count++) {
      const went = client.sendData("small");
      assert.equal(client.drains, count - 1, "not inside the call");
      assert.equal(went, false);
      await trial.until(() => client.drains === count, "drained");
    }
    await trial.until(() => server.bytes === 100, "all arrive");
    assert.equal(client.drains, 20);
  });

  engine.ruleOnEach("no drained behind unbind, nor once a connection closes", async (trial) => {
    const { client, server } = await trial.pair({ server: { keep: false } });
    server.pause();
    fill(client);
    client.closeConnectionAfterWriting();
    server.resume();
    await trial.allUnbound();
    await trial.settle();
    assert.equal(client.drains, 0);
  });

  engine.ruleOnStreams("what is sent while connecting counts, and drained follows when it is out", async (trial) => {
    const served = await trial.serve({ keep: false });
    const client = trial.dial(served, {
      postInit: (me) => {
        assert.equal(me.sendData(pattern(60_000)), true);
        assert.equal(me.sendData(pattern(60_000, 60_000)), false);
        assert.equal(me.outboundSize, 120_000);
      },
    });
    const server = await served.peer();
    await trial.until(() => server.bytes === 120_000 && client.drains === 1, "drained");
    assert.deepEqual(client.order, ["postInit", "connectionCompleted", "drained"]);
    await trial.settle();
    assert.equal(client.drains, 1);
  });

  engine.ruleOnEach("the marks can be set, also on an open connection", async (trial) => {
    const { client, server } = await trial.pair({ server: { keep: false } });
    server.pause();
    await fillUp(trial, client);
    const before = client.outboundSize;
    client.setWaterMarks(before + 200_000, 50_000);
    assert.equal(client.sendData(pattern(1000)), true, "below the new mark");
    assert.equal(client.sendData(pattern(300_000)), false, "above it");
    const drains = client.drains;
    const seen: number[] = [];
    client.script.drained = (me) => seen.push(me.outboundSize);
    server.resume();
    await trial.until(() => client.drains > drains, "drained");
    assert.ok((seen[0] as number) <= 50_000);
  });

  engine.ruleOnStreams("setWaterMarks takes a quarter for the lower mark, and refuses nonsense", async (trial) => {
    const { client } = await trial.pair();
    client.setWaterMarks(1000);
    assert.deepEqual([client.highWaterMark, client.lowWaterMark], [1000, 250]);
    for (const [high, low] of [
      [0, 0],
      [10, 11],
      [-1, 0],
      [Number.NaN, 0],
      [1.5, 0],
      [10, -1],
    ] as const) {
      assert.throws(() => client.setWaterMarks(high, low), { name: "ArgumentError" });
    }
    assert.deepEqual([client.highWaterMark, client.lowWaterMark], [1000, 250]);
  });

  // Limits -------------------------------------------------------------------------------------------------------

  engine.ruleOnEach("above the outbound limit the next sendData closes the connection", async (trial) => {
    const { client, server } = await trial.pair({ connect: { outboundLimit: 200_000 } });
    server.pause();
    await fillUp(trial, client);
    client.sendData(pattern(400_000));
    assert.equal(client.state, "open", "below the limit any size is taken");
    assert.ok(client.outboundSize > 200_000);
    assert.equal(client.sendData("one more"), false);
    assert.equal(client.state, "closing");
    assert.equal(client.reasons.length, 0, "not inside the call");
    await trial.allUnbound(client);
    assert.equal(client.kind, "outbound-limit");
    const { error } = client.reason as { error: LimitError };
    assert.ok(error instanceof LimitError);
    assert.deepEqual([error.code, error.limit], ["ERR_EM_OUTBOUND_LIMIT", 200_000]);
  });

  engine.ruleOnEach("one write of any size is taken below the limit, and arrives", async (trial) => {
    const check = new PatternCheck();
    const { client } = await trial.pair({
      connect: { outboundLimit: 1000 },
      server: { keep: false, receiveData: (_, data) => check.take(data) },
    });
    client.sendData(pattern(BIG));
    await trial.until(() => check.count === BIG, "all of it");
    assert.equal(client.state, "open");
  });

  engine.ruleOnStreams("the limit holds while connecting too", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(
      served,
      {
        postInit: (me) => {
          me.sendData(pattern(101));
          assert.equal(me.sendData("x"), false);
        },
      },
      { outboundLimit: 100 },
    );
    await trial.allUnbound(client);
    assert.equal(client.kind, "outbound-limit");
  });

  engine.ruleOnStreams("outboundLimit can be set on an open connection", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    await fillUp(trial, client);
    client.outboundLimit = client.outboundSize - 1;
    client.sendData("x");
    await trial.allUnbound(client);
    assert.equal(client.kind, "outbound-limit");
  });

  engine.ruleOnStreams(
    "above the reactor's limit the largest queues close, and only they",
    async (trial) => {
      const served = await trial.serve({ postInit: (me) => me.pause() });
      const sizes = [100_000, 1_500_000, 200_000, 300_000];
      const clients = sizes.map((_, at) => trial.dial(served, { name: `client ${at}` }));
      await Promise.all(clients.map(({ opened }) => opened));
      await served.peer(3);
      for (const client of clients) await fillUp(trial, client);
      for (const [at, client] of clients.entries()) client.sendData(pattern(sizes[at] as number));
      await trial.settle();
      const states = () => clients.map(({ state }) => state).join(" ");
      assert.equal(states(), "open open open open");
      const [first, largest] = clients as [Recorder, Recorder];
      const fillToLimit = () => {
        const total = clients.reduce((sum, { outboundSize }) => sum + outboundSize, 0);
        first.sendData(pattern(3_000_000 - total));
      };
      fillToLimit();
      await trial.settle();
      assert.equal(states(), "open open open open", "just at the limit");
      // The kernel may have taken a little more meanwhile.
      fillToLimit();
      first.sendData("and over it");
      assert.equal(largest.reasons.length, 0, "not inside the call");
      await trial.allUnbound(largest);
      await trial.settle();
      assert.equal(states(), "open closed open open");
      assert.equal(largest.kind, "outbound-limit");
      const { error } = largest.reason as { error: LimitError };
      assert.deepEqual([error.code, error.limit], ["ERR_EM_OUTBOUND_LIMIT", 3_000_000]);
    },
    { reactor: { outboundLimit: 3_000_000 } },
  );

  // Pausing ------------------------------------------------------------------------------------------------------

  engine.ruleOnEach("pause acts at once, also inside receiveData, and nothing is lost", async (trial) => {
    const size = 4_000_000;
    const check = new PatternCheck();
    const { client, server } = await trial.pair({
      server: {
        keep: false,
        receiveData: (me, data) => {
          check.take(data);
          me.pause();
          assert.equal(me.isPaused, true);
          trial.reactor.nextTick(() => me.resume());
        },
      },
    });
    client.sendData(pattern(size));
    await trial.until(() => check.count === size, "all of it");
    assert.equal(server.state, "open");
  });

  engine.ruleOnEach("while paused nothing comes, however much is sent, and the sender is told", async (trial) => {
    const { client, server } = await trial.pair({ server: { keep: false } });
    server.pause();
    await fillUp(trial, client);
    assert.equal(server.bytes, 0);
    assert.ok(client.outboundSize > 0, "what is not read stays with the sender");
    server.resume();
    assert.equal(server.bytes, 0, "resume delivers in a later turn");
    await trial.until(() => client.outboundSize === 0 && server.bytes === client.bytesOut, "all of it");
  });

  engine.ruleOnEach("pause stops the reading direction only", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    client.sendData("unread");
    server.sendData("sent while paused");
    await trial.until(() => client.text === "sent while paused", "output goes on");
    assert.equal(server.bytes, 0);
    server.resume();
    await trial.until(() => server.text === "unread", "input goes on");
  });

  engine.ruleOnEach("a connection may be paused from postInit on", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.sendData("hello") });
    const client = trial.dial(served, { postInit: (me) => me.pause() });
    assert.equal(client.isPaused, true);
    await client.opened;
    await trial.settle();
    assert.equal(client.bytes, 0);
    client.resume();
    await trial.until(() => client.text === "hello", "what waited comes");
  });

  engine.ruleOnEach("an accepted connection may be paused in postInit", async (trial) => {
    const { client, server } = await trial.pair({
      client: { connectionCompleted: (me) => me.sendData("hello") },
      server: { postInit: (me) => me.pause() },
    });
    await trial.settle();
    assert.equal(server.bytes, 0);
    server.resume();
    await trial.until(() => server.text === "hello", "what waited comes");
    assert.equal(client.state, "open");
  });

  engine.ruleOnEach("pausing twice needs one resume; resuming a reading connection does nothing", async (trial) => {
    const { client, server } = await trial.pair();
    server.resume();
    assert.equal(server.isPaused, false);
    server.pause();
    server.pause();
    server.resume();
    client.sendData("x");
    await trial.until(() => server.bytes === 1, "it reads");
  });

  engine.ruleOnEach("pause and resume inside one callback deliver nothing inside it", async (trial) => {
    let inside = false;
    const { client, server } = await trial.pair({
      server: {
        receiveData: (me) => {
          assert.equal(inside, false);
          inside = true;
          me.pause();
          me.resume();
          me.pause();
          me.resume();
          inside = false;
        },
      },
    });
    const all = pattern(1_000_000);
    client.sendData(all);
    await trial.until(() => server.bytes === all.length, "all of it");
    sameBytes(server.received, all);
  });

  engine.ruleOnEach("the peer's FIN waits behind held bytes", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    client.sendData(pattern(100_000));
    client.closeConnectionAfterWriting();
    await trial.settle();
    assert.deepEqual(server.log, ["postInit"]);
    assert.equal(server.state, "open");
    server.resume();
    await trial.allUnbound();
    sameBytes(server.received, pattern(100_000));
    assert.deepEqual(server.order, ["postInit", "receiveData", "unbind peer-closed"]);
  });

  engine.ruleOnEach("pausing again before the held bytes are through holds the rest and the FIN", async (trial) => {
    const { client, server } = await trial.pair({ server: { receiveData: (me) => me.pause() } });
    server.pause();
    client.sendData(pattern(300_000));
    client.closeConnectionAfterWriting();
    await trial.settle();
    let resumed = 0;
    while (server.bytes < 300_000) {
      const before = server.bytes;
      server.resume();
      resumed++;
      await trial.until(() => server.bytes > before, "one more chunk");
      assert.equal(server.isPaused, true);
    }
    await trial.settle();
    assert.equal(server.reasons.length, 0, "the FIN is held too");
    assert.ok(resumed > 1);
    server.resume();
    await trial.allUnbound();
    sameBytes(server.received, pattern(300_000));
    assert.equal(server.kind, "peer-closed");
  });

  engine.ruleOnEach("held bytes come, even if it was resumed and paused again before they could", async (trial) => {
    let first: Recorder | undefined;
    const other = () => (first === one.server ? another.server : one.server);
    const server: Script = {
      receiveData: (me) => {
        if (first !== undefined) return;
        first = me;
        // What has come for the other one in the same batch is held back.
        other().pause();
        trial.reactor.nextTick(() => {
          other().resume();
          other().pause();
        });
      },
    };
    const one = await trial.pair({ server });
    const another = await trial.pair({ server });
    one.client.sendData("for one");
    another.client.sendData("for another");
    await trial.until(() => first !== undefined, "one of them is read");
    await trial.settle();
    assert.equal(other().text, "");
    other().resume();
    await trial.until(() => other().text.startsWith("for "), "the held bytes come");
  });

  engine.ruleOnEach("a local close drops held bytes", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    client.sendData("held");
    await trial.settle();
    server.resume();
    server.closeConnection();
    await trial.allUnbound();
    assert.equal(server.bytes, 0);
    assert.equal(server.kind, "local-close");
  });

  engine.ruleOnStreams(
    "a reset ends a paused connection, at the latest when it reads or writes again",
    async (trial) => {
      const { client, server } = await trial.pair();
      server.pause();
      await trial.turn();
      client.abort();
      await trial.settle();
      if (!engine.has("promptReset") && !server.isUnbound) server.resume();
      await trial.allUnbound();
      assert.equal(server.kind, "peer-reset");
    },
  );

  engine.ruleOnEach("a deadline ends a paused connection at its time", async (trial) => {
    const { client, server } = await trial.pair();
    server.commInactivityTimeout = 60;
    server.pause();
    client.sendData("held");
    await trial.allUnbound();
    assert.equal(server.kind, "timeout");
    assert.equal(server.bytes, 0);
  });

  engine.ruleOnEach("the read deadline stands still while paused", async (trial) => {
    const { client, server } = await trial.pair();
    server.readTimeout = 500;
    server.pause();
    await trial.sleep(700);
    assert.equal(server.state, "open");
    const resumed = trial.now();
    server.resume();
    await trial.allUnbound();
    assert.deepEqual([server.kind, (server.reason as { deadline: string }).deadline], ["timeout", "read"]);
    const ran = server.unboundAt - resumed;
    assert.ok(ran >= 450, `${ran} ms behind resume: what was left of it`);
    assert.equal(client.kind, "peer-closed");
  });

  // Fairness -----------------------------------------------------------------------------------------------------

  engine.ruleOnStreams("a flood on one connection does not keep another waiting", async (trial) => {
    const flooded = await trial.pair({ server: { keep: false } });
    const quiet = await trial.pair({ server: { receiveData: (me, data) => me.sendData(data) } });
    const total = 64_000_000;
    const flood = (me: Recorder) => {
      while (me.bytesOut + me.outboundSize < total && me.sendData(pattern(256 * KiB)));
    };
    flooded.client.script.drained = flood;
    flood(flooded.client);
    await trial.until(() => flooded.server.bytes > 0, "the flood begins");
    for (let count = 1; count <= 5; count++) {
      quiet.client.sendData("x");
      await trial.until(() => quiet.client.bytes === count, "the echo");
    }
    assert.ok(flooded.server.bytes < total, `answered at ${flooded.server.bytes} of ${total} bytes of flood`);
  });
});
