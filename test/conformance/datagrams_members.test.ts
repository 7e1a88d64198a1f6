import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { DatagramRecorder, datagramRules, openDatagrams, placeOf } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";

onEveryEngine("datagram sockets in their reactor", (engine: EngineSuite) => {
  datagramRules(engine, () => {
    engine.rule("the inactivity deadline is set, moved by traffic, and cleared", async (trial) => {
      const client = await openDatagrams(trial);
      const idle = await openDatagrams(trial, {}, { commInactivityTimeout: 50 });
      const reason = await idle.closed;
      assert.equal(reason.kind, "timeout");
      assert.deepEqual(idle.log, ["postInit", "deadlineReached inactivity", "unbind timeout"]);
      const cleared = await openDatagrams(trial, {}, { commInactivityTimeout: 50 });
      cleared.commInactivityTimeout = 0;
      const busy = await openDatagrams(trial);
      busy.commInactivityTimeout = 300;
      assert.equal(busy.commInactivityTimeout, 300);
      const begun = trial.now();
      while (trial.now() - begun < 600) {
        client.sendDatagram("x", placeOf(busy));
        await trial.sleep(20);
      }
      assert.equal(cleared.state, "open");
      assert.equal(busy.state, "open");
      assert.equal((await busy.closed).kind, "timeout");
      assert.equal(cleared.state, "open");
    });

    engine.rule("deadlineReached may go on, or have a last word that is sent", async (trial) => {
      const sink = await openDatagrams(trial);
      let reached = 0;
      const socket = await openDatagrams(
        trial,
        {
          deadlineReached: (me) => {
            if (++reached === 1) return true;
            me.sendDatagram("goodbye", placeOf(sink));
            return false;
          },
        },
        { commInactivityTimeout: 30 },
      );
      assert.equal((await socket.closed).kind, "timeout");
      assert.equal(reached, 2);
      await trial.until(() => sink.received.length === 1, "the last word");
      assert.deepEqual(sink.texts, ["goodbye"]);
    });

    engine.rule("its timers end with it", async (trial) => {
      const socket = await openDatagrams(trial);
      let fired = 0;
      socket.addTimer(5, () => fired++);
      await trial.until(() => fired === 1, "the timer");
      socket.addTimer(100, () => fired++);
      socket.closeConnection();
      await socket.closed;
      await trial.sleep(150);
      assert.equal(fired, 1);
    });

    engine.rule("a drain asks it, and waits for it", async (trial) => {
      const polite = await openDatagrams(trial, { shutdownRequested: (me) => me.closeConnectionAfterWriting() });
      const idle = await openDatagrams(trial, { isIdle: () => true });
      const stubborn = await openDatagrams(trial);
      const result = await trial.reactor.drain({ deadline: 100, closeIdle: true });
      assert.deepEqual(result, { finished: 2, aborted: 1 });
      assert.deepEqual(polite.log, ["postInit", "shutdownRequested", "unbind local-close"]);
      assert.deepEqual(idle.log, ["postInit", "shutdownRequested", "unbind local-close"]);
      await stubborn.closed;
      assert.deepEqual(stubborn.log, ["postInit", "shutdownRequested", "unbind drain-deadline"]);
    });

    engine.runRule("a stop unbinds it, also one that is being opened", async (trial) => {
      const sockets: DatagramRecorder[] = [];
      let late: Promise<unknown> = Promise.resolve();
      await trial.reactor.run(async () => {
        sockets.push(await openDatagrams(trial));
        late = assert.rejects(openDatagrams(trial), { code: "ERR_EM_NOT_RUNNING" });
        trial.names.set("slow.test", () => new Promise(() => {}));
        const named = trial.reactor.openDatagramSocket({ host: "slow.test", port: 0 });
        late = Promise.all([late, assert.rejects(named, { code: "ERR_EM_NOT_RUNNING" })]);
        trial.reactor.stop();
      });
      await late;
      assert.deepEqual(sockets[0]?.log, ["postInit", "unbind stop"]);
      await assert.rejects(openDatagrams(trial), { code: "ERR_EM_NOT_RUNNING" });
    });

    engine.rule("a drain calls off what is being opened, and nothing of it is left", async (trial) => {
      trial.names.set("slow.test", () => new Promise(() => {}));
      const openings = [openDatagrams(trial, {}, { host: "slow.test" }), openDatagrams(trial)];
      const refused = Promise.all(openings.map((opening) => assert.rejects(opening, { code: "ERR_EM_NOT_RUNNING" })));
      assert.deepEqual(await trial.reactor.drain(1000), { finished: 0, aborted: 0 });
      await refused;
      assert.equal(trial.reactor.connectionCount, 0);
    });

    engine.rule("a drain that begins in postInit asks the socket, and the promise resolves", async (trial) => {
      let drained: Promise<unknown> = Promise.resolve();
      const socket = await openDatagrams(trial, {
        postInit: () => {
          drained = trial.reactor.drain(1000);
        },
        shutdownRequested: (me) => me.closeConnectionAfterWriting(),
      });
      assert.deepEqual(await drained, { finished: 1, aborted: 0 });
      assert.deepEqual(socket.log, ["postInit", "shutdownRequested", "unbind local-close"]);
    });

    engine.rule("it counts as a connection, and the channels tell of it", async (trial) => {
      const told: unknown[] = [];
      const note = (message: unknown, name: string | symbol) => {
        const { connection, reason } = message as { connection: unknown; reason?: unknown };
        if (connection instanceof DatagramRecorder) told.push([String(name).split(":").at(-1), connection, reason]);
      };
      const channels = ["eventmachine:connection:open", "eventmachine:connection:close"];
      for (const name of channels) subscribe(name, note);
      try {
        const socket = await openDatagrams(trial);
        assert.equal(trial.reactor.connectionCount, 1);
        assert.equal(trial.reactor.stats().connections, 1);
        socket.closeConnection();
        const reason = await socket.closed;
        assert.deepEqual(told, [
          ["open", socket, undefined],
          ["close", socket, reason],
        ]);
        assert.equal(trial.reactor.connectionCount, 0);
        assert.equal(trial.reactor.stats().closed["local-close"], 1);
      } finally {
        for (const name of channels) unsubscribe(name, note);
      }
    });

    engine.rule(
      "with asyncContext the callbacks see what the opening saw",
      async (trial) => {
        const storage = new AsyncLocalStorage<string>();
        const seen: unknown[] = [];
        const script = {
          receiveData: () => seen.push(storage.getStore()),
          unbind: () => seen.push(storage.getStore()),
        };
        const server = await storage.run("ours", () => openDatagrams(trial, script));
        const client = await openDatagrams(trial);
        client.sendDatagram("x", placeOf(server));
        await trial.until(() => seen.length === 1, "the datagram");
        server.closeConnection();
        await server.closed;
        assert.deepEqual(seen, ["ours", "ours"]);
      },
      { reactor: { asyncContext: true } },
    );
  });
});
