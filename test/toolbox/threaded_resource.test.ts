import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { threadId } from "node:worker_threads";
import {
  ArgumentError,
  type Completion,
  EventMachineError,
  LimitError,
  onError,
  Pool,
  Reactor,
  reactor,
  run,
  StateError,
  SystemError,
  stop,
  ThreadedResource,
  type ThreadedResourceOptions,
} from "eventmachine";
import fc from "fast-check";
import { FakeClock } from "./fake_clock.js";
import type { Ledger } from "./resources/ledger.js";

const MODULE = new URL("./resources/ledger.js", import.meta.url);
/** Far beyond what anything here takes. */
const PATIENCE = 20_000;

function open(options: ThreadedResourceOptions = {}): ThreadedResource<Ledger> {
  return new ThreadedResource<Ledger>(MODULE, { args: ["Ann"], ...options });
}

/** A module from its text. */
function text(source: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}

/** A number that a thread waits for, and how to give it. */
function makeGate(): { cell: Int32Array; open: () => void } {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const open = () => {
    Atomics.store(cell, 0, 1);
    Atomics.notify(cell, 0);
  };
  return { cell, open };
}

/** What a call failed with, which it has to. */
async function failure(call: PromiseLike<unknown>): Promise<Error & { code?: string }> {
  const outcome = await within(
    call.then(
      () => undefined,
      (error) => ({ error }),
    ),
  );
  assert.ok(outcome !== undefined, "the call succeeded");
  return outcome.error;
}

async function within<T>(value: PromiseLike<T>): Promise<T> {
  const late = Symbol("late");
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<typeof late>((resolve) => {
    timer = setTimeout(resolve, PATIENCE, late);
  });
  const first = await Promise.race([value, deadline]);
  clearTimeout(timer);
  assert.ok(first !== late, "nothing came in time");
  return first as T;
}

