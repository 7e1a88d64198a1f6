import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Connection, reactor as currentReactor, type Reactor } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

/** Runs several reactors beside the trial's while `body` lasts. */
async function beside(trial: Trial, count: number, body: (reactors: Reactor[]) => Promise<unknown>): Promise<void> {
  const reactors = Array.from({ length: count }, () => trial.makeReactor());
  const runs = reactors.map((reactor) => reactor.run());
  try {
    await body(reactors);
  } finally {
    for (const reactor of reactors) reactor.stop();
    await Promise.all(runs);
  }
}

function dial(reactor: Reactor, at: object, trial: Trial, name: string): Recorder {
  return reactor.connect(at as { host: string; port: number }, Recorder, trial, { name });
}

onEveryEngine("reactors", (engine) => {
  engine.rule("several reactors in one process serve each other", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    await beside(trial, 5, async (reactors) => {
      const clients = reactors.map((reactor, at) => dial(reactor, served.at, trial, `reactor ${at}`));
      await Promise.all(clients.map(({ opened }) => opened));
      for (const [at, client] of clients.entries()) client.sendData(`hello ${at}`);
      await trial.until(() => clients.every(({ bytes }) => bytes === 7), "every echo");
      assert.deepEqual(
        reactors.map(({ connectionCount }) => connectionCount),
        [1, 1, 1, 1, 1],
      );
    });
    await trial.allUnbound();
  });

  engine.rule("the end of one does not disturb another", async (trial) => {
    const { client, server } = await trial.pair();
    for (let round = 0; round < 3; round++) {
      await beside(trial, 2, async ([one, two]) => {
        const listener = await (one as Reactor).startServer({ host: "127.0.0.1", port: 0 }, Connection);
        await (two as Reactor).connect({ host: "127.0.0.1", port: listener.port as number }).opened;
      });
      client.sendData(`${round}`);
      await trial.until(() => server.bytes === round + 1, "the old pair works on");
    }
    assert.equal(trial.reactor.connectionCount, 2);
  });

  engine.rule("a call from another reactor's callback is heeded at once", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    await beside(trial, 1, async ([other]) => {
      for (let count = 0; count < 50; count++) {
        const client = dial(other as Reactor, served.at, trial, `call ${count}`);
        await client.opened;
        // From here on this code runs in turns of the other reactor, of this one, and in between.
        await trial.turn();
        // Waiting for this, unlike `until`, gives the loop nothing to wake for.
        const echoed = new Promise((resolve) => {
          client.script.receiveData = resolve;
        });
        client.sendData("x");
        await echoed;
        await trial.turn();
        client.closeConnection();
        await client.closed;
      }
    });
  });

  engine.rule("timers and ticks of two reactors go on side by side", async (trial) => {
    await beside(trial, 1, async ([other]) => {
      const log: string[] = [];
      const wait = (reactor: Reactor, ms: number) =>
        new Promise<void>((resolve) => reactor.addTimer(ms, () => resolve()));
      for (let count = 0; count < 20; count++) {
        await wait(other as Reactor, 1);
        log.push("other");
        await wait(trial.reactor, 1);
        log.push("own");
        await new Promise<void>((resolve) => (other as Reactor).nextTick(() => resolve()));
        await trial.turn();
      }
      assert.equal(log.length, 40);
      assert.equal((other as Reactor).timerCount, 0);
    });
  });

  engine.rule("module functions follow the reactor whose callback runs", async (trial) => {
    const seen = new Map<string, Reactor>();
    const served = await trial.serve({ postInit: () => void seen.set("server", currentReactor()) });
    await beside(trial, 1, async ([other]) => {
      const script = {
        postInit: () => void seen.set("postInit", currentReactor()),
        connectionCompleted: () => void seen.set("connectionCompleted", currentReactor()),
      };
      const at = served.at as { host: string; port: number };
      await (other as Reactor).connect(at, Recorder, trial, script).opened;
      await served.peer();
      assert.equal(seen.get("server"), trial.reactor);
      assert.equal(seen.get("postInit"), other);
      assert.equal(seen.get("connectionCompleted"), other);
    });
    await trial.allUnbound();
  });

  engine.rule("an error in one is nothing to another", async (trial) => {
    const oops = new Error("in the other one");
    const other = trial.makeReactor();
    await assert.rejects(
      other.run(() => other.nextTick(() => Promise.reject(oops))),
      (error) => error === oops,
    );
    await trial.turn();
    assert.equal(trial.reactor.isStopping, false);
  });

  engine.rule("hundreds of reactors come and go", async (trial) => {
    for (let round = 0; round < 10; round++) {
      await beside(trial, 20, async (reactors) => {
        let ticks = 0;
        for (const reactor of reactors) reactor.nextTick(() => ticks++);
        await trial.until(() => ticks === 20, "each has a turn");
      });
    }
  });

  engine.rule("a reactor in a worker thread", async (trial) => {
    const served = await trial.serve({ name: "called from the worker" });
    const workers = [1, 2].map(
      () =>
        new Worker(new URL("./worker_peer.js", import.meta.url), {
          workerData: { engine: engine.name, back: served.listener.port },
        }),
    );
    const ports = await Promise.all(workers.map(async (worker) => (await once(worker, "message"))[0] as number));
    const clients = ports.map((port) => trial.dial({ host: "127.0.0.1", port }));
    for (const client of clients) client.sendData("to the worker and back");
    await trial.until(() => clients.every(({ text }) => text === "to the worker and back"), "the echoes");
    await trial.until(
      () => served.peers.length === 2 && served.peers.every(({ isUnbound }) => isUnbound),
      "their calls",
    );
    for (const peer of served.peers) assert.equal(peer.text, "from the worker");
    for (const worker of workers) {
      const stopped = once(worker, "message");
      const ended = once(worker, "exit");
      worker.postMessage("stop");
      assert.deepEqual(await stopped, ["stopped"]);
      assert.deepEqual(await ended, [0], "a reactor that has stopped keeps no thread alive");
    }
    await trial.allUnbound();
    for (const client of clients) assert.match(client.kind ?? "", /^peer-(closed|reset)$/);
  });
});
