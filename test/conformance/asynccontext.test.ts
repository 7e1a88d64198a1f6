import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { worker } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder, Script } from "../support/recorder.js";

const storage = new AsyncLocalStorage<string>();

/** A script that notes which store each callback sees. */
function noting(seen: Map<string, string | undefined>, also: Script = {}): Script {
  const note = (name: string) => seen.set(name, storage.getStore());
  return {
    postInit: (me) => {
      note("postInit");
      return also.postInit?.(me);
    },
    connectionCompleted: (me) => {
      note("connectionCompleted");
      return also.connectionCompleted?.(me);
    },
    receiveData: (me, data) => {
      note("receiveData");
      return also.receiveData?.(me, data);
    },
    unbind: () => void note("unbind"),
  };
}

const wants = { reactor: { asyncContext: true } };

onEveryEngine("async context", (engine) => {
  engine.rule(
    "with asyncContext a client's callbacks run in the context of its connect",
    async (trial) => {
      const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
      const all = ["first", "second", "third"].map((name) => {
        const seen = new Map<string, string | undefined>();
        const client = storage.run(name, () =>
          trial.dial(served, noting(seen, { connectionCompleted: (me) => me.sendData("x") })),
        );
        return { name, seen, client };
      });
      await trial.until(() => all.every(({ client }) => client.bytes === 1), "every echo");
      for (const { client } of all) client.closeConnection();
      await trial.allUnbound();
      for (const { name, seen } of all) {
        assert.deepEqual(
          [...seen.entries()],
          [
            ["postInit", name],
            ["connectionCompleted", name],
            ["receiveData", name],
            ["unbind", name],
          ],
        );
      }
    },
    wants,
  );

  engine.rule(
    "a server's callbacks run in the context of its startServer",
    async (trial) => {
      const seen = new Map<string, string | undefined>();
      const served = await storage.run("the server", () => trial.serve(noting(seen)));
      const client = storage.run("a client", () => trial.dial(served));
      client.sendData("x");
      const server = await served.peer();
      await trial.until(() => server.bytes === 1, "a byte");
      client.closeConnection();
      await trial.allUnbound();
      assert.deepEqual(
        [...seen.entries()],
        [
          ["postInit", "the server"],
          ["receiveData", "the server"],
          ["unbind", "the server"],
        ],
      );
    },
    wants,
  );

  engine.rule("without it callbacks of later turns start from a clean context", async (trial) => {
    const seen = new Map<string, string | undefined>();
    const served = await storage.run("the server", () => trial.serve(noting(seen)));
    const clientSaw = new Map<string, string | undefined>();
    const client = storage.run("a client", () => trial.dial(served, noting(clientSaw)));
    client.sendData("x");
    const server = await served.peer();
    await trial.until(() => server.bytes === 1, "a byte");
    storage.run("whoever closes", () => client.closeConnection());
    await trial.allUnbound();
    assert.deepEqual([...seen.values()], [undefined, undefined, undefined]);
    assert.deepEqual([clientSaw.get("connectionCompleted"), clientSaw.get("unbind")], [undefined, undefined]);
  });

  engine.rule("what one callback enters is not for the next", async (trial) => {
    const seen: (string | undefined)[] = [];
    const enter = (me: Recorder) => {
      seen.push(storage.getStore());
      storage.enterWith(`left by ${me.id}`);
    };
    const { client, server } = await trial.pair({ server: { receiveData: enter } });
    for (let count = 1; count <= 5; count++) {
      client.sendData("x");
      await trial.until(() => server.bytes === count, "a byte");
    }
    assert.deepEqual(seen, [undefined, undefined, undefined, undefined, undefined]);
  });

  engine.rule("a promise of a callback keeps its own context", async (trial) => {
    const seen: (string | undefined)[] = [];
    const { client } = await trial.pair({
      server: {
        receiveData: () =>
          storage.run("inside", async () => {
            await trial.sleep(1);
            seen.push(storage.getStore());
          }),
      },
    });
    client.sendData("x");
    await trial.until(() => seen.length === 1, "it goes on");
    assert.deepEqual(seen, ["inside"]);
  });

  engine.rule(
    "with asyncContext nothing that a callback enters shows in another, of its connection or of any other",
    async (trial) => {
      const seen: (string | undefined)[] = [];
      const enter = (me: Recorder) => {
        seen.push(storage.getStore());
        storage.enterWith(`left by ${me.id}`);
      };
      const script: Script = { postInit: enter, receiveData: enter, drained: enter, unbind: enter };
      const served = await storage.run("the server", () => trial.serve(script));
      const clients = Array.from({ length: 8 }, () => trial.dial(served));
      await Promise.all(clients.map((client) => client.opened));
      for (let round = 1; round <= 3; round++) {
        // All in one turn, so that they arrive in one batch where the engine makes batches.
        for (const client of clients) client.sendData("x");
        await trial.until(() => served.peers.every(({ bytes }) => bytes === round), "every byte");
      }
      for (const client of clients) client.closeConnection();
      await trial.allUnbound();
      assert.equal(seen.length, 8 * 5);
      assert.deepEqual([...new Set(seen)], ["the server"]);
    },
    wants,
  );

  engine.rule("what a tick or a timer enters is not for connections", async (trial) => {
    const seen: (string | undefined)[] = [];
    const { client, server } = await trial.pair({ server: { receiveData: () => void seen.push(storage.getStore()) } });
    trial.reactor.nextTick(() => {
      storage.enterWith("a tick");
      client.sendData("x");
    });
    await trial.until(() => server.bytes === 1, "a byte");
    trial.reactor.addTimer(1, () => {
      storage.enterWith("a timer");
      client.sendData("x");
    });
    await trial.until(() => server.bytes === 2, "another");
    assert.deepEqual(seen, [undefined, undefined]);
  });

  engine.rule(
    "what is deferred runs, and is answered, in the context of its defer",
    async (trial) => {
      const { reactor } = trial;
      const seen: unknown[] = [];
      const note = (what: string) => seen.push([what, storage.getStore()]);
      const fail = () => {
        note("operation");
        throw new Error("no");
      };
      const done = ["here", "in a thread", "failed"].map((name) =>
        storage.run(name, () => {
          const operation =
            name === "in a thread" ? worker(() => 1) : name === "failed" ? fail : () => note("operation");
          return new Promise<void>((resolve) =>
            reactor.defer<unknown>(
              operation,
              () => resolve(void note("callback")),
              () => resolve(void note("errback")),
            ),
          );
        }),
      );
      await Promise.all(done);
      assert.deepEqual(
        new Set(seen.map(String)),
        new Set(["operation,here", "callback,here", "callback,in a thread", "operation,failed", "errback,failed"]),
      );
    },
    wants,
  );
});
