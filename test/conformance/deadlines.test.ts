import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { pattern } from "../support/bytes.js";
import { beats, endsAfter, hasOpened, meet, notBefore, sawEnd, timedOut, withPlainPeer } from "../support/deadlines.js";
import { onEveryEngine } from "../support/harness.js";
import { slowReader } from "../support/slow_reader.js";

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

  engine.rule("what came while the loop was blocked is read before a deadline is judged", async (trial) => {
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

  engine.rule("and so is what came while the handler of another connection blocked it", async (trial) => {
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

  engine.rule("a first byte that came while the loop was blocked is the first byte", async (trial) => {
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
});
