import assert from "node:assert/strict";
import { ArgumentError, reactor as current, type DeferOperation, type Reactor, worker } from "eventmachine";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { PATIENCE, until, within } from "../support/wait.js";

const JOBS = new URL("../workers/modules/jobs.js", import.meta.url);
const COMMON = new URL("../workers/modules/common.cjs", import.meta.url);
const spin = worker(() => {
  for (;;);
});

onEveryEngine("defer", (engine: EngineSuite) => {
  engine.rule("a function runs here, after the call, and may return a promise", async (trial) => {
    const { reactor } = trial;
    const log: unknown[] = [];
    await new Promise<void>((resolve) =>
      reactor.schedule(() => {
        reactor.defer(
          async () => {
            log.push("operation", current() === reactor);
            await trial.sleep(1);
            return 42;
          },
          (value) => {
            log.push(value, current() === reactor, reactor.defersFinished);
            resolve();
          },
        );
        log.push("after", reactor.defersFinished);
      }),
    );
    assert.deepEqual(log, ["after", false, "operation", true, 42, true, false]);
    await trial.until(() => reactor.defersFinished, "all are done");
    assert.equal(await reactor.defer(() => 7), 7);
  });

  engine.rule("functions and modules run in threads, ES modules and CommonJS", async (trial) => {
    const { reactor } = trial;
    const { threadId } = await import("node:worker_threads");
    const there = await reactor.defer(worker(async () => (await import("node:worker_threads")).threadId));
    assert.notEqual(there, threadId);
    const sum: number = await reactor.defer(worker((left: number, right: number) => left + right, 1, 2));
    assert.equal(sum, 3);
    const methods = {
      async twice(value: number) {
        return 2 * value;
      },
    };
    assert.equal(await reactor.defer(worker(methods.twice, 21)), 42);
    assert.equal(await reactor.defer({ module: JOBS, args: ["loud"] }), "LOUD");
    assert.equal(await reactor.defer({ module: JOBS, method: "add", args: [1, 2] }), 3);
    assert.equal(await reactor.defer({ module: COMMON, method: "add", args: [3, 4] }), 7);
    assert.match(await reactor.defer<string>({ module: COMMON, method: "here" }), /common\.cjs$/);
    for (const method of ["missing", "notOne", "constructor", "toString"]) {
      await assert.rejects(reactor.defer({ module: JOBS, method }), /exports no function/);
    }
    await assert.rejects(reactor.defer({ module: new URL("file:///nowhere/at/all.js") }), {
      code: "ERR_MODULE_NOT_FOUND",
    });
  });

  engine.rule("errors come back with stack, cause and code, to the errback in a turn", async (trial) => {
    const { reactor } = trial;
    const error = await new Promise<RangeError & { code: string; detail: number }>((resolve, reject) =>
      reactor.schedule(() => {
        reactor.defer({ module: JOBS, method: "fail" }, reject, (given) => {
          assert.equal(current(), reactor);
          resolve(given as RangeError & { code: string; detail: number });
        });
      }),
    );
    assert.ok(error instanceof RangeError);
    assert.deepEqual([error.message, error.code, error.detail], ["too far", "EFAR", 7]);
    assert.match(error.stack ?? "", /jobs\.js/);
    assert.equal((error.cause as Error).message, "the cause");
    await assert.rejects(reactor.defer(worker(() => Promise.reject("a text"))), (thrown) => thrown === "a text");
    await assert.rejects(
      reactor.defer(() => Promise.reject(new Error("here"))),
      { message: "here" },
    );
    const outside = 1;
    await assert.rejects(reactor.defer(worker(() => outside)), { name: "ReferenceError" });
  });

  engine.runRule("without an errback an error goes to onError, or ends the run", async (trial) => {
    const boom = () => {
      throw new Error("boom");
    };
    for (const operation of [boom, worker(boom)]) {
      const reactor = trial.makeReactor();
      await assert.rejects(
        within(
          reactor.run(() => void reactor.defer(operation, () => {})),
          "the run ends",
        ),
        { message: "boom" },
      );
      const reported: string[] = [];
      await reactor.run(() => {
        reactor.onError((error) => {
          reported.push((error as Error).message);
          if (reported.length === 2) reactor.stop();
        });
        void reactor.defer(operation);
        void reactor.defer(
          () => 1,
          () => {
            throw new Error("callback");
          },
        );
      });
      assert.deepEqual(reported.sort(), ["boom", "callback"]);
    }
  });

  engine.rule("a deadline and a signal end what is under way, and the thread is replaced", async (trial) => {
    const { reactor } = trial;
    reactor.threadpoolSize = 1;
    await assert.rejects(reactor.defer(spin, { timeout: 100 }), { code: "ERR_EM_TIMEOUT" });
    assert.equal(await reactor.defer(worker(() => 1)), 1);
    const control = new AbortController();
    const running = reactor.defer(spin, { signal: control.signal });
    const waiting = reactor.defer(spin, { signal: control.signal });
    running.catch(() => {});
    waiting.catch(() => {});
    await trial.until(() => reactor.threadpool.busy === 1 && reactor.threadpool.queued === 1, "one runs, one waits");
    control.abort(new Error("enough"));
    await assert.rejects(running, { message: "enough" });
    await assert.rejects(waiting, { message: "enough" });
    assert.equal(await reactor.defer(worker(() => 2)), 2);
    let aborted: unknown;
    const local = (signal: AbortSignal) =>
      new Promise(() => signal.addEventListener("abort", () => (aborted = signal.reason)));
    await assert.rejects(reactor.defer(local, { timeout: 10 }), { code: "ERR_EM_TIMEOUT" });
    assert.equal((aborted as { code?: string }).code, "ERR_EM_TIMEOUT");
    await assert.rejects(
      reactor.defer(() => 1, { signal: AbortSignal.abort(new Error("before")) }),
      {
        message: "before",
      },
    );
    assert.equal(reactor.threadpool.lost, 2);
  });

  engine.rule("a thread that dies fails its own job and is replaced", async (trial) => {
    const { reactor } = trial;
    reactor.threadpoolSize = 2;
    const deaths: DeferOperation<unknown>[] = [
      worker(() => process.exit(3)),
      worker(
        () =>
          new Promise(() => {
            setTimeout(() => {
              throw new Error("late");
            }, 1);
          }),
      ),
    ];
    for (const death of deaths) {
      const others = Array.from({ length: 4 }, (_, index) => reactor.defer(worker((value: number) => value, index)));
      await assert.rejects(reactor.defer(death), { name: "EventMachineError", code: "ERR_EM_THREAD_ENDED" });
      assert.deepEqual(await Promise.all(others), [0, 1, 2, 3]);
    }
    assert.equal(await reactor.defer(worker(() => "alive")), "alive");
  });

  const few = { workers: { max: 2, queueLimit: 3, idleTimeout: 50 } };
  engine.rule(
    "threads and waiting jobs are bounded, and threads end when there is nothing to do",
    async (trial) => {
      const { reactor } = trial;
      assert.equal(reactor.threadpoolSize, 2);
      assert.deepEqual(reactor.threadpool, { threads: 0, busy: 0, queued: 0, done: 0, lost: 0 });
      const slow = worker(() => new Promise((resolve) => setTimeout(resolve, 100, "done")));
      const jobs = Array.from({ length: 8 }, () => reactor.defer(slow));
      const outcomes = await Promise.allSettled(jobs);
      const refused = outcomes.filter((each) => each.status === "rejected");
      assert.equal(refused.length, 3);
      assert.equal(refused[0]?.reason.code, "ERR_EM_DEFER_QUEUE_LIMIT");
      assert.equal(refused[0]?.reason.limit, 3);
      assert.equal(reactor.threadpool.done, 5);
      await trial.until(() => reactor.threadpool.threads === 0, "they end");
    },
    { reactor: few },
  );

  engine.rule("buffers are handed over on request, and copied else", async (trial) => {
    const { reactor } = trial;
    const size = worker((bytes: Uint8Array) => bytes.length, new Uint8Array(1_000));
    const given = size.args[0] as Uint8Array<ArrayBuffer>;
    assert.equal(await reactor.defer(size), 1_000);
    assert.equal(given.length, 1_000);
    assert.equal(await reactor.defer(size, { transfer: [given.buffer] }), 1_000);
    assert.equal(given.length, 0, "it is the thread's");
    const keeping = worker((hands: boolean) => {
      const kept = globalThis as { kept?: Uint8Array };
      const before = kept.kept?.length;
      kept.kept = new Uint8Array(10);
      return { before, bytes: hands ? kept.kept : kept.kept };
    }, true);
    reactor.threadpoolSize = 1;
    assert.equal((await reactor.defer(keeping)).bytes.length, 10);
    assert.equal((await reactor.defer(keeping, { transferResult: true })).before, 10);
    assert.equal((await reactor.defer(keeping)).before, 0);
    const pooled = await reactor.defer(worker((bytes: Uint8Array) => bytes.buffer.byteLength, Buffer.from("secret")));
    assert.equal(pooled, 6, "nobody else's bytes go along");
  });

  engine.runRule("a stop tells what is under way, and leaves no thread", async (trial) => {
    const reactor = trial.makeReactor({ workers: { max: 2 } });
    const codes: unknown[] = [];
    const note = (error: unknown) => void codes.push((error as { code?: string }).code);
    await within(
      reactor.run(() => {
        for (let count = 0; count < 3; count++) reactor.defer(spin, undefined, note);
        reactor.defer(() => new Promise(() => {}), undefined, note);
        reactor.addTimer(50, () => reactor.stop());
      }),
      "the run ends",
    );
    assert.deepEqual(codes, Array(4).fill("ERR_EM_NOT_RUNNING"));
    assert.equal(reactor.defersFinished, true);
    assert.equal(reactor.threadpool.threads, 0);
    await until(() => workersAlive() === 0, "the threads are gone");
    await assert.rejects(
      reactor.defer(() => 1),
      { code: "ERR_EM_NOT_RUNNING" },
    );
    await reactor.run(async () => {
      assert.equal(await reactor.defer(worker(() => 5)), 5);
      reactor.stop();
    });
  });

  engine.runRule("a drain leaves the pool its work, and no thread after it", async (trial) => {
    const reactor = trial.makeReactor({ workers: { min: 2, max: 2 } });
    await reactor.run(async () => {
      assert.equal(await reactor.defer(worker(() => 1)), 1);
      const slow = reactor.defer(worker(() => new Promise((resolve) => setTimeout(resolve, 100, 2))));
      assert.deepEqual(await reactor.drain(1_000), { finished: 0, aborted: 0 });
      assert.equal(await slow, 2);
      await until(() => reactor.threadpool.threads === 0, "they end");
      reactor.stop();
    });
  });

  engine.rule("what a job's own code posts to its parent is nobody's answer", async (trial) => {
    const { reactor } = trial;
    reactor.threadpoolSize = 1;
    const posting = async (message: unknown) => {
      const { parentPort, workerData } = await import("node:worker_threads");
      parentPort?.postMessage(message);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return Object.keys(workerData as object).length;
    };
    const messages = [
      null,
      undefined,
      7,
      {},
      { progress: 1 },
      { kind: "returned", value: "not it" },
      { kind: "threw" },
    ];
    for (const message of messages) assert.equal(await reactor.defer(worker(posting, message)), 0);
    const late = worker(async () => {
      const { parentPort } = await import("node:worker_threads");
      setTimeout(() => parentPort?.postMessage({ kind: "returned", value: "the next one's" }), 5);
      return "its own";
    });
    const slow = worker(() => new Promise((resolve) => setTimeout(resolve, 30, "the second")));
    assert.deepEqual(await Promise.all([reactor.defer(late), reactor.defer(slow)]), ["its own", "the second"]);
    assert.equal(reactor.threadpool.lost, 0);
  });

  engine.rule("an answer given right before the thread ends is one, and the next job gets a thread", async (trial) => {
    const { reactor } = trial;
    reactor.threadpoolSize = 1;
    const last = worker(() => {
      setImmediate(() => process.exit(0));
      return "the last";
    });
    for (let round = 0; round < 10; round++) {
      assert.equal(await reactor.defer(last), "the last");
      await trial.until(() => reactor.threadpool.threads === 0, "the thread is gone");
    }
    // What comes meanwhile may begin in a thread that is about to end, and is told so; else it is done.
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => reactor.defer(last).catch((error) => error.code)),
    );
    for (const answer of answers) assert.ok(["the last", "ERR_EM_THREAD_ENDED"].includes(answer as string));
    await trial.until(() => reactor.threadpool.threads === 0, "the thread is gone");
    assert.equal(await reactor.defer(worker(() => "goes on")), "goes on");
  });

  engine.rule("a job that waits is sent what it was given at the call", async (trial) => {
    const { reactor } = trial;
    reactor.threadpoolSize = 1;
    const echo = (value: unknown) => value;
    const first = reactor.defer(worker(() => new Promise((resolve) => setTimeout(resolve, 50, 1))));
    const [list, bytes, given] = [[1], Buffer.from("one"), new Uint8Array([1, 2, 3])];
    const waiting = [list, bytes].map((value) => reactor.defer(worker(echo, value)));
    const handed = reactor.defer(worker(echo, given), { transfer: [given.buffer] });
    assert.equal(given.length, 0, "it is handed over at the call");
    const refused = reactor.defer(worker(echo, () => 1));
    list.push(2);
    bytes.write("two");
    await assert.rejects(refused, { code: "ERR_EM_NOT_CLONEABLE" });
    assert.equal(await first, 1);
    assert.deepEqual(await Promise.all(waiting), [[1], new Uint8Array(Buffer.from("one"))]);
    assert.deepEqual(await handed, new Uint8Array([1, 2, 3]));
  });

  engine.rule("stats count the threads and their jobs", async (trial) => {
    const { reactor } = trial;
    assert.deepEqual(reactor.stats().workers, { threads: 0, busy: 0, queued: 0, done: 0, lost: 0 });
    reactor.threadpoolSize = 1;
    const waits = [1, 2, 3].map((value) => reactor.defer(worker((result: number) => result, value)));
    assert.deepEqual(reactor.stats().workers, { threads: 1, busy: 1, queued: 2, done: 0, lost: 0 });
    await Promise.all(waits);
    await assert.rejects(reactor.defer(worker(() => process.exit(1))), { code: "ERR_EM_THREAD_ENDED" });
    assert.deepEqual(reactor.stats().workers, reactor.threadpool);
    assert.deepEqual([reactor.stats().workers.done, reactor.stats().workers.lost], [3, 1]);
  });

  engine.runRule("what the threads have done is counted over all runs", async (trial) => {
    const reactor = trial.makeReactor({ workers: { max: 1 } });
    for (let run = 1; run <= 2; run++) {
      await reactor.run(async () => {
        await reactor.defer(worker(() => 1));
        reactor.stop();
      });
      assert.deepEqual(reactor.stats().workers, { threads: 0, busy: 0, queued: 0, done: run, lost: 0 });
    }
  });

  engine.rule("what cannot be done is refused, typed", async (trial) => {
    const { reactor } = trial;
    const bad: unknown[] = [7, null, "x", {}, { module: "x" }, { module: JOBS, method: 7 }, { module: JOBS, args: 7 }];
    for (const operation of bad) {
      await assert.rejects(reactor.defer(operation as never), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
    await assert.rejects(
      reactor.defer(() => 1, 7 as never),
      { code: "ERR_EM_INVALID_ARGUMENT" },
    );
    await assert.rejects(
      reactor.defer(() => 1, { timeout: -1 }),
      { code: "ERR_EM_INVALID_ARGUMENT" },
    );
    await assert.rejects(
      reactor.defer(() => 1, { transfer: [new ArrayBuffer(1)] }),
      ArgumentError,
    );
    const unfit: unknown[] = [{}, null, undefined, 7, "x", Buffer.from("x"), new SharedArrayBuffer(1), () => 1];
    for (const each of unfit) {
      await assert.rejects(
        reactor.defer(
          worker(() => 1),
          { transfer: [each as ArrayBuffer] },
        ),
        {
          name: "ArgumentError",
          code: "ERR_EM_INVALID_ARGUMENT",
        },
      );
    }
    const twice = new ArrayBuffer(1);
    await assert.rejects(
      reactor.defer(
        worker(() => 1),
        { transfer: [twice, twice] },
      ),
      {
        code: "ERR_EM_NOT_CLONEABLE",
      },
    );
    await assert.rejects(
      reactor.defer(
        worker(() => 1),
        { transfer: new Array(2) },
      ),
      {
        code: "ERR_EM_INVALID_ARGUMENT",
      },
    );
    for (const fn of [Math.max, class {}, (() => 1).bind(null), 7]) {
      assert.throws(() => worker(fn as () => unknown), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
    await assert.rejects(
      reactor.defer(
        worker(
          (fn: () => void) => fn(),
          () => {},
        ),
      ),
      { code: "ERR_EM_NOT_CLONEABLE" },
    );
    await assert.rejects(reactor.defer(worker(() => () => 1)), { name: "ArgumentError", code: "ERR_EM_NOT_CLONEABLE" });
    assert.throws(() => (reactor.threadpoolSize = 0), { code: "ERR_EM_INVALID_ARGUMENT" });
    assert.equal(await reactor.defer(worker(() => "goes on")), "goes on");
  });

  engine.runRule("threads that die at random under load lose no job's answer, and none is left", async (trial) => {
    const reactor = trial.makeReactor({ workers: { max: 4 } });
    const answers: unknown[] = [];
    await within(
      reactor.run(() => {
        for (let index = 0; index < 120; index++) {
          const job = worker((value: number) => (value % 6 === 5 ? process.exit(1) : value), index);
          reactor.defer(
            job,
            (value) => ended(reactor, answers.push(value)),
            (error) => ended(reactor, answers.push((error as { code: string }).code)),
          );
        }
      }),
      "all are answered",
      2 * PATIENCE,
    );
    assert.equal(answers.filter((each) => each === "ERR_EM_THREAD_ENDED").length, 20);
    assert.equal(new Set(answers.filter((each) => typeof each === "number")).size, 100);
    await until(() => workersAlive() === 0, "the threads are gone");
  });

  function ended(reactor: Reactor, count: number): void {
    if (count === 120) reactor.stop();
  }
});

/** Threads of this process. */
function workersAlive(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "Worker" || name === "MessagePort").length;
}
