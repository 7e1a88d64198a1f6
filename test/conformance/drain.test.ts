import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { Duplex } from "node:stream";
import { type CloseReason, Connection } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { rejection } from "../support/throwing.js";

/** A port that nothing listens on. */
async function reserved(): Promise<{ port: number; release: () => Promise<unknown> }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { port, release: () => once(server.close(), "close") };
}

/** A signal that nothing else here uses. */
const SIGNAL = "SIGUSR2";

onEveryEngine("drain and signals", (engine) => {
  engine.runRule("a stop under a drain settles it, and counts what it ended as aborted", async (trial) => {
    const { reactor } = trial;
    let draining: Promise<unknown> = Promise.resolve();
    await reactor.run(async () => {
      const polite = await trial.pair({ client: { shutdownRequested: (me) => me.closeConnectionAfterWriting() } });
      await trial.pair();
      draining = reactor.drain(60_000);
      await trial.allUnbound(polite.client, polite.server);
      reactor.stop();
    });
    assert.deepEqual(await draining, { finished: 2, aborted: 2 });
  });

  engine.runRule("a drain in a shutdown hook is waited for", async (trial) => {
    const { reactor } = trial;
    const counts: unknown[] = [];
    await reactor.run(async () => {
      const { client } = await trial.pair();
      client.script.shutdownRequested = (me) => {
        me.sendData("bye");
        reactor.addTimer(5, () => me.closeConnectionAfterWriting());
      };
      reactor.addShutdownHook(async () => counts.push(await reactor.drain(10_000)));
      reactor.stop();
    });
    assert.deepEqual(counts, [{ finished: 2, aborted: 0 }]);
    assert.deepEqual(
      trial.recorders.map(({ kind }) => kind),
      ["peer-closed", "local-close"].reverse(),
    );
  });

  engine.runRule("a drain in a hook ends at its deadline, and one in unbind at once", async (trial) => {
    const { reactor } = trial;
    const counts: unknown[] = [];
    await reactor.run(async () => {
      const { client } = await trial.pair();
      client.script.unbind = async () => {
        if (counts.length < 3) counts.push(await reactor.drain(60_000));
      };
      reactor.addShutdownHook(async () => counts.push(await reactor.drain(20)));
      reactor.stop();
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(counts[0], { finished: 0, aborted: 2 });
    assert.equal(counts.length, 2);
  });

  engine.rule("two drains at a time both settle, and a connection is asked once by each", async (trial) => {
    const { reactor } = trial;
    const { client, server } = await trial.pair();
    let asked = 0;
    client.script.shutdownRequested = (me) => {
      if (++asked === 2) me.closeConnection();
    };
    const counts = await Promise.all([reactor.drain(20_000), reactor.drain(20_000)]);
    assert.deepEqual(counts, [
      { finished: 2, aborted: 0 },
      { finished: 2, aborted: 0 },
    ]);
    await trial.allUnbound(client, server);
  });

  engine.rule("a drain counts connects under way, and calls them off at its deadline", async (trial) => {
    trial.names.set("silent.test", () => new Promise(() => {}));
    const dialing = trial.dial({ host: "silent.test", port: 1 });
    assert.deepEqual(await trial.reactor.drain(10), { finished: 0, aborted: 1 });
    await trial.allUnbound(dialing);
    assert.equal(dialing.kind, "drain-deadline");
  });

  engine.runRule("a drain with a server that is still starting ends it too", async (trial) => {
    const { reactor } = trial;
    let find: (addresses: string[]) => void = () => {};
    const found = new Promise<string[]>((resolve) => {
      find = resolve;
    });
    trial.names.set("late.test", () => found);
    await reactor.run(async () => {
      const starting = reactor.startServer({ host: "late.test", port: 0 }, Connection);
      assert.deepEqual(await reactor.drain(10), { finished: 0, aborted: 0 });
      find(["127.0.0.1"]);
      const listener = await starting;
      assert.equal(listener.isListening, true, "a drain is of what there is; the reactor goes on");
      reactor.stop();
    });
  });

  // Signals --------------------------------------------------------------------------------------------------------

  engine.runRule("a signal while the block is still under way stops the run all the same", async (trial) => {
    const { reactor } = trial;
    trial.names.set("silent.test", () => new Promise(() => {}));
    await reactor.run(
      async () => {
        process.kill(process.pid, SIGNAL);
        await reactor.startServer({ host: "silent.test", port: 0 }, Connection);
      },
      { signals: [SIGNAL] },
    );
  });

  engine.runRule("signals while it stops change nothing, however many", async (trial) => {
    const { reactor } = trial;
    let hooks = 0;
    await reactor.run(
      async () => {
        await trial.pair();
        reactor.addShutdownHook(async () => {
          hooks++;
          for (let count = 0; count < 3; count++) {
            process.kill(process.pid, SIGNAL);
            await trial.sleep(2);
          }
        });
        reactor.stop();
      },
      { signals: [SIGNAL], drainDeadline: 60_000 },
    );
    assert.equal(hooks, 1);
    for (const { kind } of trial.recorders) assert.equal(kind, "stop");
  });

  engine.runRule("an error under the drain of a signal ends the run with it, at once", async (trial) => {
    const { reactor } = trial;
    const oops = new Error("from shutdownRequested");
    const running = reactor.run(
      async () => {
        const { client } = await trial.pair();
        await trial.pair();
        client.script.shutdownRequested = () => {
          throw oops;
        };
        process.kill(process.pid, SIGNAL);
      },
      { signals: [SIGNAL], drainDeadline: 60_000 },
    );
    assert.equal(await rejection(running), oops);
  });

  // The block ------------------------------------------------------------------------------------------------------

  engine.runRule("stop before the block has resolved: run resolves without it", async (trial) => {
    const { reactor } = trial;
    let resolved = false;
    await reactor.run(async () => {
      reactor.addTimer(1, () => reactor.stop());
      await new Promise(() => {});
      resolved = true;
    });
    assert.equal(resolved, false);
  });

  engine.runRule(
    "a block that rejects while servers are starting: they settle, and run rejects with its error",
    async (trial) => {
      const { reactor } = trial;
      const oops = new Error("from the block");
      trial.names.set("silent.test", () => new Promise(() => {}));
      const starts: Promise<unknown>[] = [];
      const running = reactor.run(async () => {
        starts.push(reactor.startServer({ host: "silent.test", port: 0 }, Connection));
        starts.push(reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection));
        for (const start of starts) start.catch(() => {});
        throw oops;
      });
      assert.equal(await rejection(running), oops);
      const settled = await Promise.allSettled(starts);
      assert.equal(settled[0]?.status, "rejected");
      const [, second] = settled;
      if (second?.status === "fulfilled") {
        const listener = second.value as { isListening: boolean; close(): Promise<void> };
        assert.equal(listener.isListening, false);
        await listener.close();
      }
    },
  );

  engine.runRule("a block that throws after stop is what run rejects with", async (trial) => {
    const oops = new Error("from the block");
    const { reactor } = trial;
    const running = reactor.run(() => {
      reactor.stop();
      throw oops;
    });
    assert.equal(await rejection(running), oops);
    reactor.addShutdownHook(() => trial.sleep(5));
    const later = reactor.run(async () => {
      reactor.stop();
      await new Promise((resolve) => setImmediate(resolve));
      throw oops;
    });
    assert.equal(await rejection(later), oops);
  });

  engine.rule("closeIdle ends those that say so, after asking them to shut down", async (trial) => {
    const { reactor } = trial;
    const asked: string[] = [];
    const idle = await trial.pair({
      server: { isIdle: (me) => asked.push(me.log.at(-1) ?? "") > 0 },
    });
    const busy = await trial.pair({ server: { isIdle: () => "true", shutdownRequested: () => undefined } });
    const draining = reactor.drain({ deadline: 200, closeIdle: true });
    await trial.until(() => idle.client.isUnbound && idle.server.isUnbound, "the idle one ends at once");
    assert.deepEqual(asked, ["shutdownRequested"]);
    assert.deepEqual(idle.server.reason, { kind: "local-close", lingerExpired: false });
    assert.equal(busy.server.state, "open");
    assert.deepEqual(await draining, { finished: 2, aborted: 2 });
  });

  engine.rule("without closeIdle nobody is asked", async (trial) => {
    await trial.pair({ server: { isIdle: () => assert.fail("it was asked") } });
    assert.deepEqual(await trial.reactor.drain({ deadline: 20 }), { finished: 0, aborted: 2 });
  });

  engine.rule("delay goes on accepting, and tells newcomers when it is over", async (trial) => {
    const { reactor } = trial;
    const leave = {
      shutdownRequested: (me: { closeConnectionAfterWriting(): void }) => me.closeConnectionAfterWriting(),
    };
    const served = await trial.serve(leave);
    const from = trial.now();
    const draining = reactor.drain({ deadline: 30_000, delay: 100 });
    const late = trial.dial(served);
    await late.opened;
    const server = await served.peer();
    assert.ok(served.listener.isListening);
    assert.deepEqual(await draining, { finished: 2, aborted: 0 });
    assert.ok(trial.now() - from >= 99.5, "not before the delay is over");
    assert.ok(server.log.includes("shutdownRequested"));
    assert.equal(served.listener.isListening, false);
  });

  engine.runRule("a stop ends the delay, and run resolves with what the drain counted", async (trial) => {
    const { reactor } = trial;
    let draining: Promise<unknown> = Promise.resolve();
    const counted = await reactor.run(async () => {
      await trial.pair();
      draining = reactor.drain({ deadline: 60_000, delay: 50_000 });
      reactor.stop();
    });
    assert.deepEqual(await draining, { finished: 0, aborted: 2 });
    assert.ok(counted === undefined || typeof counted === "object");
    const again = await reactor.run(async () => {
      await trial.pair();
      await reactor.drain({ deadline: 20 });
      reactor.stop();
    });
    assert.deepEqual(again, { finished: 0, aborted: 2 });
    assert.equal(await reactor.run(() => reactor.stop()), undefined);
  });

  engine.rule("options of a drain are checked", async (trial) => {
    for (const wrong of [
      -1,
      Number.NaN,
      "5",
      null,
      { deadline: -1 },
      { delay: "1" },
      { closeIdle: 1 },
      { idle: true },
    ]) {
      await assert.rejects(trial.reactor.drain(wrong as never), { name: "ArgumentError" });
    }
  });

  engine.runRule("a stop ends what runs over a stream, opened or not", async (trial) => {
    const { reactor } = trial;
    const kinds: string[] = [];
    class Over extends Connection {
      override unbind(reason: CloseReason): void {
        kinds.push(reason.kind);
      }
    }
    const stream = () => new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    await reactor.run(async () => {
      const opened = reactor.fromDuplex(stream(), Over);
      await opened.opened;
      reactor.fromDuplex(stream(), Over);
      reactor.stop();
    });
    assert.deepEqual(kinds, ["stop", "stop"]);
  });

  engine.rule("a server whose name is found when a drain has begun does not start", async (trial) => {
    let found: (addresses: string[]) => void = () => {};
    const reactor = trial.makeReactor({ resolver: () => new Promise((resolve) => (found = resolve)) });
    const taken = await reserved();
    const free = taken.port;
    await taken.release();
    let aborted: AbortSignal | undefined;
    const other = trial.makeReactor({
      resolver: (_host, signal) => {
        aborted = signal;
        return new Promise(() => {});
      },
    });
    await reactor.run(async () => {
      const starting = reactor.startServer({ host: "late.test", port: free }, Connection);
      await trial.turn();
      const drained = reactor.drain(5_000);
      found(["127.0.0.1"]);
      await assert.rejects(starting, { code: "ERR_EM_NOT_RUNNING" });
      assert.deepEqual(await drained, { finished: 0, aborted: 0 });
      await trial.turn();
      const probe = reactor.connect({ host: "127.0.0.1", port: free }, class extends Connection {});
      assert.equal((await probe.closed).kind, "connect-refused");
      // The reactor goes on, and what is asked for after the drain is done.
      const later = await reactor.startServer({ host: "127.0.0.1", port: free }, Connection);
      await later.close();
      reactor.stop();
    });
    await other.run(async () => {
      const starting = other.startServer({ host: "never.test", port: 0 }, Connection);
      await trial.turn();
      void other.drain({ deadline: 5_000, delay: 30 }).catch(() => {});
      await trial.turn();
      assert.equal(aborted?.aborted, false);
      await assert.rejects(starting, { code: "ERR_EM_NOT_RUNNING" });
      assert.equal(aborted?.aborted, true);
      other.stop();
    });
  });
});
