import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { finished, pipeline } from "node:stream/promises";
import {
  Channel,
  ConditionVariable,
  Connection,
  Deferrable,
  interval,
  Mutex,
  Pool,
  Queue,
  type Reactor,
  sleep,
  ThreadedResource,
  TickLoop,
  toDuplex,
  toWeb,
} from "eventmachine";
import { pattern } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { needs } from "../support/programs.js";
import type { Trial } from "../support/trial.js";

/** Promises by the name of the call that gave them. */
type Waits = Record<string, Promise<unknown>>;

/** How long a promise may take to settle once the run is over: it should have by then. */
const GRACE = 2_000;

/** Everything that waits on a connection: for a peer that says nothing and reads nothing. */
async function connectionWaits(trial: Trial): Promise<Waits> {
  const { reactor } = trial;
  const file = trial.path("a file");
  writeFileSync(file, pattern(20_000_000));
  const sent = await trial.pair();
  sent.server.pause();
  const dialing = trial.dial({ host: "silent.test", port: 1 });
  const named = reactor.connect({ host: "silent.test", port: 1, tls: true });
  const looped = await trial.pair();
  const duplex = await trial.pair();
  const stream = toDuplex(duplex.client);
  const piped = await trial.pair();
  const source = toDuplex(piped.client);
  const webbed = await trial.pair();
  const web = toWeb(webbed.client);
  const reader = web.readable.getReader();
  const full = await trial.pair();
  full.server.pause();
  const writer = toWeb(full.client).writable.getWriter();
  const disposed = await trial.pair({ client: {}, connect: { lingerTimeout: 0 }, listen: { allowHalfOpen: true } });
  const iterator = looped.client[Symbol.asyncIterator]();
  return {
    "opened of one on its way": dialing.opened,
    "closed of one on its way": dialing.closed,
    "secured of one on its way": named.secured,
    "opened of an open one": sent.client.opened,
    "closed of an open one": sent.client.closed,
    sendFileData: sent.client.sendFileData(file),
    streamFileData: sent.client.streamFileData(file, { httpChunks: true }),
    "for await": (async () => {
      for await (const _ of looped.server);
    })(),
    "next of a loop": iterator.next(),
    "a second next": iterator.next(),
    "a stream's end": finished(stream),
    "a stream's write": new Promise((resolve) => stream.write(pattern(10_000_000), resolve)),
    "a pipeline": pipeline(source, async (chunks: AsyncIterable<unknown>) => {
      for await (const _ of chunks);
    }),
    "a web reader's read": reader.read(),
    "a web reader's closed": reader.closed,
    "a web writer's write": writer.write(pattern(20_000_000)),
    "a web writer's closed": writer.closed,
    "Symbol.asyncDispose": disposed.client[Symbol.asyncDispose](),
  };
}

/** Everything that waits on the reactor itself. */
async function reactorWaits(trial: Trial): Promise<Waits> {
  const { reactor } = trial;
  const stale = trial.path("stale");
  spawnSync(needs("python3"), ["-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", stale]);
  const listener = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection);
  const second = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection);
  await trial.pair();
  const loop = new TickLoop(() => undefined, reactor);
  loop.start();
  return {
    "startServer on a name that is not found": reactor.startServer({ host: "silent.test", port: 0 }, Connection),
    "startServer on a stale path": reactor.startServer({ path: stale }, Connection),
    "startServer on an address": reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection),
    "attachServer of what is no socket": reactor.attachServer({ fd: 1_000_000 }, Connection),
    "close of a listener": listener.close(),
    stopServer: reactor.stopServer(second),
    drain: reactor.drain(60_000),
    "stopped of a tick loop": loop.stopped,
  };
}

function lockedMutex(): Mutex {
  const mutex = new Mutex();
  mutex.tryLock();
  return mutex;
}

/** What the toolbox offers that waits for a time, or for no longer than one. */
function timedWaits(): Waits {
  const timeout = 100_000;
  return {
    sleep: sleep(timeout),
    "next of an interval": interval(timeout).next(),
    "pop of a queue": new Queue().pop({ timeout }),
    "pop of a channel": new Channel().pop({ timeout }),
    "acquire of a pool with a waitTimeout": new Pool({ waitTimeout: timeout }).acquire(),
    "acquire of a pool": new Pool().acquire({ timeout }),
    "lock of a mutex": lockedMutex().lock({ timeout }),
    "wait of a condition variable": new ConditionVariable().wait(lockedMutex(), { timeout }),
    "a Deferrable's timeout": new Deferrable().timeout(timeout).promise,
  };
}

interface Plain {
  readonly promise: Promise<unknown>;
  /** Brings it what it waits for. */
  settle(): void;
}