describe("ThreadedResource", () => {
  it("makes the resource with its arguments, in a thread of its own", async () => {
    await using ledger = open();
    await within(ledger.opened);
    assert.equal(await within(ledger.dispatch("owner")), "Ann");
    const thread = await within(ledger.dispatch("thread"));
    assert.notEqual(thread, threadId);
    assert.equal(await within(ledger.dispatch("thread")), thread);
  });

  it("takes for an answer what the thread says itself, and not what its code posts", async () => {
    await using ledger = open();
    const forged = [
      null,
      7,
      {},
      { kind: "returned", value: "forged" },
      { kind: "disposed" },
      { kind: "made", error: {} },
    ];
    const calls = [ledger.dispatch("post", forged), ledger.dispatch("owner")];
    assert.deepEqual(await within(Promise.all(calls)), [0, "Ann"]);
    assert.equal(ledger.isClosed, false);
  });

  it("tells callbacks what a call returned, and errbacks what it threw", async () => {
    await using ledger = open();
    const told: unknown[] = [];
    const good = ledger.dispatch("add", "rent").callback((count) => told.push(count));
    const bad = ledger.dispatch("throwCoded").errback((error) => told.push((error as Error).message));
    await within(good);
    await failure(bad);
    assert.deepEqual(told, [1, "no such account"]);
    assert.deepEqual([good.state, bad.state], ["succeeded", "failed"]);
  });

  it("makes one call after the other, in their order, also where one takes its time", async () => {
    await using ledger = open();
    const slow = ["a", "b", "c"].map((entry) => ledger.dispatch("addSlowly", entry));
    const quick = ledger.dispatch("add", "d");
    assert.equal(ledger.numWaiting, 4);
    const settled: number[] = [];
    for (const [at, call] of [...slow, quick].entries()) (call as Completion).completion(() => settled.push(at));
    assert.deepEqual(await within(Promise.all(slow)), [true, true, true]);
    assert.equal(await within(quick), 4);
    assert.deepEqual(settled, [0, 1, 2, 3]);
    assert.equal(ledger.numWaiting, 0);
    assert.deepEqual(await within(ledger.dispatch("entries")), ["a", "b", "c", "d"]);
  });

  it("copies arguments when the call is made", async () => {
    await using ledger = open();
    const bytes = Buffer.from("before");
    const call = ledger.dispatch("measure", bytes);
    bytes.fill("x");
    assert.equal((await within(call)).text, "before");
  });

  it("sends bytes, and not the memory around them", async () => {
    await using ledger = open();
    const small = Buffer.from("seven bytes");
    assert.ok(small.buffer.byteLength > small.length, "a Buffer of Node's pool");
    assert.deepEqual(await within(ledger.dispatch("measure", small)), { text: "seven bytes", memory: small.length });
    assert.equal(small.toString(), "seven bytes");
    const returned = await within(ledger.dispatch("bytes", "and back"));
    assert.deepEqual(returned, new TextEncoder().encode("and back"));
    assert.equal(returned.buffer.byteLength, returned.byteLength);
  });

  it("sends bytes that it is made with, and not the memory around them", async () => {
    const small = Buffer.from("seven bytes");
    assert.ok(small.buffer.byteLength > small.length, "a Buffer of Node's pool");
    const module = text("export default (bytes) => ({ memory: () => bytes.buffer.byteLength })");
    await using resource = new ThreadedResource<{ memory(): number }>(module, { args: [small] });
    assert.equal(await within(resource.dispatch("memory")), small.length);
  });

  it("answers a call whose answer comes while the reactor has its last turns", async () => {
    await using resource = new ThreadedResource<{ one(): number }>(
      text("export default () => ({ one: () => new Promise((resolve) => setTimeout(resolve, 50, 1)) })"),
    );
    await within(resource.opened);
    const calls: Completion<{ succeeded: number; failed: unknown }>[] = [];
    const own = new Reactor();
    await own.run(() => {
      own.schedule(() => calls.push(resource.dispatch("one")));
      own.addTimer(1, () => {
        // The answer is there when the turn ends.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
        own.stop();
      });
    });
    assert.equal(await within(calls[0] as Completion<{ succeeded: number; failed: unknown }>), 1);
  });

  it("lives on when a method throws what cannot be put into words, or an error that cannot be read", async () => {
    const module = text(`export default () => ({
      one: () => 1,
      odd() { throw Object.assign(Object.create(null), { call() {} }); },
      sly() { throw Object.defineProperty(new Error("sly"), "bad", { enumerable: true, get() { throw 1; } }); },
    })`);
    await using resource = new ThreadedResource<{ one(): number; odd(): void; sly(): void }>(module);
    assert.equal(await failure(resource.dispatch("odd")), "an object");
    assert.equal((await failure(resource.dispatch("sly"))).message, "sly");
    assert.equal(await within(resource.dispatch("one")), 1);
  });

  it("is a resource for a Pool, several of which work side by side", async () => {
    const gates = [makeGate(), makeGate()];
    const pool = new Pool<ThreadedResource<Ledger>>({ create: () => open(), size: 2 });
    const work = gates.map(({ cell }) => pool.perform((ledger) => ledger.dispatch("wait", cell)));
    // The second is let go first: one thread for both would never come to it.
    for (const at of [1, 0]) {
      gates[at]?.open();
      await within(work[at] as Promise<void>);
    }
    const { contents } = pool;
    assert.equal(contents.length, 2);
    pool.close();
    await within(Promise.all(contents.map((ledger) => ledger.shutdown())));
  });

  it("takes a function that is the default of the default, as a compiler to CommonJS leaves it", async () => {
    const module = text("export default { default: () => ({ one: () => 1 }) }");
    await using resource = new ThreadedResource<{ one(): number }>(module);
    assert.equal(await within(resource.dispatch("one")), 1);
  });
});

