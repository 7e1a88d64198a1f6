import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import {
  BufferedTokenizer,
  Channel,
  CommandRunner,
  Completion,
  ConditionVariable,
  Connection,
  ConnectionPool,
  Deferrable,
  frames,
  Iterator,
  interval,
  lines,
  Mutex,
  multi,
  Pool,
  Queue,
  Reactor,
  Resolver,
  relay,
  sleep,
  sync,
  ThreadedResource,
  WatchedDescriptor,
} from "eventmachine";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { givingPromises } from "../support/promises.js";
import { PATIENCE, until, within } from "../support/wait.js";

interface Scene {
  readonly reactor: Reactor;
  readonly connection: Connection;
}

/** How each operation of the public face is made to fail. */
type Failing = (scene: Scene) => unknown;

const boom = (): never => {
  throw new Error("boom");
};
const WRONG = "wrong" as never;

function closedQueue(): Queue<number> {
  const queue = new Queue<number>();
  queue.close();
  return queue;
}

async function* failingSource(): AsyncGenerator<never, undefined, undefined> {
  yield boom();
}

function failed(): Deferrable<void, Error> {
  const deferrable = new Deferrable<void, Error>();
  deferrable.fail(new Error("boom"));
  return deferrable;
}

const MODULE = new URL("data:text/javascript,export default () => ({})");

const OPERATIONS: Record<string, Failing> = {
  "BufferedTokenizer.tokens": () => new BufferedTokenizer().tokens(failingSource()).next(),
  "Channel.pop": () => new Channel<number>().pop({ signal: AbortSignal.abort(new Error("boom")) }),
  "ChannelStream.next": () => {
    const channel = new Channel<number>();
    const stream = channel.stream({ limit: 1 });
    channel.push(1, 2);
    void stream.next();
    return stream.next();
  },
  "CommandRunner.run": () => new CommandRunner().run("/nonexistent"),
  "Completion.promise": () => new Completion().fail(new Error("boom")).promise,
  "ConditionVariable.wait": () => new ConditionVariable().wait(new Mutex()),
  "Connection.detach": ({ connection }) => {
    connection.startTls({ rejectUnauthorized: false });
    return connection.detach();
  },
  "Connection.secured": ({ connection }) => connection.secured,
  "Connection.sendFileData": ({ connection }) => connection.sendFileData("/nonexistent/file"),
  "Connection.streamFileData": ({ connection }) => connection.streamFileData("/nonexistent/file"),
  "ConnectionPool.execute": () => new ConnectionPool<number>({ create: boom, size: 1 }).execute(() => {}),
  "WatchedDescriptor.detach": ({ connection }) => WatchedDescriptor.prototype.detach.call(connection),
  "Deferred.promise": () => failed().promise,
  "Iterator.each": () => new Iterator([1]).each(boom),
  "Iterator.inject": () => new Iterator([1]).inject(0, boom),
  "Iterator.map": () => new Iterator([1]).map(boom),
  "Mutex.lock": () => new Mutex().lock({ signal: AbortSignal.abort(new Error("boom")) }),
  "Mutex.synchronize": () => new Mutex().synchronize(boom),
  "Pool.acquire": () => new Pool<number>({ waitingLimit: 0 }).acquire(),
  "Pool.perform": () => new Pool<number>().add(1).perform(boom),
  "Queue.pop": () => closedQueue().pop(),
  "Queue.push": () => closedQueue().push(1),
  "Reactor.attachServer": ({ reactor }) => reactor.attachServer({ fd: -1 }, Connection),
  "Reactor.defer": ({ reactor }) => reactor.defer(boom),
  "Reactor.drain": ({ reactor }) => reactor.drain(-1),
  "Reactor.run": ({ reactor }) => reactor.run(boom),
  "Reactor.openDatagramSocket": ({ reactor }) => reactor.openDatagramSocket({ host: "127.0.0.1", port: -1 }),
  "Reactor.system": ({ reactor }) => reactor.system("/nonexistent"),
  "Reactor.startProxy": ({ reactor }) => reactor.startProxy({ listen: { port: -1 }, backends: [] }),
  "Reactor.startServer": ({ reactor }) => reactor.startServer({ host: "127.0.0.1", port: -1 }, Connection),
  "Reactor.stopServer": ({ reactor }) => reactor.stopServer(WRONG),
  "Resolver.hosts": () => new Resolver({ hosts: "/dev/zero" }).hosts(),
  "Resolver.resolve": () => new Resolver().resolve(""),
  "Resolver.resolve4": () => new Resolver().resolve4(""),
  "Resolver.resolve6": () => new Resolver().resolve6(""),
  "Resolver.resolveCaa": () => new Resolver().resolveCaa(""),
  "Resolver.resolveMx": () => new Resolver().resolveMx(""),
  "Resolver.resolvePtr": () => new Resolver().resolvePtr(""),
  "Resolver.resolveService": () => new Resolver().resolveService(""),
  "Resolver.resolveSrv": () => new Resolver().resolveSrv(""),
  "Resolver.resolveTxt": () => new Resolver().resolveTxt(""),
  "Resolver.reverse": () => new Resolver().reverse(""),
  "ThreadedResource.shutdown": () => {
    const resource = new ThreadedResource(MODULE);
    return resource.terminate().then(() => {
      void resource.shutdown({ timeout: -1 });
    });
  },
  frames: () => frames(failingSource()).next(),
  interval: () => interval(1, { signal: AbortSignal.abort(new Error("boom")) }).next(),
  lines: () => lines(failingSource()).next(),
  multi: () => multi({ one: WRONG }),
  sleep: () => sleep(1, { signal: AbortSignal.abort(new Error("boom")) }),
  // biome-ignore lint/suspicious/noThenProperty: one that is no promise
  sync: () => sync({ then: (_: unknown, refuse: (error: Error) => void) => refuse(new Error("boom")) } as never),
  relay: ({ connection }) => relay(connection, connection),
};

