import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import type { ConnectOptions, DeadlineName, ServerOptions } from "eventmachine";
import { pattern } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder, Script } from "../support/recorder.js";
import { slowReader } from "../support/slow_reader.js";
import type { Trial } from "../support/trial.js";

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
  trial.reactor.addTimer(Math.max(0, ms + slack(ms)), () => {
    stood = recorder.state;
  });
  await trial.until(() => stood !== undefined && recorder.isUnbound, "the deadline passes");
  assert.notEqual(stood, "open", "still open when the deadline and its slack have passed");
  notBefore(recorder, ms, from);
}

function notBefore(recorder: Recorder, ms: number, from: number): void {
  const took = recorder.unboundAt - from;
  assert.ok(took >= ms - 0.5, `it ended after ${took} of ${ms} ms`);
}

interface Ends {
  client: Recorder;
  server: Recorder;
}

interface EndsOptions {
  client?: Script;
  server?: Script;
  connect?: ConnectOptions;
  listen?: ServerOptions;
}

/**
 * Two ends of a connection whose server may have a short deadline. Unlike `pair` it does not insist that they are secured:
 * on a machine that stands still for long enough the deadline passes within the handshake, and rightly so.
 */
async function meet(trial: Trial, options: EndsOptions = {}): Promise<Ends> {
  const served = await trial.serve(options.server, options.listen);
  const client = trial.dial(served, options.client, options.connect);
  return { client, server: await served.peer() };
}

/** Nothing moves any more that opening the connection has set in motion. */
async function hasOpened(trial: Trial, { client, server }: Ends): Promise<void> {
  const settled = (each: Recorder) => each.isUnbound || (each.state !== "connecting" && each.isSecure === wantsTls);
  const wantsTls = trial.clientTls.tls !== undefined;
  await trial.until(() => settled(client) && settled(server), "both are open");
}

/** The client has seen its server end, within the handshake or behind it. */
function sawEnd(trial: Trial, { client }: Ends): void {
  const isOpened = trial.clientTls.tls === undefined || client.handshakes === 1;
  assert.equal(client.kind, isOpened ? "peer-closed" : "tls-error");
}

/**
 * Sends a byte every so often, `times` in all, and returns when the last one that arrived was sent: `begun` where none did.
 * A machine that stands still for longer than the deadline ends the connection in between: that is the end the caller
 * waits for.
 */
async function beats(
  trial: Trial,
  { from, to, begun }: { from: Recorder; to: Recorder; begun: number },
  times: number,
  every: number,
): Promise<number> {
  let last = begun;
  for (let count = 1; count <= times; count++) {
    await trial.sleep(every);
    const sent = trial.now();
    from.sendData("x");
    await trial.until(() => to.bytes === count || from.isUnbound || to.isUnbound, `byte ${count}`);
    if (to.bytes < count) break;
    last = sent;
  }
  return last;
}

/** A connection accepted from a plain socket, whose writes are with the kernel when they return. */
async function withPlainPeer(trial: Trial, script: Script = {}): Promise<{ peer: Socket; server: Recorder }> {
  const served = await trial.serve(script);
  const { port } = served.at as { port: number };
  const peer = connect(port, "127.0.0.1");
  peer.on("error", () => {});
  peer.resume();
  await once(peer, "connect");
  return { peer, server: await served.peer() };
}

