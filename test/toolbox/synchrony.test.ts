import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { ConditionVariable, Deferrable, Mutex, multi, run, sleep, stop, sync, withDeferrable } from "eventmachine";
import fc from "fast-check";
import { FakeClock } from "./fake_clock.js";

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("sleep", () => {
  it("resolves after its time, on the current reactor by default", async () => {
    const clock = new FakeClock();
    let isAwake = false;
    void sleep(10, { clock }).then(() => {
      isAwake = true;
    });
    clock.advance(9.5);
    await turn();
    assert.equal(isAwake, false);
    clock.advance(0.5);
    await turn();
    assert.equal(isAwake, true);
    const begun = performance.now();
    await run(async () => {
      await sleep(15);
      stop();
    });
    assert.ok(performance.now() - begun >= 15);
  });

  it("lets go of a signal when it wakes", async () => {
    const clock = new FakeClock();
    const { signal } = new AbortController();
    const slept = sleep(10, { clock, signal });
    assert.equal(getEventListeners(signal, "abort").length, 1);
    clock.advance(10);
    await slept;
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  it("wakes for a signal, and leaves no timer behind", async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const slept = sleep(10, { clock, signal: controller.signal });
    controller.abort(new Error("up"));
    await assert.rejects(slept, /up/);
    assert.equal(clock.timers, 0);
    await assert.rejects(sleep(10, { clock, signal: controller.signal }), /up/);
    await assert.rejects(sleep(-1, { clock }), { code: "ERR_EM_INVALID_ARGUMENT" });
    for (const options of [{ signal: controller }, { clock: 5 }, { clock: null }]) {
      await assert.rejects(sleep(1, options as never), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
  });
});

describe("sync and multi", () => {
  class Mixed extends withDeferrable<number, Error>()(Object) {}

  it("waits for a promise, a Deferrable and a deferrable object", async () => {
    assert.equal(await sync(Promise.resolve(1)), 1);
    assert.equal(await sync(new Deferrable<number>().succeed(2)), 2);
    assert.equal(await sync<number>(new Mixed().succeed(3)), 3);
    await assert.rejects(sync<number>(new Mixed().fail(new Error("no"))), /no/);
    for (const nothing of [undefined, null, 5]) {
      assert.throws(() => sync(nothing as never), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
  });

  it("waits for all, and sorts them by how they ended", async () => {
    const late = new Deferrable<string>();
    const waiting = multi({ late, bad: Promise.reject(new Error("no")), mixed: new Mixed().succeed(4) });
    late.succeed("a");
    const { callback, errback } = await waiting;
    assert.deepEqual(callback, { late: "a", mixed: 4 });
    assert.deepEqual(Object.keys(errback), ["bad"]);
    assert.match(String(errback.bad), /no/);
  });
});

describe("Mutex", () => {
  it("is held by one at a time, in the order it was asked for", async () => {
    const mutex = new Mutex();
    const seen: string[] = [];
    const work = (name: string) =>
      mutex.synchronize(async () => {
        seen.push(`+${name}`);
        await turn();
        seen.push(`-${name}`);
        return name;
      });
    const results = await Promise.all([work("a"), work("b"), work("c")]);
    assert.deepEqual(results, ["a", "b", "c"]);
    assert.deepEqual(seen, ["+a", "-a", "+b", "-b", "+c", "-c"]);
    assert.ok(!mutex.isLocked);
  });

  it("is given up when the work throws", async () => {
    const mutex = new Mutex();
    await assert.rejects(
      mutex.synchronize(() => {
        throw new Error("boom");
      }),
      /boom/,
    );
    assert.ok(!mutex.isLocked);
  });

  it("can be tried, unlocked, and disposed of with a block", async () => {
    const mutex = new Mutex();
    {
      using lock = mutex.tryLock();
      assert.ok(lock !== undefined);
      assert.equal(mutex.tryLock(), undefined);
    }
    await mutex.lock();
    mutex.unlock();
    assert.throws(() => mutex.unlock(), { code: "ERR_EM_NOT_LOCKED" });
  });

  it("refuses work that is no function without taking anything", async () => {
    const mutex = new Mutex();
    const working = mutex.synchronize(1 as never);
    assert.ok(!mutex.isLocked);
    await assert.rejects(working, { code: "ERR_EM_INVALID_ARGUMENT" });
  });

  it("is not given up by a lock that has been given up before", async () => {
    const mutex = new Mutex();
    const old = await mutex.lock();
    const next = mutex.lock();
    old.release();
    old.release();
    assert.ok(mutex.isLocked);
    (await next).release();
    assert.ok(!mutex.isLocked);
  });

  it("passes over those who gave up", async () => {
    const clock = new FakeClock();
    const mutex = new Mutex();
    const held = await mutex.lock();
    const controller = new AbortController();
    const aborted = mutex.lock({ signal: controller.signal });
    const late = mutex.lock({ timeout: 5, clock });
    const patient = mutex.lock();
    await turn();
    controller.abort(new Error("enough"));
    clock.advance(5);
    await assert.rejects(aborted, /enough/);
    await assert.rejects(late, { code: "ERR_EM_TIMEOUT" });
    assert.equal(mutex.numWaiting, 1);
    held.release();
    (await patient).release();
    await assert.rejects(mutex.lock({ signal: controller.signal }), /enough/);
  });
});

describe("ConditionVariable", () => {
  /** Waits, and notes its name while it holds the mutex again. */
  async function waiter(condition: ConditionVariable, mutex: Mutex, seen: string[], name: string): Promise<void> {
    using _ = await mutex.lock();
    await condition.wait(mutex);
    assert.ok(mutex.isLocked);
    seen.push(name);
  }

  it("gives the mutex up, and takes it again at the signal, one at a time", async () => {
    const mutex = new Mutex();
    const condition = new ConditionVariable();
    const seen: string[] = [];
    const all = ["a", "b", "c"].map((name) => waiter(condition, mutex, seen, name));
    await turn();
    assert.deepEqual([condition.numWaiting, mutex.isLocked], [3, false]);
    condition.signal();
    await turn();
    assert.deepEqual(seen, ["a"]);
    condition.broadcast();
    await Promise.all(all);
    assert.deepEqual(seen, ["a", "b", "c"]);
    condition.signal();
  });

  it("takes the mutex again also when it gives up waiting", async () => {
    const clock = new FakeClock();
    const mutex = new Mutex();
    const condition = new ConditionVariable();
    const lock = await mutex.lock();
    const waiting = condition.wait(mutex, { timeout: 5, clock });
    const other = await mutex.lock();
    clock.advance(5);
    let isOver = false;
    const rejected = assert.rejects(waiting, { code: "ERR_EM_TIMEOUT" }).then(() => {
      isOver = true;
    });
    await turn();
    assert.equal(isOver, false);
    other.release();
    await rejected;
    assert.ok(mutex.isLocked);
    lock.release();
    assert.ok(!mutex.isLocked, "it is the same lock that holds it again");
    await assert.rejects(condition.wait(mutex), { code: "ERR_EM_NOT_LOCKED" });
    assert.equal(condition.numWaiting, 0, "no signal is lost on it");
    await assert.rejects(condition.wait({ isLocked: true } as never), { code: "ERR_EM_INVALID_ARGUMENT" });
  });
});

it("keeps a mutex to one holder at a time, in order, whoever gives up", async () => {
  const visits = fc.array(fc.record({ pace: fc.integer({ min: 0, max: 3 }), givesUp: fc.boolean() }), {
    maxLength: 25,
  });
  await fc.assert(
    fc.asyncProperty(visits, async (list) => {
      const mutex = new Mutex();
      const first = await mutex.lock();
      const seen: number[] = [];
      let holders = 0;
      const all = list.map(async ({ pace, givesUp }, index) => {
        const controller = new AbortController();
        const locking = mutex.lock({ signal: controller.signal });
        if (givesUp) controller.abort();
        using _ = await locking;
        assert.equal(++holders, 1);
        seen.push(index);
        for (let n = 0; n < pace; n++) await null;
        holders--;
      });
      first.release();
      await Promise.allSettled(all);
      const expected = list.flatMap(({ givesUp }, index) => (givesUp ? [] : [index]));
      assert.deepEqual(seen, expected);
      assert.ok(!mutex.isLocked);
    }),
  );
});
