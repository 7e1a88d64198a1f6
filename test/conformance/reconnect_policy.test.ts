import assert from "node:assert/strict";
import { type ConnectAddress, Connection, ReconnectPolicy } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder, Script } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

/** Dials a port where nobody listens, again and again, and returns the waits before each attempt. */
async function waits(trial: Trial, policy: ReconnectPolicy): Promise<number[]> {
  const at = { host: "127.0.0.1", port: await trial.deadPort() };
  const taken: number[] = [];
  let from = trial.now();
  let gaveUp = false;
  // A connect that is refused at once ends when the attempt is made, as near as can be seen from outside.
  const script: Script = {
    unbind: (me) => {
      if (me.lives > 1) taken.push(trial.now() - from);
      from = trial.now();
      gaveUp = !policy.reconnect(me, at);
    },
  };
  trial.dial(at, script);
  await trial.until(() => gaveUp, "it gives up");
  return taken;
}

onEveryEngine("ReconnectPolicy", (engine) => {
  engine.rule("waits grow by the factor up to the longest, and end after so many attempts", async (trial) => {
    const policy = new ReconnectPolicy({ min: 20, max: 50, factor: 2, jitter: 0, attempts: 4 });
    const taken = await waits(trial, policy);
    assert.equal(policy.attempts, 4);
    assert.equal(policy.isWaiting, false);
    const least = [20, 40, 50, 50];
    assert.equal(taken.length, least.length);
    for (const [at, took] of taken.entries())
      assert.ok(took >= least[at]!, `wait ${at} took ${took} of ${least[at]} ms`);
  });

  engine.rule("jitter takes something off, never adds", async (trial) => {
    const { random } = Math;
    const policy = new ReconnectPolicy({ min: 400, max: 400, jitter: 1, attempts: 3 });
    Math.random = () => 0.999;
    try {
      const from = trial.now();
      await waits(trial, policy);
      assert.ok(trial.now() - from < 1_200, "three waits of 400 ms without their jitter");
    } finally {
      Math.random = random;
    }
  });

  engine.rule("a factor beyond all numbers leads to the longest wait", async (trial) => {
    const policy = new ReconnectPolicy({ min: 1, max: 2, factor: Number.MAX_SAFE_INTEGER, jitter: 0, attempts: 25 });
    assert.equal((await waits(trial, policy)).length, 25);
  });

  engine.rule("an attempt is dropped when the program has connected again by itself", async (trial) => {
    const served = await trial.serve();
    const at = served.at as ConnectAddress;
    const policy = new ReconnectPolicy({ min: 30, jitter: 0 });
    const failures: unknown[] = [];
    trial.reactor.onError((error) => failures.push(error));
    const client = trial.dial(
      { host: "127.0.0.1", port: await trial.deadPort() },
      {
        unbind: (me) => {
          if (me.lives > 1) return;
          policy.reconnect(me, at);
          me.reconnect(at);
        },
      },
    );
    await trial.until(() => !policy.isWaiting && client.state === "open", "its time has come");
    await trial.settle();
    assert.deepEqual(failures, []);
    assert.equal(client.lives, 2);
    assert.equal(client.state, "open");
    client.closeConnection();
  });

  engine.rule("reset begins anew", async (trial) => {
    const policy = new ReconnectPolicy({ min: 1, attempts: 2 });
    const served = await trial.serve();
    let completed = 0;
    const client = trial.dial(served, {
      connectionCompleted: (me) => {
        policy.reset();
        if (++completed < 6) me.closeConnection();
      },
      unbind: (me) => policy.reconnect(me, served.at as ConnectAddress),
    });
    await trial.until(() => completed === 6, "it is connected for the sixth time");
    assert.equal(policy.attempts, 0);
    client.script.unbind = () => undefined;
    client.closeConnection();
  });

  engine.rule("cancel calls the attempt off, and so does the reactor's stop", async (trial) => {
    const before = trial.reactor.timerCount;
    const at = { host: "127.0.0.1", port: await trial.deadPort() };
    const policy = new ReconnectPolicy({ min: 20, jitter: 0 });
    const client = trial.dial(at, { unbind: (me) => policy.reconnect(me, at) });
    await trial.until(() => policy.isWaiting, "an attempt waits");
    policy.cancel();
    policy.cancel();
    assert.equal(policy.isWaiting, false);
    await trial.sleep(50);
    assert.equal(client.lives, 1);

    const other = trial.makeReactor();
    const outcomes: boolean[] = [];
    class Client extends Connection {
      override unbind(): void {
        outcomes.push(new ReconnectPolicy().reconnect(this, at));
      }
    }
    const dead = await trial.silentPort();
    await other.run(() => {
      other.connect({ host: "127.0.0.1", port: dead }, Client);
      other.stop();
    });
    assert.deepEqual(outcomes, [false]);
    assert.equal(trial.reactor.timerCount, before);
  });

  engine.rule("what is no option, no connection or no address is refused", async (trial) => {
    const wrong: unknown[] = [
      { min: -1 },
      { min: 0 },
      { min: 10, max: 5 },
      { factor: 0.5 },
      { factor: Number.NaN },
      { jitter: 1.1 },
      { jitter: -0.1 },
      { attempts: 0 },
      { attempts: 1.5 },
      { attempt: 3 },
      null,
      7,
    ];
    for (const options of wrong) assert.throws(() => new ReconnectPolicy(options as object), { name: "ArgumentError" });
    const policy = new ReconnectPolicy();
    const { client, server } = await trial.pair();
    const at = { host: "127.0.0.1", port: 1 };
    assert.throws(() => policy.reconnect({} as Recorder, at), { name: "ArgumentError" });
    assert.throws(() => policy.reconnect(client, { host: "127.0.0.1", port: -1 }), { name: "ArgumentError" });
    assert.throws(() => policy.reconnect(client, at), { code: "ERR_EM_STILL_OPEN" });
    assert.throws(() => policy.reconnect(server, at), { code: "ERR_EM_NOT_RECONNECTABLE" });
    assert.equal(policy.attempts, 0);
    client.closeConnection();
  });
});