onEveryEngine("deadlines", (engine) => {
  engine.ruleOnEach("inactivity ends a connection at its time when nothing ever moves", async (trial) => {
    const from = trial.now();
    const ends = await meet(trial, { listen: { commInactivityTimeout: 150 } });
    await hasOpened(trial, ends);
    await endsAfter(trial, ends.server, 150, from);
    timedOut(ends.server, "inactivity");
    await trial.allUnbound();
    sawEnd(trial, ends);
  });

  engine.ruleOnEach("inactivity counts from the last byte read", async (trial) => {
    const { client, server } = await trial.pair();
    const begun = trial.now();
    server.commInactivityTimeout = 500;
    const last = await beats(trial, { from: client, to: server, begun }, 6, 100);
    await endsAfter(trial, server, 500, last);
    timedOut(server, "inactivity");
  });

  engine.ruleOnEach("inactivity counts from the last byte written", async (trial) => {
    const { client, server } = await trial.pair();
    const begun = trial.now();
    server.commInactivityTimeout = 500;
    const last = await beats(trial, { from: server, to: client, begun }, 6, 100);
    await trial.until(() => server.outboundSize === 0, "it is written");
    await endsAfter(trial, server, 500, last);
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
    const other = await trial.pair({ listen: { commInactivityTimeout: 5_000 } });
    other.server.commInactivityTimeout = 100;
    other.server.commInactivityTimeout = 0;
    await trial.sleep(150);
    assert.equal(other.server.state, "open");
  });

  engine.rule("a hundred deadlines with traffic: none passes early", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { commInactivityTimeout: 200 });
    const clients = Array.from({ length: 100 }, () => trial.dial(served));
    const sent: number[] = [];
    const beat = () => {
      sent.push(trial.now());
      for (const client of clients) client.sendData("x");
    };
    beat();
    const timer = trial.reactor.addPeriodicTimer(40, beat);
    await served.peer(99);
    await trial.until(() => sent.length > 12, "half a second");
    timer.cancel();
    await trial.allUnbound();
    for (const peer of served.peers) {
      timedOut(peer, "inactivity");
      notBefore(peer, 200, sent[peer.bytes - 1] ?? 0);
    }
  });

  engine.ruleOnStreams("first byte: passes when none comes", async (trial) => {
    const from = trial.now();
    const ends = await meet(trial, {
      server: { postInit: (me) => me.sendData("what we write does not matter") },
      listen: { firstByteTimeout: 80 },
    });
    await trial.allUnbound();
    timedOut(ends.server, "first-byte");
    notBefore(ends.server, 80, from);
    sawEnd(trial, ends);
  });

  engine.ruleOnStreams("first byte: does not pass when one has come", async (trial) => {
    const { client, server } = await trial.pair();
    server.firstByteTimeout = 400;
    client.sendData("x");
    await trial.until(() => server.bytes === 1, "the first byte");
    await trial.sleep(450);
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
    // In one go: where the machine stood still in between it would run out, and rightly so.
    trial.block(100);
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
    const { server } = await meet(trial, { listen: { readTimeout: 100 } });
    const writing = trial.reactor.addPeriodicTimer(10, () => server.sendData("x"));
    await trial.allUnbound(server);
    writing.cancel();
    timedOut(server, "read");
    notBefore(server, 100, from);
  });

  engine.ruleOnStreams("read: each byte read counts", async (trial) => {
    const { client, server } = await trial.pair();
    const begun = trial.now();
    server.readTimeout = 500;
    const last = await beats(trial, { from: client, to: server, begun }, 5, 120);
    await endsAfter(trial, server, 500, last);
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
    notBefore(server, 60, from);
  });

  engine.rule("what came while the loop was held up is read before a deadline is judged", async (trial) => {
    const { peer, server } = await withPlainPeer(trial, {
      receiveData: (me) => {
        me.readTimeout = 0;
        me.commInactivityTimeout = 0;
      },
    });
    for (const count of [1, 2]) {
      // Not inside a batch that was under way when the deadline fell due.
      await trial.sleep(1);
      server.readTimeout = 100;
      server.commInactivityTimeout = 100;
      peer.write("x");
      trial.block(150);
      await trial.until(() => server.bytes === count || server.isUnbound, "what the peer has sent");
      assert.equal(server.state, "open");
      assert.equal(server.bytes, count);
    }
    peer.destroy();
    await trial.allUnbound();
  });

  engine.rule("and so is what came while the handler of another connection held it up", async (trial) => {
    const { peer, server } = await withPlainPeer(trial);
    const busy = await withPlainPeer(trial, {
      receiveData: (me) => {
        server.commInactivityTimeout = 30;
        peer.write("x");
        trial.block(60);
        me.closeConnection();
      },
    });
    // A timer that is due when the loop comes to look at its sockets, so that deadlines are judged in that very turn.
    await trial.sleep(1);
    trial.reactor.addTimer(1, () => {});
    busy.peer.write("x");
    trial.block(5);
    await trial.until(() => server.bytes === 1 || server.isUnbound, "what the peer has sent");
    assert.equal(server.state, "open");
    peer.destroy();
    await trial.allUnbound();
  });

  engine.rule("a first byte that came while the loop was held up is the first byte", async (trial) => {
    const { peer, server } = await withPlainPeer(trial);
    await trial.sleep(1);
    server.firstByteTimeout = 50;
    peer.write("x");
    trial.block(80);
    await trial.until(() => server.bytes === 1 || server.isUnbound, "the byte");
    assert.equal(server.state, "open");
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

  engine.ruleOnStreams("write: progress counts", async (trial) => {
    const timeout = 2_400;
    const size = 64_000_000;
    const { client, server } = await trial.pair({ client: { keep: false } });
    server.writeTimeout = timeout;
    const begun = trial.now();
    server.sendData(pattern(size));
    await slowReader(trial, client, () => server.bytesOut, 2_600);
    assert.ok(trial.now() - begun > timeout, "it takes longer than the deadline");
    assert.ok(client.bytes < size, "and there is more to come");
    await trial.until(() => client.bytes === size, "all of it");
    assert.equal(server.state, "open");
  });

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
    const { client, server } = await meet(trial, { listen: { lifetimeTimeout: 120 } });
    const talk = trial.reactor.addPeriodicTimer(10, () => client.sendData("x"));
    await trial.allUnbound();
    talk.cancel();
    timedOut(server, "lifetime");
    notBefore(server, 120, from);
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
    trial.block(200);
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
    const { server } = await meet(trial, {
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

  engine.ruleOnStreams("a last word ends with the deadline's reason however it is closed behind it", async (trial) => {
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