/** What the toolbox offers that waits without a timer: for the program alone, or for another thread. */
function plainWaits(): Record<string, Plain> {
  const queue = new Queue<number>();
  const looped = new Queue<number>();
  const channel = new Channel<number>();
  const iterated = new Channel<number>();
  const pool = new Pool<number>();
  const mutex = lockedMutex();
  const condition = new ConditionVariable();
  const deferrable = new Deferrable<number>();
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const module = `export default (gate) => ({ wait() { Atomics.wait(gate, 0, 0, ${GRACE}); return 1; } })`;
  const resource = new ThreadedResource<{ wait(): number }>(
    new URL(`data:text/javascript,${encodeURIComponent(module)}`),
    { args: [gate] },
  );
  return {
    "pop of a queue": { promise: queue.pop(), settle: () => queue.push(1) },
    "next of a queue": { promise: looped[Symbol.asyncIterator]().next(), settle: () => looped.push(1) },
    "pop of a channel": { promise: channel.pop(), settle: () => channel.push(1) },
    "next of a channel": { promise: iterated[Symbol.asyncIterator]().next(), settle: () => iterated.push(1) },
    "acquire of a pool": { promise: pool.acquire(), settle: () => pool.add(1) },
    "lock of a mutex": { promise: mutex.lock(), settle: () => mutex.unlock() },
    "wait of a condition variable": {
      promise: condition.wait(lockedMutex()),
      settle: () => condition.signal(),
    },
    "a Deferrable": { promise: deferrable.promise, settle: () => void deferrable.succeed(1) },
    "a call of a threaded resource": {
      promise: resource.dispatch("wait").promise.finally(() => resource.shutdown()),
      settle: () => {
        Atomics.store(gate, 0, 1);
        Atomics.notify(gate, 0);
      },
    },
  };
}

/** Which of the promises have not settled. */
async function unsettled(waits: Waits): Promise<string[]> {
  const left = new Set(Object.keys(waits));
  const all = Object.entries(waits).map(([name, promise]) =>
    promise.then(
      () => left.delete(name),
      () => left.delete(name),
    ),
  );
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([Promise.all(all), new Promise((resolve) => (timer = setTimeout(resolve, GRACE)))]);
  clearTimeout(timer);
  return [...left];
}

/** The ways in which a run can end under them. */
const STOPS: Record<string, (reactor: Reactor) => void> = {
  "stop in a callback": (reactor) => reactor.stop(),
  "stop outside": (reactor) => setTimeout(() => reactor.stop(), 1),
  "a hook that takes its time": (reactor) => {
    reactor.addShutdownHook(() => new Promise((resolve) => reactor.addTimer(10, () => resolve(undefined))));
    reactor.stop();
  },
  "a callback that throws": (reactor) => {
    reactor.nextTick(() => {
      throw new Error("the run fails");
    });
  },
};

