import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection, Deferrable, interval, Mutex, Pool, Queue, Reactor, sleep } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { within } from "../support/wait.js";

class Quiet extends Connection {}

/** Everything of the toolbox that waits for so long at most. */
function waits(ms: number): Record<string, () => Promise<unknown>> {
  return {
    sleep: () => sleep(ms),
    interval: () => interval(ms).next(),
    "a queue's pop": () => new Queue().pop({ timeout: ms }),
    "a pool's acquire": () => new Pool({ waitTimeout: ms }).acquire(),
    "a mutex's lock": async () => {
      const mutex = new Mutex();
      mutex.tryLock();
      await mutex.lock({ timeout: ms });
    },
    "a Deferrable's timeout": () => new Deferrable().timeout(ms).promise,
  };
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "fulfilled",
    (error: { code?: string }) => error.code,
  );

test("with no reactor, and with several, waits are the process's", async () => {
  for (const [name, wait] of Object.entries(waits(5))) {
    const begun = performance.now();
    const code = await within(codeOf(wait()), name);
    assert.ok(code === "fulfilled" || code === "ERR_EM_TIMEOUT", `${name}: ${code}`);
    assert.ok(performance.now() - begun >= 5, name);
  }
  const two = [new Reactor({ engine: "portable" }), new Reactor({ engine: "portable" })];
  const running = two.map((reactor) => reactor.run());
  await within(sleep(5), "sleep beside two reactors");
  for (const reactor of two) reactor.stop();
  await Promise.all(running);
});

onEveryEngine("waits of the toolbox", (engine) => {
  for (const name of Object.keys(waits(0))) {
    const begin = (ms: number) => (waits(ms)[name] as () => Promise<unknown>)();

    engine.runRule(`${name}: behind an await it is the running reactor's, and its stop ends it`, async () => {
      const reactor = new Reactor({ engine: engine.name });
      const codes: Promise<unknown>[] = [];
      const order: string[] = [];
      await within(
        reactor.run(async () => {
          await reactor.startServer({ host: "127.0.0.1", port: 0 }, Quiet);
          assert.ok(["fulfilled", "ERR_EM_TIMEOUT"].includes(String(await codeOf(begin(5)))));
          codes.push(codeOf(begin(100_000)).finally(() => order.push("rejected")));
          reactor.addShutdownHook(async () => {
            await begin(5).catch(() => {});
            order.push("hook");
          });
          reactor.stop();
        }),
        "run resolves",
      );
      assert.deepEqual(await within(Promise.all(codes), "it rejects"), ["ERR_EM_NOT_RUNNING"]);
      assert.deepEqual(order, ["hook", "rejected"]);
    });

    engine.runRule(`${name}: its rejection by the stop is no failure of a callback or of the block`, async () => {
      const reactor = new Reactor({ engine: engine.name });
      const failed: unknown[] = [];
      reactor.onError((error) => failed.push(error));
      let unbound = 0;
      class Waiting extends Connection {
        override postInit(): Promise<unknown> {
          return begin(100_000);
        }
        override async unbind(): Promise<void> {
          unbound++;
          await begin(100_000);
        }
        override onError(error: unknown): void {
          failed.push(error);
        }
      }
      await within(
        reactor.run(async () => {
          const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Waiting);
          const client = reactor.connect({ host: "127.0.0.1", port }, Waiting);
          await client.opened;
          reactor.nextTick(() => begin(100_000));
          reactor.addTimer(20, () => reactor.stop());
          await begin(100_000);
        }),
        "run resolves",
      );
      assert.ok(unbound >= 1);
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(failed, []);
    });
  }

  engine.runRule("a reactor that is named as the clock never hangs either", async () => {
    const reactor = new Reactor({ engine: engine.name });
    let code: Promise<unknown> | undefined;
    await within(
      reactor.run(async () => {
        await sleep(5, { clock: reactor });
        code = codeOf(sleep(100_000, { clock: reactor }));
        reactor.stop();
      }),
      "run resolves",
    );
    assert.equal(await within(code as Promise<unknown>, "it rejects"), "ERR_EM_NOT_RUNNING");
  });
});
