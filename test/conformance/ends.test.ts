import assert from "node:assert/strict";
import { Connection } from "eventmachine";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder } from "../support/recorder.js";
import { rejection, thrower } from "../support/throwing.js";

onEveryEngine("ends", (engine) => {
  // Stopping -----------------------------------------------------------------------------------------------------

  engine.runRule(
    "stop runs shutdown hooks last in, first out, then unbinds, then tails, then run resolves",
    async (trial) => {
      const { reactor } = trial;
      const log: string[] = [];
      const running = reactor.run(
        async () => {
          const { client, server } = await trial.pair();
          for (const each of [client, server]) each.script.unbind = () => log.push("unbind");
          reactor.addShutdownHook(() => log.push("first hook"));
          reactor.addShutdownHook(async () => {
            await trial.turn();
            log.push(`second hook, ${client.state}`);
          });
          reactor.addShutdownHook(() => log.push("third hook"));
          reactor.stop();
          reactor.stop();
          assert.equal(log.length, 0, "not inside the call");
          assert.equal(reactor.isRunning, true);
          assert.equal(reactor.isStopping, true);
          assert.equal(reactor.hasTurns, false);
        },
        { tail: [() => log.push(`first tail, ${reactor.isRunning}`), async () => log.push("second tail")] },
      );
      await running;
      assert.deepEqual(log, [
        "third hook",
        "second hook, open",
        "first hook",
        "unbind",
        "unbind",
        "first tail, false",
        "second tail",
      ]);
      assert.equal(reactor.isRunning, false);
      assert.equal(reactor.isStopping, false);
      assert.equal(reactor.hasTurns, false);
      for (const recorder of trial.recorders) assert.deepEqual(recorder.reason, { kind: "stop" });
    },
  );

  engine.runRule("hooks run once: the next run has none of them", async (trial) => {
    let hooks = 0;
    trial.reactor.addShutdownHook(() => hooks++);
    for (let count = 0; count < 2; count++) await trial.reactor.run((reactor) => reactor.stop());
    assert.equal(hooks, 1);
  });

  engine.runRule("a hook that throws stops neither the others nor the stop, and run rejects with it", async (trial) => {
    const { reactor } = trial;
    const oops = new Error("from a hook");
    let others = 0;
    const error = await rejection(
      reactor.run(() => {
        reactor.addShutdownHook(() => others++);
        reactor.addShutdownHook(thrower(oops));
        reactor.addShutdownHook(() => others++);
        reactor.stop();
      }),
    );
    assert.equal(error, oops);
    assert.equal(others, 2);
  });

  engine.runRule("a tail that throws: the others run, and run rejects with it", async (trial) => {
    const oops = new Error("from a tail");
    let others = 0;
    const tail = [() => others++, thrower(oops), () => others++];
    assert.equal(await rejection(trial.reactor.run((reactor) => reactor.stop(), { tail })), oops);
    assert.equal(others, 2);
  });

  engine.runRule("stop unbinds connects under way and listeners too", async (trial) => {
    const { reactor } = trial;
    trial.names.set("slow.test", () => new Promise(() => {}));
    let clients: Recorder[] = [];
    await reactor.run(async () => {
      const served = await trial.serve();
      clients = [trial.dial({ host: "slow.test", port: 1 }), trial.dial(served)];
      reactor.stop();
    });
    for (const client of clients) assert.equal(client.reasons.length, 1);
    assert.equal(clients[0]?.kind, "stop");
  });

  engine.runRule("what was sent in the turn of the stop arrives", async (trial) => {
    const other = trial.makeReactor();
    const content = pattern(50_000);
    let arrived: Recorder | undefined;
    await trial.reactor.run(async () => {
      const served = await trial.serve();
      await other.run(async () => {
        const client = other.connect(served.at as { host: string; port: number });
        await client.opened;
        client.sendData(content);
        other.stop();
      });
      arrived = await served.peer();
      await trial.allUnbound(arrived);
      trial.reactor.stop();
    });
    sameBytes((arrived as Recorder).received, content);
    assert.equal(arrived?.kind, "peer-closed");
  });

  engine.runRule("a reactor can be run again, many times, also after an error", async (trial) => {
    const { reactor } = trial;
    for (let count = 0; count < 10; count++) {
      const oops = count % 3 === 0 ? new Error(`run ${count}`) : undefined;
      const running = reactor.run(async () => {
        const { client, server } = await trial.pair();
        client.sendData("x");
        await trial.until(() => server.bytes === 1, "a byte");
        if (oops !== undefined) throw oops;
        reactor.stop();
      });
      if (oops === undefined) await running;
      else assert.equal(await rejection(running), oops);
      assert.equal(reactor.connectionCount, 0);
    }
    const { accepted, connected, bytesIn } = reactor.stats();
    assert.deepEqual([accepted, connected, bytesIn], [10, 10, 10], "stats go on over all runs");
  });

  engine.runRule("the block may throw, at once or later: run rejects after everything is unbound", async (trial) => {
    const { reactor } = trial;
    const oops = new Error("from the block");
    assert.equal(await rejection(reactor.run(thrower(oops))), oops);
    assert.equal(
      await rejection(
        reactor.run(async () => {
          await trial.pair();
          throw oops;
        }),
      ),
      oops,
    );
    for (const recorder of trial.recorders) assert.equal(recorder.kind, "stop");
  });

  engine.runRule(
    "a nested run calls its block at once and resolves with it; its tail runs at the end",
    async (trial) => {
      const { reactor } = trial;
      const log: string[] = [];
      await reactor.run(
        async () => {
          log.push("outer");
          const inner = reactor.run(
            async () => {
              log.push("inner");
              await trial.turn();
              log.push("inner ends");
            },
            { tail: () => log.push("inner tail") },
          );
          log.push("behind the call");
          await inner;
          log.push("inner resolved");
          reactor.stop();
        },
        { tail: () => log.push("outer tail") },
      );
      assert.deepEqual(log, [
        "outer",
        "inner",
        "behind the call",
        "inner ends",
        "inner resolved",
        "outer tail",
        "inner tail",
      ]);
    },
  );

  engine.rule("a nested run that fails rejects, and the reactor goes on", async (trial) => {
    const oops = new Error("from the inner block");
    assert.equal(await rejection(trial.reactor.run(thrower(oops))), oops);
    await trial.settle(5);
    assert.equal(trial.reactor.isRunning, true);
    assert.equal(trial.reactor.isStopping, false);
    assert.equal(trial.reactor.hasTurns, true);
  });

  engine.runRule("outside of run connect and startServer throw ERR_EM_NOT_RUNNING", async (trial) => {
    const { reactor } = trial;
    const notRunning = { name: "StateError", code: "ERR_EM_NOT_RUNNING" };
    const check = async () => {
      assert.throws(() => reactor.connect({ host: "127.0.0.1", port: 1 }), notRunning);
      assert.throws(() => reactor.bindConnect({ host: "127.0.0.1" }, { host: "127.0.0.1", port: 1 }), notRunning);
      assert.throws(() => reactor.attach({ fd: 0 }, Connection), notRunning);
      await assert.rejects(reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection), notRunning);
      await assert.rejects(reactor.attachServer({ fd: 0 }, Connection), notRunning);
    };
    await check();
    await assert.rejects(reactor.drain(), notRunning);
    assert.equal(reactor.isRunning, false);
    reactor.stop();
    await reactor.run(() => {
      assert.equal(reactor.isRunning, true);
      reactor.stop();
    });
    await check();
  });

  engine.runRule("options of run that are none throw", async (trial) => {
    const { reactor } = trial;
    for (const options of [{ tail: 7 }, { signals: "SIGTERM" }, { signals: [7] }, { drainDeadline: -1 }, 7, null]) {
      await assert.rejects(
        reactor.run(() => {}, options as never),
        { name: "ArgumentError" },
      );
    }
    await assert.rejects(reactor.run(7 as never), { name: "ArgumentError" });
    assert.equal(reactor.isRunning, false);
  });

  // Draining -----------------------------------------------------------------------------------------------------

  engine.ruleOnStreams("drain stops accepting, asks each connection, waits, and counts", async (trial) => {
    const { reactor } = trial;
    const served = await trial.serve({
      shutdownRequested: (me) => {
        me.sendData("bye");
        me.closeConnectionAfterWriting();
      },
    });
    const clients = Array.from({ length: 5 }, () => trial.dial(served));
    await Promise.all(clients.map(({ opened }) => opened));
    await served.peer(4);
    const counts = await reactor.drain(5_000);
    assert.deepEqual(counts, { finished: 10, aborted: 0 });
    for (const client of clients) assert.equal(client.text, "bye");
    for (const recorder of trial.recorders) {
      assert.equal(recorder.log.filter((entry) => entry === "shutdownRequested").length, 1, recorder.label);
    }
    assert.equal(served.listener.isListening, false);
    assert.equal(reactor.isRunning, true, "the reactor goes on");
    const late = trial.dial(served);
    await trial.allUnbound(late);
    assert.equal(late.kind, "connect-refused");
  });

  engine.ruleOnStreams("drain ends what is left at its deadline", async (trial) => {
    const { client, server } = await trial.pair({ server: { shutdownRequested: (me) => me.sendData("wait") } });
    client.script.shutdownRequested = (me) => me.closeConnectionAfterWriting();
    const stubborn = await trial.pair();
    const begun = trial.now();
    const counts = await trial.reactor.drain(1_500);
    assert.ok(trial.now() - begun >= 1_500);
    assert.deepEqual(counts, { finished: 2, aborted: 2 });
    await trial.allUnbound();
    assert.equal(server.kind, "peer-closed");
    const kinds = [stubborn.client.kind, stubborn.server.kind];
    assert.ok(kinds.includes("drain-deadline"), `${kinds}`);
  });

  engine.rule("drain of nothing resolves at once", async (trial) => {
    assert.deepEqual(await trial.reactor.drain(), { finished: 0, aborted: 0 });
    for (const wrong of [-1, Number.NaN, "9"]) {
      await assert.rejects(trial.reactor.drain(wrong as number), { name: "ArgumentError" });
    }
  });

  engine.runRule("a signal drains and then stops; a second one stops at once", async (trial) => {
    const { reactor } = trial;
    const signalled = async (again: boolean) => {
      const before = process.listenerCount("SIGUSR2");
      let kinds: (string | undefined)[] = [];
      await reactor.run(
        async () => {
          const { client, server } = await trial.pair();
          client.script.shutdownRequested = (me) => {
            if (!again) me.closeConnectionAfterWriting();
          };
          process.kill(process.pid, "SIGUSR2");
          await trial.until(() => client.log.includes("shutdownRequested"), "the drain");
          if (again) process.kill(process.pid, "SIGUSR2");
          await Promise.all([client.closed, server.closed]);
          kinds = [client.kind, server.kind];
        },
        { signals: ["SIGUSR2"], drainDeadline: 8_000 },
      );
      assert.equal(process.listenerCount("SIGUSR2"), before, "the signal is given back");
      return kinds;
    };
    assert.deepEqual(await signalled(false), ["local-close", "peer-closed"]);
    assert.deepEqual(await signalled(true), ["stop", "stop"]);
  });
});
