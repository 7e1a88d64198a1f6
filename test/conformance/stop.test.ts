import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { Connection, type Timer } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

/** The outcome of a promise, in a word: its error's code where it was rejected. */
function outcome(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "resolved",
    (error: { code?: string }) => `rejected ${error.code}`,
  );
}

/** Runs the trial's reactor with one pair, stops it, and calls `inUnbind` in the first of the unbinds that follow. */
async function stopWithPair(trial: Trial, inUnbind: (me: Recorder, at: { host: string; port: number }) => unknown) {
  let calls = 0;
  await trial.reactor.run(async () => {
    const { client } = await trial.pair();
    const at = client.remoteAddress as { host: string; port: number };
    client.script.unbind = (me) => {
      calls++;
      assert.equal(me.kind, "stop");
      return inUnbind(me, { host: at.host, port: at.port });
    };
    trial.reactor.stop();
  });
  assert.equal(calls, 1);
}

onEveryEngine("stop", (engine) => {
  // Ticks and timers ---------------------------------------------------------------------------------------------

  engine.runRule("the batch of ticks under way runs to its end, and what waits behind it is dropped", async (trial) => {
    const { reactor } = trial;
    const ran: string[] = [];
    await reactor.run(() => {
      reactor.nextTick(() => ran.push("before"));
      reactor.nextTick(() => {
        reactor.nextTick(() => ran.push("asked for before the stop"));
        reactor.stop();
        reactor.nextTick(() => ran.push("asked for after the stop"));
      });
      reactor.nextTick(() => ran.push("behind it in its batch"));
    });
    assert.deepEqual(ran, ["before", "behind it in its batch"]);
  });

  engine.runRule("a stop outside of the ticks drops all that wait", async (trial) => {
    const { reactor } = trial;
    let ran = 0;
    reactor.nextTick(() => ran++);
    await reactor.run(() => {
      reactor.nextTick(() => ran++);
      reactor.stop();
      reactor.nextTick(() => ran++);
    });
    await reactor.run(() => {
      reactor.addTimer(0, () => {
        reactor.nextTick(() => ran++);
        reactor.stop();
      });
    });
    assert.equal(ran, 0);
    await reactor.run(() => {
      reactor.nextTick(() => {
        ran++;
        reactor.stop();
      });
    });
    assert.equal(ran, 1, "the next run has its ticks");
  });

  engine.runRule("while hooks are awaited ticks, timers, connects and servers work", async (trial) => {
    const { reactor } = trial;
    const log: string[] = [];
    let said: Recorder | undefined;
    await reactor.run(async () => {
      reactor.addShutdownHook(async () => {
        await trial.turn();
        log.push("tick");
        await trial.sleep(5);
        log.push("timer");
        const { client, server } = await trial.pair();
        client.sendData("goodbye");
        client.closeConnectionAfterWriting();
        await trial.allUnbound();
        said = server;
        log.push(`${client.kind}, ${server.kind}`);
        client.reconnect({ host: "127.0.0.1", port: await trial.deadPort() });
        assert.equal(client.state, "connecting");
      });
      reactor.stop();
    });
    assert.deepEqual(log, ["tick", "timer", "local-close, peer-closed"]);
    assert.equal(said?.text, "goodbye");
  });

  engine.runRule("the first unbind finds no tick and no timer left, and gets none", async (trial) => {
    const { reactor } = trial;
    let ran = 0;
    const timers: Timer[] = [];
    reactor.addShutdownHook(() => {
      reactor.nextTick(() => ran++);
      timers.push(
        reactor.addTimer(0, () => ran++),
        reactor.addPeriodicTimer(1, () => ran++),
      );
    });
    await stopWithPair(trial, async () => {
      assert.equal(reactor.timerCount, 0);
      assert.ok(timers.every(({ active }) => !active));
      reactor.nextTick(() => ran++);
      reactor.schedule(() => reactor.nextTick(() => ran++));
      timers.push(
        reactor.addTimer(0, () => ran++),
        reactor.addPeriodicTimer(0, () => ran++),
      );
      assert.equal(reactor.timerCount, 0);
      trial.block(3);
    });
    assert.equal(ran, 0);
    await reactor.run(() => {
      reactor.addTimer(5, () => reactor.stop());
    });
    assert.equal(ran, 0, "not in the next run either");
  });

  engine.runRule("a tick or a timer that stops the reactor again and again does so once", async (trial) => {
    const { reactor } = trial;
    let hooks = 0;
    for (const ask of [(f: () => void) => reactor.nextTick(f), (f: () => void) => reactor.addTimer(0, f)]) {
      await reactor.run(() => {
        reactor.addShutdownHook(() => hooks++);
        for (let count = 0; count < 3; count++) ask(() => reactor.stop());
      });
    }
    assert.equal(hooks, 2);
  });

  engine.runRule("a stop inside a hook, and a hook added by a hook, change nothing", async (trial) => {
    const { reactor } = trial;
    let late = 0;
    await reactor.run(() => {
      reactor.addShutdownHook(async () => {
        reactor.stop();
        await trial.turn();
        reactor.addShutdownHook(() => late++);
      });
      reactor.stop();
    });
    assert.equal(late, 0, "it is the next stop's");
    await reactor.run(() => reactor.stop());
    assert.equal(late, 1);
  });

  // Beginning something while everything is unbound ----------------------------------------------------------------

  engine.runRule("connect then gives a connection that is closed, and calls none of its callbacks", async (trial) => {
    const born: Witness[] = [];
    const outcomes: string[] = [];
    class Witness extends Connection {
      readonly calls: string[] = [];
      constructor() {
        super();
        born.push(this);
      }
      override postInit(): void {
        this.calls.push("postInit");
      }
      override unbind(): void {
        this.calls.push("unbind");
      }
    }
    await stopWithPair(trial, (_, at) => {
      const { reactor } = trial;
      const count = reactor.connectionCount;
      const plain = reactor.connect(at, Witness);
      const bound = reactor.bindConnect({ host: "127.0.0.1" }, at, Witness);
      const secure = reactor.connect({ ...at, tls: true }, Witness);
      const bare = reactor.connect(at);
      const over = new PassThrough();
      const foreign = reactor.fromDuplex(over, Witness);
      assert.equal(over.destroyed, true);
      assert.equal(reactor.connectionCount, count);
      const all = [plain, bound, secure, bare, foreign];
      for (const each of all) {
        assert.equal(each.state, "closed");
        assert.deepEqual(each.closeReason, { kind: "stop" });
        assert.equal(each.sendData("nothing"), false);
        each.closeConnection();
        each.abort();
        each.closeConnectionAfterWriting();
      }
      const promises = all.flatMap((each) => [each.opened, each.closed]);
      return Promise.all([...promises, secure.secured].map(outcome)).then((each) => void outcomes.push(...each));
    });
    assert.deepEqual(
      born.map(({ calls }) => calls),
      [[], [], [], []],
    );
    const both = ["rejected ERR_EM_CLOSED", "resolved"];
    assert.deepEqual(outcomes, [...both, ...both, ...both, ...both, ...both, "rejected ERR_EM_CLOSED"]);
  });

  engine.runRule("arguments are checked all the same", async (trial) => {
    await stopWithPair(trial, (me) => {
      const wrong = { name: "ArgumentError" };
      assert.throws(() => trial.reactor.connect({ host: "", port: 1 }), wrong);
      assert.throws(() => trial.reactor.connect({ host: "127.0.0.1", port: 1 }, class {} as never), wrong);
      assert.throws(() => Connection.prototype.reconnect.call(me, { host: "a", port: 0 }), wrong);
    });
  });

  engine.runRule("reconnect then returns false, else true", async (trial) => {
    const answers: boolean[] = [];
    const { reactor } = trial;
    let last: Recorder | undefined;
    await reactor.run(async () => {
      const served = await trial.serve();
      const { host, port } = served.listener.address as { host: string; port: number };
      const client = trial.dial(served, {
        unbind: (me) => {
          answers.push(me.reconnect({ host, port }));
          if (answers.length > 10) throw new Error("it goes on for ever");
        },
      });
      await client.opened;
      client.closeConnection();
      await trial.until(() => client.lives === 2 && client.state === "open", "its second life");
      last = client;
      reactor.stop();
    });
    assert.deepEqual(answers, [true, false]);
    assert.equal(last?.reconnect({ host: "127.0.0.1", port: 1 }), false, "nor when the run is over");
    assert.equal(last?.state, "closed");
  });

  engine.runRule(
    "reconnecting from a tick, a timer, a promise or another's unbind ends with the stop",
    async (trial) => {
      const { reactor } = trial;
      let tries = 0;
      const again = (me: Recorder, at: { host: string; port: number }) => {
        tries++;
        if (tries > 100) throw new Error("it goes on for ever");
        return me.reconnect(at);
      };
      await reactor.run(async () => {
        const served = await trial.serve();
        const at = served.at as { host: string; port: number };
        const clients = [
          trial.dial(served, { unbind: (me) => reactor.nextTick(() => again(me, at)) }),
          trial.dial(served, { unbind: (me) => void reactor.addTimer(0, () => again(me, at)) }),
          trial.dial(served, { unbind: (me) => Promise.resolve().then(() => again(me, at)) }),
          trial.dial(served, { unbind: (me) => new Promise(setImmediate).then(() => again(me, at)) }),
          trial.dial(served, { unbind: () => void reactor.connect(at) }),
        ];
        await Promise.all(clients.map(({ opened }) => opened));
        reactor.stop();
      });
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(tries, 2, "those that came of promises, and they were told no");
    },
  );

  engine.runRule("startServer and attachServer then reject, and run does not for that", async (trial) => {
    const { reactor } = trial;
    const outcomes: string[] = [];
    await stopWithPair(trial, async () => {
      outcomes.push(await outcome(reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection)));
      outcomes.push(await outcome(reactor.attachServer({ fd: 1_000_000 }, Connection)));
    });
    assert.deepEqual(outcomes, ["rejected ERR_EM_NOT_RUNNING", "rejected ERR_EM_NOT_RUNNING"]);
    await stopWithPair(trial, () => reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection));
    await reactor.run(async () => {
      trial.names.set("silent.test", () => new Promise(() => {}));
      reactor.addTimer(1, () => reactor.stop());
      await reactor.startServer({ host: "silent.test", port: 0 }, Connection);
    });
  });

  engine.runRule("an error of another reactor's stop is an error like any other", async (trial) => {
    const other = trial.makeReactor();
    const errors: unknown[] = [];
    const { reactor } = trial;
    reactor.onError((error) => errors.push((error as { code: string }).code));
    other.addShutdownHook(() => {});
    await reactor.run(async () => {
      await other.run(async () => {
        const silent = trial.makeReactor({ resolver: () => new Promise(() => {}) });
        await silent.run(async () => {
          const starting = silent.startServer({ host: "silent.test", port: 0 }, Connection);
          reactor.nextTick(() => starting);
          await trial.turn();
          silent.stop();
        });
        other.stop();
      });
      await trial.turn();
      reactor.stop();
    });
    assert.deepEqual(errors, ["ERR_EM_NOT_RUNNING"]);
  });

  engine.ruleNeeding(
    "adoptStream",
    "attach then closes the descriptor it was given",
    async (trial) => {
      const other = trial.makeReactor({ resolver: () => new Promise(() => {}) });
      const { client, server } = await trial.pair();
      const { fd } = engine.has("detach") ? await server.detach() : { fd: undefined };
      if (fd === undefined) return;
      await other.run(() => {
        other.connect(
          { host: "silent.test", port: 1 },
          class extends Connection {
            override unbind(): void {
              assert.equal(other.attach({ fd }, Connection).state, "closed");
            }
          },
        );
        other.stop();
      });
      await trial.allUnbound(client);
      assert.equal(client.kind, "peer-closed");
    },
    (trial) => trial.reactor.attach({ fd: 0 }, Connection),
  );
});
