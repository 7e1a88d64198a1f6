import assert from "node:assert/strict";
import { onEveryEngine } from "../support/harness.js";
import type { Script } from "../support/recorder.js";
import { rejection, thrower } from "../support/throwing.js";
import { pending } from "../support/wait.js";

onEveryEngine("errors in handlers", (engine) => {
  const callbacks = ["postInit", "connectionCompleted", "receiveData", "receiveEnd", "drained", "unbind"] as const;

  for (const callback of callbacks) {
    for (const way of ["throw", "reject"] as const) {
      engine.rule(
        `a ${way} in ${callback} goes to onError, closes the connection, and reaches the reactor`,
        async (trial) => {
          const oops = new Error(`from ${callback}`);
          const taken: [unknown, unknown][] = [];
          trial.reactor.onError((error, source) => taken.push([error, source]));
          let thrown = 0;
          const fail = () => {
            thrown++;
            if (way === "reject") return Promise.reject(oops);
            throw oops;
          };
          const served = await trial.serve({
            receiveData: (me) => {
              me.sendData("answer");
              me.closeConnectionAfterWriting();
            },
          });
          const options = { allowHalfOpen: true, highWaterMark: 1, lowWaterMark: 0 };
          const script: Script = { postInit: (me) => me.sendData("x"), receiveEnd: (me) => me.closeConnection() };
          const client = trial.dial(served, { ...script, [callback]: fail }, options);
          await trial.until(() => client.isUnbound && taken.length === thrown, "it ends");
          assert.equal(thrown, 1);
          assert.deepEqual(client.errors, [oops]);
          assert.deepEqual(taken, [[oops, client]]);
          if (callback !== "unbind") assert.deepEqual(client.reason, { kind: "handler-error", error: oops });
          // The reactor serves on.
          const next = trial.dial(served);
          await next.opened;
        },
      );
    }
  }

  engine.ruleOnStreams("onError may take the error: the connection lives on and nobody is told", async (trial) => {
    const taken: unknown[] = [];
    trial.reactor.onError((error) => taken.push(error));
    const { client, server } = await trial.pair({
      server: { receiveData: thrower(new Error("taken")), onError: () => true },
    });
    for (let count = 1; count <= 3; count++) {
      client.sendData("x");
      await trial.until(() => server.errors.length === count, "the error");
    }
    assert.equal(server.state, "open");
    assert.deepEqual(taken, []);
  });

  engine.ruleOnStreams(
    "an onError may take its time: delivery goes on, and true alone keeps the connection",
    async (trial) => {
      const taken: unknown[] = [];
      trial.reactor.onError((error) => taken.push(error));
      const oops = new Error("taken, or not");
      const verdicts: [string, (late: Promise<void>) => Promise<unknown>, boolean][] = [
        ["true", (late) => late.then(() => true), true],
        ["1", (late) => late.then(() => 1), false],
        ["nothing", (late) => late, false],
        ["a rejection", (late) => late.then(() => Promise.reject(new Error("second"))), false],
      ];
      for (const [name, verdict, keeps] of verdicts) {
        const { promise: late, resolve } = pending<void>();
        const { client, server } = await trial.pair({
          server: {
            receiveData: (_me, data) => {
              if (data.includes("bad")) throw oops;
            },
            onError: () => verdict(late),
          },
        });
        client.sendData("bad");
        await trial.until(() => server.errors.length === 1, "the error");
        client.sendData("good");
        await trial.until(() => server.bytes === 7, "delivery goes on");
        assert.equal(server.state, "open");
        resolve();
        if (keeps) await trial.settle();
        else await trial.until(() => server.isUnbound, `${name} ends it`);
        assert.equal(server.state, keeps ? "open" : "closed", name);
        if (!keeps) assert.deepEqual(server.reason, { kind: "handler-error", error: oops }, name);
        client.abort();
        await trial.allUnbound(client, server);
      }
      assert.deepEqual(taken, [oops, oops, oops]);
    },
  );

  engine.rule("an onError that throws closes the connection with its own error", async (trial) => {
    const second = new Error("from onError");
    const taken: unknown[] = [];
    trial.reactor.onError((error) => taken.push(error));
    const { client, server } = await trial.pair({
      server: { receiveData: thrower(new Error("first")), onError: thrower(second) },
    });
    client.sendData("x");
    await trial.allUnbound();
    assert.deepEqual(server.reason, { kind: "handler-error", error: second });
    assert.deepEqual(taken, [second]);
  });

  engine.rule("anything may be thrown", async (trial) => {
    const taken: unknown[] = [];
    trial.reactor.onError((error) => taken.push(error));
    for (const thrown of ["a string", 7, undefined, null]) {
      const { client, server } = await trial.pair({ server: { receiveData: thrower(thrown) } });
      client.sendData("x");
      await trial.allUnbound(client, server);
      assert.deepEqual(server.reason, { kind: "handler-error", error: thrown });
    }
    assert.deepEqual(taken, ["a string", 7, undefined, null]);
  });

  engine.ruleOnStreams("one that throws hurts no other connection of its turn", async (trial) => {
    trial.reactor.onError(() => {});
    const served = await trial.serve({
      receiveData: (me, data) => {
        if (data.includes("bad")) throw new Error("bad");
        me.sendData(data);
      },
    });
    const clients = Array.from({ length: 40 }, () => trial.dial(served));
    await Promise.all(clients.map(({ opened }) => opened));
    await served.peer(39);
    for (const [at, client] of clients.entries()) client.sendData(at % 2 === 0 ? "bad" : "good");
    await trial.until(
      () => clients.every((client, at) => (at % 2 === 0 ? client.isUnbound : client.bytes === 4)),
      "all",
    );
  });

  engine.runRule(
    "without an error handler run rejects with the first error, after everything was unbound",
    async (trial) => {
      const { reactor } = trial;
      const oops = new Error("from receiveData");
      const error = await rejection(
        reactor.run(async () => {
          const { client, server } = await trial.pair({ server: { receiveData: thrower(oops) } });
          await trial.pair();
          client.sendData("x");
          await server.closed;
        }),
      );
      assert.equal(error, oops);
      assert.deepEqual(
        trial.recorders.map(({ kind }) => kind === "handler-error" || kind === "stop" || kind === "peer-closed"),
        [true, true, true, true],
      );
      assert.ok(trial.recorders.some(({ kind }) => kind === "handler-error"));
    },
  );

  engine.runRule("a throw in unbind during the stop: all are unbound all the same, and run rejects", async (trial) => {
    const { reactor } = trial;
    const oops = new Error("from unbind");
    const error = await rejection(
      reactor.run(async () => {
        await trial.pair({ client: { unbind: thrower(oops) }, server: { unbind: thrower(oops) } });
        await trial.pair();
        reactor.stop();
      }),
    );
    assert.equal(error, oops);
    for (const recorder of trial.recorders) assert.equal(recorder.kind, "stop");
  });

  engine.runRule("an error handler that throws ends the run with its own error", async (trial) => {
    const { reactor } = trial;
    const second = new Error("from the handler");
    for (const handler of [thrower(second), () => Promise.reject(second)]) {
      reactor.onError(handler);
      const error = await rejection(reactor.run(() => reactor.nextTick(thrower(new Error("first")))));
      assert.equal(error, second);
    }
    reactor.onError(undefined);
    const first = new Error("first");
    assert.equal(await rejection(reactor.run(() => reactor.nextTick(thrower(first)))), first, "none any more");
    for (const wrong of [7, null, {}]) {
      assert.throws(() => reactor.onError(wrong as never), { name: "ArgumentError" });
    }
  });
});
