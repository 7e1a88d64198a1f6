import assert from "node:assert/strict";
import { pattern } from "../support/bytes.js";
import { timedOut } from "../support/deadlines.js";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder } from "../support/recorder.js";

onEveryEngine("deadlineReached", (engine) => {
  engine.ruleOnStreams("a last word is written before a deadline ends the connection", async (trial) => {
    const text = "421 4.4.2 timeout\r\n";
    const { client, server } = await trial.pair({
      server: {
        deadlineReached: (me) => {
          me.sendData(text);
        },
      },
    });
    client.sendData("more than is read");
    server.pause();
    server.commInactivityTimeout = 60;
    await trial.allUnbound();
    timedOut(server, "inactivity");
    assert.equal(client.text, text);
    assert.equal(client.kind, "peer-closed");
    assert.equal(server.log.filter((entry) => entry.startsWith("deadlineReached")).length, 1);
  });

  engine.ruleOnStreams("a last word ends with the deadline's reason however it is closed after it", async (trial) => {
    const { client, server } = await trial.pair({
      connect: { allowHalfOpen: true },
      listen: { lingerTimeout: 80 },
      server: {
        deadlineReached: (me) => {
          me.sendData("bye");
          me.closeConnectionAfterWriting();
        },
      },
    });
    server.lifetimeTimeout = 50;
    await trial.allUnbound(server);
    timedOut(server, "lifetime");
    assert.equal(client.text, "bye");
    client.closeConnection();
  });

  engine.ruleOnStreams("a peer that reads little by little gains no time behind a deadline", async (trial) => {
    const linger = 400;
    for (const ownWord of [true, false]) {
      const { client, server } = await trial.pair({
        client: {
          keep: false,
          receiveData: (me) => {
            me.pause();
            trial.reactor.addTimer(linger / 8, () => me.resume());
          },
        },
        connect: engine.has("bufferSizes") ? { receiveBufferSize: 30_000 } : {},
        listen: { lingerTimeout: linger },
        server: {
          deadlineReached: (me) => {
            me.sendData("bye");
            if (ownWord) me.closeConnectionAfterWriting();
          },
        },
      });
      server.sendData(pattern(8_000_000));
      const from = trial.now();
      server.lifetimeTimeout = 50;
      await trial.allUnbound(server);
      timedOut(server, "lifetime");
      assert.ok(server.unboundAt - from >= 50 + linger, `it ended after ${server.unboundAt - from} ms`);
      assert.ok(server.bytesOut < 8_000_000, "it was not all taken");
      client.closeConnection();
    }
  });

  engine.rule("a deadline ends the connection where closing has no limit of its own", async (trial) => {
    const { client, server } = await trial.pair({
      connect: { allowHalfOpen: true },
      listen: { lingerTimeout: 0 },
      server: { deadlineReached: (me) => void me.sendData("bye") },
    });
    server.lifetimeTimeout = 20;
    await trial.allUnbound(server);
    timedOut(server, "lifetime");
    assert.equal(client.text, "bye");
    client.closeConnection();
  });

  engine.ruleOnStreams("true lets the deadline run anew", async (trial) => {
    let asked = 0;
    let from = 0;
    const { client, server } = await trial.pair({
      server: {
        deadlineReached: () => {
          from = trial.now();
          return ++asked < 3;
        },
      },
    });
    server.readTimeout = 60;
    await trial.until(() => server.isUnbound, "the third time ends it");
    timedOut(server, "read");
    assert.equal(asked, 3);
    assert.ok(server.unboundAt >= from);
    assert.deepEqual(
      server.log.filter((entry) => entry.startsWith("deadlineReached")),
      Array(3).fill("deadlineReached read"),
    );
    await trial.allUnbound(client);
  });

  engine.rule("each deadline that runs anew is as long as the first", async (trial) => {
    const reached: number[] = [];
    const { client, server } = await trial.pair({
      server: { deadlineReached: () => reached.push(trial.now()) < 4 },
    });
    const from = trial.now();
    server.lifetimeTimeout = 50;
    await trial.until(() => server.isUnbound, "it ends");
    for (const [index, at] of reached.entries()) {
      const took = at - (reached[index - 1] ?? from);
      assert.ok(took >= 49.5, `${index}: reached after ${took} of 50 ms`);
    }
    await trial.allUnbound(client);
  });

  engine.rule("only true goes on: a promise, 1 and an error do not", async (trial) => {
    const failure = new Error("deadlineReached failed");
    const answers: (() => unknown)[] = [() => Promise.resolve(true), () => 1, () => "true", () => undefined];
    for (const answer of answers) {
      const { client, server } = await trial.pair({ server: { deadlineReached: answer } });
      server.lifetimeTimeout = 20;
      await trial.allUnbound(client, server);
      timedOut(server, "lifetime");
    }
    const { client, server } = await trial.pair({
      server: {
        deadlineReached: () => {
          throw failure;
        },
        onError: () => true,
      },
    });
    server.lifetimeTimeout = 20;
    await trial.allUnbound(client, server);
    assert.deepEqual(server.errors, [failure]);
    timedOut(server, "lifetime");
  });

  engine.rule("what closes in the callback for a reason of its own keeps it", async (trial) => {
    const closing: [(me: Recorder) => unknown, string][] = [
      [(me) => me.closeConnection(), "local-close"],
      [(me) => me.abort(), "local-abort"],
      [
        (me) => {
          me.closeConnection();
          return true;
        },
        "local-close",
      ],
    ];
    for (const [deadlineReached, kind] of closing) {
      const { client, server } = await trial.pair({ server: { deadlineReached } });
      server.lifetimeTimeout = 20;
      await trial.allUnbound(client, server);
      assert.equal(server.kind, kind);
    }
  });
});