/** What gives promises that need no such care, each with its reason. */
const OTHERS: Record<string, string> = {
  "ChannelStream.return": "never rejects",
  "Completion.then": "derived from its promise, as `then` of any promise is",
  "Connection.[asyncDispose]": "rejects in the constructor alone",
  "Connection.[asyncIterator]": "a step fails with the connection's own end, which unbind reports",
  "Connection.closed": "never rejects",
  "Connection.opened": "rejects with the connection's own end, which unbind reports",
  "Deferrable.then": "derived from its promise",
  "DeferrableChildProcess.promise": "Deferred.promise",
  "Listener.[asyncDispose]": "never rejects",
  "Listener.close": "never rejects",
  "ProxyServer.[asyncDispose]": "never rejects",
  "ProxyServer.close": "never rejects",
  "Queue.[asyncIterator]": "a step never rejects",
  "ThreadedResource.[asyncDispose]": "shutdown itself",
  "ThreadedResource.opened": "every call fails with the same error",
  "ThreadedResource.terminate": "never rejects",
  "TickLoop.stopped": "never rejects",
  attachServer: "Reactor.attachServer",
  defer: "Reactor.defer",
  drain: "Reactor.drain",
  run: "Reactor.run",
  openDatagramSocket: "Reactor.openDatagramSocket",
  startProxy: "Reactor.startProxy",
  startServer: "Reactor.startServer",
  system: "Reactor.system",
  stopServer: "Reactor.stopServer",
};

test("every call of the public face that gives a promise is in one of the two lists", () => {
  assert.deepEqual([...Object.keys(OPERATIONS), ...Object.keys(OTHERS)].sort(), givingPromises());
});

interface Seen {
  readonly reported: unknown[];
  /** What the connection's own `onError` was told. */
  readonly own: unknown[];
  readonly unhandled: unknown[];
}

/** Begins something on an open connection, inside a callback of it, and says who heard of it. */
async function begun(engine: EngineSuite, begin: (scene: Scene) => unknown): Promise<Seen> {
  const reactor = new Reactor({ engine: engine.name });
  const seen: Seen = { reported: [], own: [], unhandled: [] };
  const note = (error: unknown) => seen.unhandled.push(error);
  process.on("unhandledRejection", note);
  class Beginner extends Connection {
    override connectionCompleted(): void {
      begin({ reactor, connection: this });
    }
    override onError(error: unknown): boolean {
      seen.own.push(error);
      return false;
    }
  }
  reactor.onError((error) => seen.reported.push(error));
  try {
    await within(
      reactor.run(async () => {
        const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection);
        const client = reactor.connect({ host: "127.0.0.1", port }, Beginner);
        await client.opened;
        const heard = () => seen.reported.length + seen.unhandled.length > 0;
        await until(heard, "somebody hears of it", 2_000).catch(() => {});
        await new Promise((resolve) => setImmediate(resolve));
        reactor.stop();
      }),
      "run ends",
    );
  } finally {
    process.off("unhandledRejection", note);
  }
  return seen;
}