describe("ThreadedResource: errors of the resource", () => {
  it("carries name, code, facts, stack and cause", async () => {
    await using ledger = open();
    const error = await failure(ledger.dispatch("throwCoded"));
    assert.ok(error instanceof TypeError);
    assert.deepEqual({ ...error }, { code: "ENOACCOUNT", attempts: 3 });
    assert.match(error.stack ?? "", /throwCoded/);
    assert.ok(error.cause instanceof RangeError);
    assert.equal(error.cause.message, "too far");
  });

  it("carries the package's own errors, which instanceof knows", async () => {
    await using ledger = open();
    const error = await failure(ledger.dispatch("throwSystem"));
    assert.ok(error instanceof SystemError);
    assert.ok(error instanceof EventMachineError);
    assert.equal(error.code, "EADDRINUSE");
    assert.equal(error.name, "SystemError");
  });

  it("carries several errors, and a cause that is its own", async () => {
    await using ledger = open();
    const several = (await failure(ledger.dispatch("throwSeveral"))) as AggregateError;
    assert.ok(several instanceof AggregateError);
    assert.deepEqual(
      several.errors.map((error) => String(error)),
      ["Error: one", "RangeError: two"],
    );
    let depth = 0;
    for (let error: unknown = await failure(ledger.dispatch("throwCircle")); error instanceof Error; depth++) {
      assert.equal(error.message, "round");
      error = error.cause;
    }
    assert.ok(depth > 1 && depth < 20, `a chain of ${depth}`);
  });

  it("carries what is no error, or words for it", async () => {
    await using ledger = open();
    assert.equal(await failure(ledger.dispatch("throwText")), "a text");
    assert.equal(await failure(ledger.dispatch("throwFunction")), "() => 1");
  });

  it("says what cannot be copied, and goes on", async () => {
    await using ledger = open();
    const result = await failure(ledger.dispatch("returnFunction"));
    assert.ok(result instanceof ArgumentError);
    assert.equal(result.code, "ERR_EM_NOT_CLONEABLE");
    assert.match(result.message, /returnFunction/);
    const notCloneable = { name: "ArgumentError", code: "ERR_EM_NOT_CLONEABLE", message: /add/ };
    assert.throws(() => ledger.dispatch("add", (() => 1) as never), notCloneable);
    assert.throws(() => open({ args: [() => 1] }), { ...notCloneable, message: /args/ });
    assert.equal(await within(ledger.dispatch("owner")), "Ann");
    assert.equal(ledger.numWaiting, 0);
  });

  it("fails a call of a method there is not", async () => {
    await using ledger = open();
    const error = await failure(ledger.dispatch("entires" as "entries"));
    assert.ok(error instanceof TypeError);
    assert.match(error.message, /no method entires/);
    assert.equal(await within(ledger.dispatch("owner")), "Ann");
  });

  it("refuses what is no module, no method and no option", async () => {
    const wrong = { name: "ArgumentError", code: "ERR_EM_INVALID_ARGUMENT" };
    assert.throws(() => new ThreadedResource("./ledger.js" as never), { ...wrong, message: /module must be a URL/ });
    assert.throws(() => open({ args: "Ann" as never }), { ...wrong, message: /args must be an array/ });
    await using ledger = open({ callLimit: 1 });
    assert.throws(() => ledger.dispatch(1 as never), { ...wrong, message: /method must be a name, not 1/ });
    for (const callLimit of [0, -1, 1.5, Number.NaN]) assert.throws(() => open({ callLimit }), wrong);
  });
});