onEveryEngine("settling", (engine) => {
  for (const [what, gather] of Object.entries({ connection: connectionWaits, reactor: reactorWaits })) {
    for (const [how, stop] of Object.entries(STOPS)) {
      engine.runRule(`no promise of a ${what} outlives the run: ${how}`, async (trial) => {
        trial.names.set("silent.test", () => new Promise(() => {}));
        let waits: Waits = {};
        const running = trial.reactor.run(async () => {
          waits = await gather(trial);
          for (const promise of Object.values(waits)) promise.catch(() => {});
          stop(trial.reactor);
        });
        await running.catch((error: Error) => assert.equal(error.message, "the run fails"));
        assert.ok(Object.keys(waits).length > 7);
        assert.deepEqual(await unsettled(waits), []);
      });
    }
  }

  for (const [how, stop] of Object.entries(STOPS)) {
    engine.runRule(
      `waits of the toolbox: those on timers end with the run, the others outlive it: ${how}`,
      async (trial) => {
        const { reactor } = trial;
        const codes: Record<string, unknown> = {};
        const settled = new Set<string>();
        let timed: Waits = {};
        let plain: Record<string, Plain> = {};
        const running = reactor.run(() => {
          timed = timedWaits();
          plain = plainWaits();
          for (const [name, promise] of Object.entries(timed)) {
            promise.catch((error: { code?: unknown }) => {
              codes[name] = error.code;
            });
          }
          for (const [name, { promise }] of Object.entries(plain)) void promise.then(() => settled.add(name));
          stop(reactor);
        });
        await running.catch((error: Error) => assert.equal(error.message, "the run fails"));
        assert.deepEqual(await unsettled(timed), []);
        assert.deepEqual(codes, Object.fromEntries(Object.keys(timed).map((name) => [name, "ERR_EM_NOT_RUNNING"])));
        assert.deepEqual([...settled], [], "nothing has come that the others wait for");
        for (const { settle } of Object.values(plain)) settle();
        const rest = Object.fromEntries(Object.entries(plain).map(([name, { promise }]) => [name, promise]));
        assert.deepEqual(await unsettled(rest), []);
        assert.deepEqual([...settled].sort(), Object.keys(plain).sort());
      },
    );
  }

  engine.runRule("what is asked of a connection, a listener or a loop afterwards settles too", async (trial) => {
    const { reactor } = trial;
    let left: (() => Waits) | undefined;
    await reactor.run(async () => {
      const { client, server, served } = await trial.pair();
      const loop = new TickLoop(() => undefined, reactor);
      loop.start();
      left = () => ({
        opened: client.opened,
        closed: server.closed,
        secured: client.secured,
        sendFileData: client.sendFileData("/dev/null"),
        detach: server.detach(),
        close: served.listener.close(),
        dispose: served.listener[Symbol.asyncDispose](),
        "dispose of a connection": client[Symbol.asyncDispose](),
        drain: reactor.drain(),
        startServer: reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection),
        stopped: loop.stopped,
      });
      reactor.stop();
    });
    const waits = left?.() ?? {};
    for (const promise of Object.values(waits)) promise.catch(() => {});
    assert.deepEqual(await unsettled(waits), []);
  });

  engine.runRule("what is begun when everything is unbound settles too", async (trial) => {
    const reactor = trial.makeReactor({ resolver: () => new Promise(() => {}) });
    const waits: Waits = {};
    class Last extends Connection {
      readonly #when: string;

      constructor(when: string) {
        super();
        this.#when = when;
      }

      override unbind(): void {
        this.#begin("unbind");
        queueMicrotask(() => this.#begin("a microtask"));
      }

      #begin(where: string): void {
        const loop = new TickLoop(() => undefined, reactor);
        const begun: Waits = {
          drain: reactor.drain(),
          "drain with a delay": reactor.drain({ delay: 1_000, deadline: 60_000 }),
          "a name": reactor.resolver.resolve("silent.test"),
          "stopped of a tick loop": loop.start().stopped,
          "opened of a connect": reactor.connect({ host: "silent.test", port: 1 }, Connection).opened,
        };
        for (const [name, promise] of Object.entries(begun)) {
          promise.catch(() => {});
          waits[`${name} in ${where} of ${this.#when}`] = promise;
        }
      }
    }
    await reactor.run(() => {
      for (const when of ["the first", "the last"]) reactor.connect({ host: "silent.test", port: 1 }, Last, when);
      reactor.stop();
    });
    assert.equal(Object.keys(waits).length, 20);
    assert.deepEqual(await unsettled(waits), []);
  });

  engine.runRule("a resolver's signal aborts when the reactor stops, for a server as for a client", async (trial) => {
    const signals: AbortSignal[] = [];
    const found: AbortSignal[] = [];
    const reactor = trial.makeReactor({
      resolver: async (host, signal) => {
        assert.ok(signal instanceof AbortSignal);
        if (host === "there.test") {
          found.push(signal);
          return ["127.0.0.1"];
        }
        signals.push(signal);
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    });
    let starting: Promise<unknown> = Promise.resolve();
    await reactor.run(async () => {
      starting = reactor.startServer({ host: "slow-server.test", port: 0 }, Connection);
      starting.catch(() => {});
      reactor.connect({ host: "slow-peer.test", port: 1 }, Connection);
      reactor.bindConnect({ host: "slow-place.test", port: 0 }, { host: "127.0.0.1", port: 1 }, Connection);
      await reactor.startServer({ host: "there.test", port: 0 }, Connection);
      reactor.addShutdownHook(async () => {
        await new Promise<void>((resolve) => reactor.addTimer(5, () => resolve()));
        assert.deepEqual(
          signals.map(({ aborted }) => aborted),
          [false, false, false],
        );
      });
      reactor.stop();
    });
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, true, true],
    );
    assert.deepEqual(
      found.map(({ aborted }) => aborted),
      [false],
    );
    await assert.rejects(starting, { code: "ERR_EM_NOT_RUNNING" });
  });

  engine.runRule("a connect between two families fails while the hooks of a stop are awaited", async (trial) => {
    const { reactor } = trial;
    let kind: string | undefined;
    await reactor.run(() => {
      const client = reactor.bindConnect({ host: "::1", port: 0 }, { host: "127.0.0.1", port: 1 }, Connection);
      reactor.addShutdownHook(async () => {
        await new Promise<void>((resolve) => reactor.addTimer(5, () => resolve()));
        kind = client.closeReason?.kind;
      });
      reactor.stop();
    });
    assert.equal(kind, "connect-failed");
  });

  engine.runRule("a server that a resolver answers for in the next run is not begun in it", async (trial) => {
    const { reactor } = trial;
    let answer: (found: string[]) => void = () => {};
    trial.names.set("late.test", () => new Promise((resolve) => (answer = resolve)));
    let starting: Promise<unknown> = Promise.resolve();
    let port = 0;
    await reactor.run(async () => {
      port = await trial.deadPort();
      starting = reactor.startServer({ host: "late.test", port }, Connection);
      starting.catch(() => {});
      setTimeout(() => reactor.stop(), 5);
    });
    await assert.rejects(starting, { code: "ERR_EM_NOT_RUNNING" });
    await reactor.run(async () => {
      answer(["127.0.0.1"]);
      await trial.settle();
      const caller = trial.dial({ host: "127.0.0.1", port });
      await trial.allUnbound(caller);
      assert.equal(caller.kind, "connect-refused");
      reactor.stop();
    });
  });
});