onEveryEngine("failures that nobody observes", (engine) => {
  for (const [name, fail] of Object.entries(OPERATIONS)) {
    test(`${name}: reported, and never to the process`, async () => {
      const { reported, own, unhandled } = await begun(engine, (scene) => void fail(scene));
      assert.deepEqual(unhandled, []);
      assert.equal(reported.length, 1);
      assert.ok(reported[0] instanceof Error);
      // A connection's own operations are reported to it first.
      assert.equal(own.length, name.startsWith("Connection.") ? 1 : 0);
    });
  }

  test("what is observed in the same turn is the observer's alone", async () => {
    const caught: string[] = [];
    const note = (how: string) => () => void caught.push(how);
    const { reported, unhandled } = await begun(engine, async ({ reactor, connection }) => {
      const fail = () => new Pool<number>().add(1).perform(boom);
      fail().catch(note("catch"));
      fail().then(undefined, note("then"));
      fail().finally(note("finally")).catch(note("behind finally"));
      Promise.all([fail()]).catch(note("all"));
      Promise.race([fail()]).catch(note("race"));
      (async () => {
        await fail();
      })().catch(note("await"));
      connection.sendFileData("/nonexistent/file").catch(note("file"));
      promisify((done: (error: unknown) => void) => fail().then(undefined, done))().catch(note("promisify"));
      assert.ok(fail().catch(() => {}) instanceof Promise);
      const one = fail();
      assert.ok(one instanceof Promise);
      queueMicrotask(() => one.catch(note("a microtask later")));
      await new Promise((resolve) => reactor.addTimer(20, () => resolve(undefined)));
      reactor.onError(() => {});
      reactor.stop();
    });
    assert.deepEqual([reported, unhandled], [[], []]);
    const hows = ["catch", "then", "finally", "behind finally", "all", "race", "await", "file", "promisify"];
    assert.deepEqual(caught.sort(), [...hows, "a microtask later"].sort());
  });

  test("without a handler the run rejects with it", async () => {
    const reactor = new Reactor({ engine: engine.name });
    const run = reactor.run(() => {
      void new Iterator([1]).each(boom);
    });
    await assert.rejects(within(run, "run ends"), /boom/);
  });

  test("a port that is taken", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    try {
      const { reported, unhandled } = await begun(engine, ({ reactor }) => {
        void reactor.startServer({ host: "127.0.0.1", port }, Connection);
      });
      assert.deepEqual(unhandled, []);
      assert.deepEqual(
        reported.map((error) => (error as { code?: string }).code),
        ["EADDRINUSE"],
      );
    } finally {
      other.close();
    }
  });

  test("what the connection's own onError takes goes no further", async () => {
    const reactor = new Reactor({ engine: engine.name });
    const codes: unknown[] = [];
    class Takes extends Connection {
      override connectionCompleted(): void {
        void this.sendFileData("/nonexistent/file");
      }
      override onError(error: unknown): boolean {
        codes.push((error as { code?: string }).code);
        reactor.addTimer(10, () => {
          codes.push(this.state);
          reactor.stop();
        });
        return true;
      }
    }
    await within(
      reactor.run(async () => {
        const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection);
        reactor.connect({ host: "127.0.0.1", port }, Takes);
      }),
      "run ends",
    );
    assert.deepEqual(codes, ["ENOENT", "open"]);
  });

  test("what says only that the connection ended is reported by unbind alone", async () => {
    const { reported, own, unhandled } = await begun(engine, ({ reactor, connection }) => {
      connection.abort();
      void connection.sendFileData("/nonexistent/file");
      void connection.detach();
      void new Pool<number>().add(1).perform(async () => await connection.sendFileData("/nonexistent/file"));
      reactor.addTimer(10, () => reactor.stop());
    });
    assert.deepEqual([reported, own, unhandled], [[], [], []]);
  });

  test("callbacks of the toolbox that fail by themselves are reported too", async () => {
    const kinds: Record<string, (scene: Scene) => unknown> = {
      "onDiscard after a health check": () => {
        const pool = new Pool<number>({ healthCheck: () => false, onDiscard: boom });
        return void pool
          .add(1)
          .acquire({ signal: AbortSignal.timeout(5) })
          .catch(() => {});
      },
      "a promise of onDiscard": () => new Pool<number>({ onDiscard: async () => boom() }).add(1).close(),
      "onDiscard of one made too late": () => {
        const pool = new Pool<number>({ create: async () => 1, size: 1, onDiscard: boom });
        pool.acquire().catch(() => {});
        pool.close();
      },
      "a promise of a pool's onError": () => {
        const pool = new Pool<number>().add(1);
        pool.onError(async () => boom());
        pool.perform(() => Promise.reject(new Error("work"))).catch(() => {});
      },
      "work that fails after its iteration": async () => {
        const late = (_item: number, step: { next(): void }) => {
          step.next();
          return sleep(5).then(boom);
        };
        await new Iterator([1]).each(late);
      },
      "a channel's own handler": () => {
        new Channel<number>({ onError: boom }).subscribe(async () => boom());
        const channel = new Channel<number>({ onError: boom });
        channel.subscribe(async () => boom());
        channel.push(1);
      },
    };
    for (const [kind, begin] of Object.entries(kinds)) {
      const { reported, unhandled } = await begun(engine, (scene) => void begin(scene));
      assert.deepEqual([kind, unhandled, reported.length], [kind, [], 1]);
      assert.match(String(reported[0]), /boom/);
    }
  });

  test("outside of any reactor it is Node's business", () => {
    const program = `
      import { Connection, Pool, Reactor } from "eventmachine";
      process.on("unhandledRejection", (error) => console.log(error.code ?? error.message));
      const reactor = new Reactor({ engine: "${engine.name}" });
      new Pool().add(1).perform(() => { throw new Error("boom"); });
      reactor.drain();
      reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection);`;
    const told = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
      timeout: PATIENCE,
    });
    assert.deepEqual(told.trim().split("\n").sort(), ["ERR_EM_NOT_RUNNING", "ERR_EM_NOT_RUNNING", "boom"]);
  });
});