describe("ThreadedResource: bounds and time", () => {
  it("refuses the call too many, and takes calls again when one is answered", async () => {
    await using ledger = open({ callLimit: 2 });
    const gate = makeGate();
    const waiting = [ledger.dispatch("wait", gate.cell), ledger.dispatch("owner")];
    const refused = ledger.dispatch("owner");
    assert.ok(refused.isCompleted);
    const error = (await failure(refused)) as LimitError;
    assert.ok(error instanceof LimitError);
    assert.deepEqual([error.code, error.limit], ["ERR_EM_RESOURCE_CALL_LIMIT", 2]);
    gate.open();
    await within(Promise.all(waiting));
    assert.equal(await within(ledger.dispatch("owner")), "Ann");
  });

  it("gives up waiting after a timeout, and keeps what comes later to itself", async () => {
    const clock = new FakeClock();
    await using ledger = open({ clock });
    const gate = makeGate();
    const call = ledger.dispatch("wait", gate.cell).timeout(1_000);
    const next = ledger.dispatch("owner");
    clock.advance(1_000);
    assert.equal((await failure(call)).code, "ERR_EM_TIMEOUT");
    gate.open();
    const deadline = Date.now() + PATIENCE;
    while (!next.isCompleted && Date.now() < deadline) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.turn();
    }
    assert.equal(next.value, "Ann");
    assert.equal(call.state, "failed");
  });

  it("answers every call once and in order, whatever the mixture", async () => {
    await using ledger = open();
    const script = fc.array(fc.constantFrom("add", "addSlowly", "throwText", "returnFunction"), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(script, async (methods) => {
        const answers: string[] = [];
        const calls = methods.map((method, at) => {
          const call = ledger.dispatch(method as "add", "entry") as Completion;
          return call.completion(() => answers.push(`${at} ${method} ${call.state}`));
        });
        await within(Promise.allSettled(calls));
        const expected = methods.map(
          (method, at) => `${at} ${method} ${method.startsWith("add") ? "succeeded" : "failed"}`,
        );
        assert.deepEqual(answers, expected);
      }),
      { numRuns: 20 },
    );
  });
});

describe("ThreadedResource: the reactor", () => {
  it("delivers in a turn of the reactor that was current at the call, and reports there what a callback throws", async () => {
    await using ledger = open();
    const own = new Reactor();
    const reported: unknown[] = [];
    const current: Reactor[] = [];
    own.onError((error) => {
      reported.push(error);
      own.stop();
    });
    await within(
      own.run(() => {
        ledger.dispatch("owner").callback(() => {
          current.push(reactor());
          throw new Error("not today");
        });
      }),
    );
    assert.deepEqual(current, [own]);
    assert.deepEqual(reported.map(String), ["Error: not today"]);
  });

  it("answers in the default reactor, and behind its stop", async () => {
    const ledger = open();
    const reported: unknown[] = [];
    onError((error) => reported.push(error));
    let late: Completion | undefined;
    await within(
      run(async () => {
        assert.equal(await ledger.dispatch("owner"), "Ann");
        late = ledger.dispatch("addSlowly", "entry") as Completion;
        stop();
      }),
    );
    assert.equal(await within(late as Completion), true);
    await within(ledger.shutdown());
    onError(undefined);
    assert.deepEqual(reported, []);
  });
});

