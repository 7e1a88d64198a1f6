import assert from "node:assert/strict";
import { PatternCheck, pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { slowReader } from "../support/slow_reader.js";

const BIG = 16_000_000;

onEveryEngine("close", (engine) => {
  engine.ruleOnEach("closeConnection drops unsent output", async (trial, medium) => {
    const { client, server } = await trial.pair({ server: { keep: false } });
    server.pause();
    // A close with input unread is a reset, and over TLS 1.3 the session tickets are such input until they are read.
    await trial.settle();
    client.sendData(pattern(BIG));
    assert.ok(client.outboundSize > 0, "the kernel does not take it all");
    client.closeConnection();
    await trial.allUnbound(client);
    assert.deepEqual(client.reason, { kind: "local-close", lingerExpired: false });
    assert.ok(client.bytesOut < BIG, "bytesOut counts what the kernel took");
    server.resume();
    await trial.allUnbound();
    const more = server.bytes - client.bytesOut;
    // A TLS record of which the kernel had a part cannot be read.
    const least = medium === "tls" ? -16_384 : 0;
    assert.ok(more >= least && more <= 65_536, `what the kernel had is delivered, and no more: ${more}`);
  });

  engine.ruleOnEach("closeConnection drops what was sent in the same turn", async (trial) => {
    const { client, server } = await trial.pair();
    await trial.turn();
    client.sendData("never to be seen");
    client.closeConnection();
    await trial.allUnbound();
    assert.equal(server.bytes, 0);
    assert.equal(client.bytesOut, 0);
  });

  engine.ruleOnEach("closeConnectionAfterWriting sends everything", async (trial) => {
    const check = new PatternCheck();
    const { client, server } = await trial.pair({
      server: { keep: false, receiveData: (_, data) => check.take(data) },
    });
    server.pause();
    client.sendData(pattern(BIG));
    client.closeConnectionAfterWriting();
    assert.equal(client.state, "closing");
    await trial.settle();
    assert.equal(client.reasons.length, 0, "unbind comes when it is through");
    server.resume();
    await trial.allUnbound();
    assert.equal(check.count, BIG);
    assert.deepEqual(client.reason, { kind: "local-close", lingerExpired: false });
    assert.equal(server.kind, "peer-closed");
  });

  engine.ruleOnEach("closeConnection(true) is the same", async (trial) => {
    const { client, server } = await trial.pair();
    client.sendData("all of it");
    client.closeConnection(true);
    await trial.allUnbound();
    assert.equal(server.text, "all of it");
  });

  engine.ruleOnEach("unread input at our side costs the peer nothing of our output", async (trial) => {
    // Closing a socket with unread input makes the kernel reset it and throw away what it had not delivered.
    const answer = pattern(300_000);
    const { client, server } = await trial.pair();
    server.pause();
    client.pause();
    for (let count = 0; count < 20; count++) {
      client.sendData(pattern(10_000));
      await trial.turn();
    }
    await trial.settle();
    server.sendData(answer);
    server.closeConnectionAfterWriting();
    await trial.settle();
    client.sendData("and more that nobody will read");
    client.resume();
    await trial.allUnbound();
    sameBytes(client.received, answer);
    assert.equal(client.kind, "peer-closed");
    assert.equal(server.kind, "local-close");
    assert.equal(server.bytes, 0, "nothing is delivered behind a close");
  });

  engine.ruleOnEach("it reads and discards until the peer's FIN", async (trial) => {
    const { client, server } = await trial.pair({
      connect: { allowHalfOpen: true },
      listen: { lingerTimeout: 60_000 },
    });
    server.sendData("bye");
    server.closeConnectionAfterWriting();
    await trial.until(() => client.ends === 1, "the FIN");
    // The peer takes its time, and talks on.
    for (let count = 0; count < 20; count++) {
      client.sendData(pattern(100_000));
      await trial.sleep(2);
    }
    assert.equal(server.state, "closing");
    client.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(client.kind, "local-close");
    assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: false });
    assert.equal(server.bytes, 0);
  });

  engine.ruleOnEach("the linger deadline ends the wait for the peer's FIN", async (trial) => {
    const { client, server } = await trial.pair({
      connect: { allowHalfOpen: true },
      listen: { lingerTimeout: 60 },
    });
    const begun = trial.now();
    server.closeConnectionAfterWriting();
    await trial.allUnbound(server);
    assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: true });
    assert.ok(server.unboundAt - begun >= 60, "not before its time");
    await trial.until(() => client.ends === 1, "the FIN that went before");
    client.closeConnection();
  });

  engine.ruleOnEach("the linger deadline ends the wait for a peer that does not read", async (trial) => {
    const { client, server } = await trial.pair({ listen: { lingerTimeout: 60 } });
    client.pause();
    server.sendData(pattern(BIG));
    server.closeConnectionAfterWriting();
    await trial.allUnbound(server);
    assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: true });
    client.closeConnection();
  });

  engine.ruleOnEach("a slow reader that makes progress is not cut off by the linger deadline", async (trial) => {
    const size = 64_000_000;
    const linger = 2_400;
    const { client, server } = await trial.pair({ listen: { lingerTimeout: linger }, client: { keep: false } });
    const begun = trial.now();
    server.sendData(pattern(size));
    server.closeConnectionAfterWriting();
    await slowReader(trial, client, () => server.bytesOut, linger + 200);
    assert.equal(server.state, "closing");
    await trial.allUnbound();
    assert.equal(client.bytes, size);
    assert.equal(client.kind, "peer-closed");
    assert.equal(server.kind, "local-close");
    assert.ok(client.unboundAt - begun > linger, "it took longer than the deadline");
  });

  engine.ruleOnEach("the linger deadline counts from the last byte that left", async (trial) => {
    const linger = 600;
    const { client, server } = await trial.pair({
      connect: { allowHalfOpen: true },
      listen: { lingerTimeout: linger },
      client: { keep: false },
    });
    client.pause();
    server.sendData(pattern(BIG));
    assert.ok(server.outboundSize > 0, "the kernel does not take it all");
    server.closeConnectionAfterWriting();
    const begun = trial.now();
    await trial.sleep(linger * 0.75);
    assert.equal(server.state, "closing");
    client.resume();
    await trial.until(() => client.ends === 1, "all of it");
    // The peer takes its time for its own FIN: it comes when the deadline counted from the call has passed.
    await trial.sleep(linger / 2);
    assert.ok(trial.now() - begun > linger);
    client.closeConnection();
    await trial.allUnbound();
    assert.equal(client.bytes, BIG);
    assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: false });
  });

  engine.ruleOnStreams(
    "the linger deadline counts from what the peer takes, where the engine can tell",
    async (trial) => {
      if (!engine.has("acknowledgement")) return;
      const linger = 400;
      const size = 1_000_000;
      const { client, server } = await trial.pair({
        connect: { receiveBufferSize: 30_000 },
        listen: { lingerTimeout: linger },
        client: {
          keep: false,
          receiveData: (me) => {
            me.pause();
            trial.reactor.addTimer(linger / 8, () => me.resume());
          },
        },
      });
      server.sendData(pattern(size));
      server.closeConnectionAfterWriting();
      await trial.until(() => server.bytesOut === size, "all is with the kernel");
      const left = trial.now();
      await trial.allUnbound();
      assert.equal(client.bytes, size);
      assert.ok(client.unboundAt - left > 1.5 * linger, `only ${client.unboundAt - left} ms passed behind it`);
      assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: false });
    },
  );

  engine.ruleOnEach("a linger deadline set meanwhile counts from then; 0 is for ever", async (trial) => {
    const { client, server } = await trial.pair({
      connect: { allowHalfOpen: true },
      listen: { lingerTimeout: 80 },
    });
    server.closeConnectionAfterWriting();
    server.lingerTimeout = 0;
    await trial.sleep(200);
    assert.equal(server.state, "closing");
    const from = trial.now();
    server.lingerTimeout = 100;
    await trial.allUnbound(server);
    assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: true });
    assert.ok(server.unboundAt - from >= 99.5, `it ended after ${server.unboundAt - from} ms`);
    server.lingerTimeout = 1;
    await trial.settle();
    assert.equal(server.reasons.length, 1);
    client.closeConnection();
  });

  engine.ruleOnStreams("abort resets: the peer learns of it, unsent output is gone", async (trial) => {
    const { client, server } = await trial.pair({ server: { keep: false } });
    server.pause();
    client.sendData(pattern(BIG));
    client.abort();
    assert.equal(client.state, "closing");
    await trial.allUnbound(client);
    assert.deepEqual(client.reason, { kind: "local-abort" });
    server.resume();
    await trial.allUnbound();
    assert.ok(server.bytes < BIG);
    // Where a reset is not noticed at once, one behind unread bytes can look like a FIN.
    if (engine.has("promptReset")) assert.equal(server.kind, "peer-reset");
    else assert.match(server.kind ?? "", /^peer-(closed|reset)$/);
  });

  engine.ruleOnStreams(
    "abort on a Unix socket ends it; the peer sees a reset of what it sent and nobody read",
    async (trial) => {
      const { client, server } = await trial.over("unix").pair();
      server.pause();
      client.sendData("never to be read");
      await trial.settle();
      server.abort();
      await trial.allUnbound();
      assert.deepEqual(server.reason, { kind: "local-abort" });
      if (engine.has("abortUnix")) assert.equal(client.kind, "peer-reset");
      else assert.match(client.kind ?? "", /^peer-(closed|reset)$/);
    },
  );

  engine.rule("abort on a Unix socket with nothing unread is an end to the peer", async (trial) => {
    const { client, server } = await trial.over("unix").pair();
    client.sendData("x");
    await trial.until(() => server.bytes === 1, "open both ways");
    client.abort();
    await trial.allUnbound();
    assert.deepEqual(client.reason, { kind: "local-abort" });
    assert.match(server.kind ?? "", /^peer-(closed|reset)$/);
  });

  engine.ruleOnEach("a close meanwhile closes at once", async (trial) => {
    const { client, server } = await trial.pair({ server: { keep: false } });
    server.pause();
    client.sendData(pattern(BIG));
    client.closeConnectionAfterWriting();
    await trial.turn();
    client.closeConnection();
    assert.equal(client.reasons.length, 0, "not inside the call");
    await trial.allUnbound(client);
    assert.deepEqual(client.reason, { kind: "local-close", lingerExpired: false });
    server.resume();
    await trial.allUnbound();
    assert.ok(server.bytes < BIG);
  });

  engine.ruleOnEach("an abort meanwhile aborts", async (trial) => {
    const { client, server } = await trial.pair({ server: { keep: false } });
    server.pause();
    client.sendData(pattern(BIG));
    client.closeConnectionAfterWriting();
    client.abort();
    await trial.allUnbound(client);
    assert.deepEqual(client.reason, { kind: "local-abort" });
    server.resume();
    await trial.allUnbound();
  });

  engine.ruleOnEach("the first close is the reason, whatever is called behind it", async (trial) => {
    const { client } = await trial.pair();
    client.closeConnection();
    client.abort();
    client.closeConnectionAfterWriting();
    client.halfClose();
    await trial.allUnbound();
    assert.deepEqual(client.reason, { kind: "local-close", lingerExpired: false });
  });

  for (const close of ["closeConnection", "closeConnectionAfterWriting", "abort"] as const) {
    engine.ruleOnEach(`behind ${close} receiveData never comes again`, async (trial) => {
      const { client, server } = await trial.pair({
        client: { postInit: (me) => me.setWaterMarks(1_000_000) },
        server: {
          keep: false,
          receiveData: (me) => {
            me[close]();
            assert.equal(me.sendData("to nobody"), false);
          },
        },
      });
      const flood = trial.reactor.addPeriodicTimer(0, () => client.sendData(pattern(100_000)));
      await trial.allUnbound();
      flood.cancel();
      assert.equal(server.log.filter((entry) => entry === "receiveData").length, 1);
    });
  }

  engine.ruleOnEach(
    "data on the way when a connection is closed outside of its callbacks does not come",
    async (trial) => {
      const { client, server } = await trial.pair();
      client.sendData(pattern(50_000));
      await trial.turn();
      const before = server.bytes;
      server.closeConnection();
      await trial.allUnbound();
      assert.equal(server.bytes, before);
    },
  );

  engine.ruleOnEach("a closed connection's outboundSize is nothing, its calls are harmless", async (trial) => {
    const { client } = await trial.pair();
    client.closeConnection();
    await trial.allUnbound();
    assert.equal(client.sendData("x"), false);
    assert.equal(client.outboundSize, 0);
    client.pause();
    assert.equal(client.isPaused, false);
    client.resume();
    client.halfClose();
    client.abort();
    client.closeConnection();
    client.closeConnectionAfterWriting();
    await trial.settle();
    assert.equal(client.reasons.length, 1);
  });

  engine.ruleOnStreams("a reset while lingering is told", async (trial) => {
    const { client, server } = await trial.pair({ connect: { allowHalfOpen: true } });
    server.closeConnectionAfterWriting();
    await trial.until(() => client.ends === 1, "the FIN");
    client.abort();
    await trial.allUnbound();
    assert.equal(server.kind, "peer-reset");
  });

  engine.ruleOnEach("both sides close after writing at once, and nothing is lost", async (trial) => {
    const { client, server } = await trial.pair();
    client.sendData("from the client");
    server.sendData("from the server");
    client.closeConnectionAfterWriting();
    server.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.deepEqual([client.bytes, server.bytes], [0, 0], "closing connections deliver nothing");
    for (const each of [client, server]) assert.equal(each.kind, "local-close");
  });

  engine.ruleOnEach("closing paused connections works in every way", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    client.sendData("held");
    await trial.settle(5);
    server.closeConnectionAfterWriting();
    client.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(server.bytes, 0);
    assert.equal(server.kind, "local-close");
  });

  engine.ruleOnEach("many short connections: whoever closes, every byte arrives", async (trial) => {
    const served = await trial.serve({
      receiveData: (me, data) => {
        me.sendData(data);
        if (data.includes(".")) me.closeConnectionAfterWriting();
      },
    });
    const clients = Array.from({ length: 200 }, (_, at) =>
      trial.dial(served, { connectionCompleted: (me) => me.sendData(`message ${at}.`) }),
    );
    await trial.allUnbound(...clients);
    for (const [at, client] of clients.entries()) {
      assert.equal(client.text, `message ${at}.`);
      assert.equal(client.kind, "peer-closed");
    }
  });
});