describe("ThreadedResource: the end", () => {
  it("answers what it has, disposes of the resource and takes nothing more", async () => {
    const disposal = new Int32Array(new SharedArrayBuffer(4));
    const ledger = open({ args: ["Ann", disposal] });
    const calls = [ledger.dispatch("addSlowly", "a"), ledger.dispatch("addSlowly", "b")];
    assert.ok(!ledger.isClosed);
    const over = ledger.shutdown({ timeout: 2 ** 40 });
    assert.ok(ledger.isClosed);
    const refused = await failure(ledger.dispatch("owner"));
    assert.ok(refused instanceof StateError);
    assert.equal(refused.code, "ERR_EM_CLOSED");
    await within(over);
    assert.deepEqual(await within(Promise.all(calls)), [true, true]);
    assert.equal(disposal[0], 3, "disposed of once, behind both entries");
    await within(ledger.shutdown());
    assert.equal((await failure(ledger.dispatch("owner"))).code, "ERR_EM_CLOSED");
  });

  it("is shut down by `await using`", async () => {
    const disposal = new Int32Array(new SharedArrayBuffer(4));
    {
      await using ledger = open({ args: ["Ann", disposal] });
      ledger.dispatch("addSlowly", "a");
    }
    assert.equal(disposal[0], 2, "behind the entry");
  });

  it("rejects with what the disposal threw, and the thread is gone all the same", async () => {
    const ledger = open({ args: ["Ann", new Int32Array(new SharedArrayBuffer(4)).fill(-1)] });
    assert.match((await failure(ledger.shutdown())).message, /cannot close/);
    assert.equal((await failure(ledger.dispatch("owner"))).code, "ERR_EM_CLOSED");
  });

  it("ends a thread that does not come to an end, when the time is over", async () => {
    const ledger = open();
    const stuck = ledger.dispatch("spin");
    assert.equal((await failure(ledger.shutdown({ timeout: 50 }))).code, "ERR_EM_TIMEOUT");
    assert.equal((await failure(stuck)).code, "ERR_EM_TIMEOUT");
    await assert.rejects(open().shutdown({ timeout: -1 }), ArgumentError);
  });

  it("ends at once when it is terminated", async () => {
    const ledger = open();
    const calls = [ledger.dispatch("spin"), ledger.dispatch("owner")];
    await within(ledger.opened);
    await within(ledger.terminate());
    for (const call of calls) assert.equal((await failure(call)).code, "ERR_EM_CLOSED");
    assert.ok(ledger.isClosed);
    await within(ledger.shutdown());
    await within(ledger.terminate());
  });

  it("fails all calls when the thread ends by itself", async () => {
    for (const crash of ["exit", "throwLater"] as const) {
      const ledger = open();
      const calls = [crash === "exit" ? ledger.dispatch("exit", 5) : ledger.dispatch(crash), ledger.dispatch("owner")];
      for (const call of calls) {
        const error = await failure(call as Completion);
        assert.equal(error.code, "ERR_EM_THREAD_ENDED");
        assert.match(error.message, crash === "exit" ? /exit code 5/ : /out of the blue/);
      }
      assert.ok(ledger.isClosed);
      assert.equal((await failure(ledger.dispatch("owner"))).code, "ERR_EM_THREAD_ENDED");
      await within(ledger.shutdown());
    }
  });

  it("rejects a shutdown in whose course the thread ends by itself", async () => {
    const ledger = open();
    ledger.dispatch("exit", 0);
    assert.equal((await failure(ledger.shutdown())).code, "ERR_EM_THREAD_ENDED");
  });

  it("says why the resource could not be made, to `opened` and to every call", async () => {
    const broken: [module: URL, why: RegExp][] = [
      [new URL("./resources/none.js", import.meta.url), /none\.js/],
      [text("export default 1"), /must export a function/],
      [text("export default () => 1"), /must return an object/],
      [text("export default () => { throw new Error('no money') }"), /no money/],
      [text("export default async () => { throw new Error('no time') }"), /no time/],
    ];
    for (const [module, why] of broken) {
      const resource = new ThreadedResource<Ledger>(module);
      const early = resource.dispatch("owner");
      for (const call of [resource.opened, early, resource.dispatch("owner")]) {
        const error = await failure(call);
        assert.equal(error.code, "ERR_EM_RESOURCE_FAILED");
        assert.match(error.message, why);
        assert.match((error.cause as Error).message, why);
      }
      assert.ok(resource.isClosed);
      await within(resource.shutdown());
    }
  });

  it("passes Node's options on to the thread", async () => {
    await using resource = new ThreadedResource<{ name(): string }>(
      text("export default () => ({ name: () => process.env.LEDGER })"),
      { thread: { env: { LEDGER: "Ann's" } } },
    );
    assert.equal(await within(resource.dispatch("name")), "Ann's");
  });

  it("leaves it to Node to refuse options of Node's", () => {
    const thread = { execArgv: ["--no-such-option"] };
    assert.throws(() => open({ thread }), { code: "ERR_WORKER_INVALID_EXEC_ARGV" });
  });

  it("keeps the process alive for a call, and not for itself", () => {
    const program = fileURLToPath(new URL("./programs/resource_left_open.js", import.meta.url));
    const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: "utf8", timeout: PATIENCE });
    assert.deepEqual([status, stdout], [0, "answered true\n"], stderr);
  });
});
