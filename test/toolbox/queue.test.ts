import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { ArgumentError, addTimer, Queue, run, stop, type WaitOptions } from "eventmachine";
import fc from "fast-check";
import { FakeClock } from "./fake_clock.js";

describe("Queue", () => {
  it("gives items to callbacks in order, at once", () => {
    const queue = new Queue<number>();
    const seen: string[] = [];
    queue.push(1, 2, 3);
    assert.equal(queue.size, 3);
    for (const name of ["a", "b"]) queue.pop((item) => seen.push(`${name}${item}`));
    assert.deepEqual(seen, ["a1", "b2"]);
    assert.equal(queue.size, 1);
    assert.ok(!queue.isEmpty);
  });

  it("keeps callbacks waiting in order until items come", () => {
    const queue = new Queue<number>();
    const seen: string[] = [];
    for (const name of ["a", "b", "c"]) queue.pop((item) => seen.push(`${name}${item}`));
    assert.equal(queue.numWaiting, 3);
    queue.push(1, 2);
    assert.deepEqual(seen, ["a1", "b2"]);
    assert.equal(queue.numWaiting, 1);
    assert.ok(queue.isEmpty);
  });

  it("serves promises and callbacks from one line", async () => {
    const queue = new Queue<number>();
    const first = queue.pop();
    let second = 0;
    queue.pop((item) => {
      second = item;
    });
    const third = queue.pop();
    queue.push(1, 2, 3);
    assert.deepEqual([await first, second, await third], [1, 2, 3]);
  });

  it("serves the others when a callback throws, and throws from push", () => {
    const queue = new Queue<number>();
    const seen: number[] = [];
    const boom = new Error("boom");
    queue.pop(() => {
      throw boom;
    });
    queue.pop((item) => seen.push(item));
    assert.throws(() => queue.push(1, 2), boom);
    assert.deepEqual([seen, queue.size, queue.numWaiting], [[2], 0, 0]);
  });

  it("serves what was popped inside a callback of pop that throws", () => {
    const queue = new Queue<number>();
    const seen: number[] = [];
    queue.push(1, 2);
    const boom = new Error("boom");
    assert.throws(
      () =>
        queue.pop(() => {
          queue.pop((item) => seen.push(item));
          throw boom;
        }),
      boom,
    );
    assert.deepEqual(seen, [2]);
  });

  it("drains a long queue from within its own callback without growing the stack", () => {
    const queue = new Queue<number>();
    for (let item = 0; item < 200_000; item++) queue.push(item);
    let expected = 0;
    const next = (item: number) => {
      assert.equal(item, expected++);
      queue.pop(next);
    };
    queue.pop(next);
    assert.equal(expected, 200_000);
    assert.equal(queue.numWaiting, 1);
  });

  it("gives up waiting when a signal aborts or the time is over, and loses no item to it", async () => {
    const queue = new Queue<string>();
    const clock = new FakeClock();
    const controller = new AbortController();
    const aborted = queue.pop({ signal: controller.signal });
    const late = queue.pop({ timeout: 10, clock });
    const patient = queue.pop();
    controller.abort(new Error("enough"));
    clock.advance(10);
    await assert.rejects(aborted, /enough/);
    await assert.rejects(late, { code: "ERR_EM_TIMEOUT" });
    assert.equal(queue.numWaiting, 1);
    queue.push("a");
    assert.equal(await patient, "a");
    await assert.rejects(queue.pop({ signal: controller.signal }), /enough/);
  });

  it("calls its timer off when the item comes", async () => {
    const clock = new FakeClock();
    const queue = new Queue<number>();
    const popped = queue.pop({ timeout: 10, clock });
    queue.push(1);
    assert.equal(await popped, 1);
    assert.equal(clock.timers, 0);
  });

  it("has no time limit unless it is given one, and leaves neither timer nor listener behind", async () => {
    const clock = new FakeClock();
    const queue = new Queue<number>();
    for (const way of ["abort", "timeout", "item"] as const) {
      const controller = new AbortController();
      const { signal } = controller;
      const patient = queue.pop({ signal, clock });
      assert.equal(clock.timers, 0);
      const hasty = queue.pop({ signal, timeout: 10, clock });
      const ends = Promise.allSettled([patient, hasty]);
      if (way === "timeout") clock.advance(10);
      if (way === "abort") controller.abort();
      else queue.push(1, 2);
      const statuses = (await ends).map(({ status }) => status);
      const [first, second] = { abort: ["rejected", "rejected"], timeout: ["fulfilled", "rejected"], item: [] }[way];
      assert.deepEqual(statuses, [first ?? "fulfilled", second ?? "fulfilled"]);
      assert.deepEqual([clock.timers, getEventListeners(signal, "abort").length, queue.numWaiting], [0, 0, 0]);
      while (queue.size > 0) await queue.pop();
    }
  });

  it("counts a timeout on the current reactor by default", async () => {
    await run(async () => {
      await assert.rejects(new Queue().pop({ timeout: 5 }), { code: "ERR_EM_TIMEOUT" });
      addTimer(0, stop);
    });
  });
});

describe("Queue: bounded", () => {
  it("takes as many as its limit, and lets the others wait for room in order", async () => {
    const queue = new Queue<number>({ limit: 2 });
    const done: number[] = [];
    for (const item of [1, 2, 3, 4]) void queue.push(item).then(() => done.push(item));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(done, [1, 2]);
    assert.deepEqual([queue.size, queue.numWaitingForRoom], [2, 2]);
    assert.equal(await queue.pop(), 1);
    assert.deepEqual(done, [1, 2, 3]);
    assert.deepEqual([await queue.pop(), await queue.pop(), await queue.pop()], [2, 3, 4]);
    assert.deepEqual(done, [1, 2, 3, 4]);
  });

  it("resolves a push of several when the last one is in", async () => {
    const queue = new Queue<number>({ limit: 1 });
    let isDone = false;
    const pushed = queue.push(1, 2, 3).then(() => {
      isDone = true;
    });
    await queue.pop();
    assert.equal(isDone, false);
    await queue.pop();
    await pushed;
    assert.equal(queue.size, 1);
  });

  it("refuses a limit that is none", () => {
    for (const limit of [0, -1, 1.5, Number.NaN]) assert.throws(() => new Queue({ limit }), ArgumentError);
  });
});

describe("Queue: closed", () => {
  it("takes nothing more, and gives out what is in or waits for room", async () => {
    const queue = new Queue<number>({ limit: 1 });
    void queue.push(1);
    const pushed = queue.push(2);
    queue.close();
    assert.ok(queue.isClosed);
    await assert.rejects(queue.push(3), { code: "ERR_EM_CLOSED" });
    assert.deepEqual([await queue.pop(), await queue.pop()], [1, 2]);
    await pushed;
    await assert.rejects(queue.pop(), { code: "ERR_EM_CLOSED" });
    queue.pop(() => assert.fail("there is nothing to give"));
    assert.equal(queue.numWaiting, 0);
  });

  it("is closed with its block", () => {
    let inside: Queue<number> | undefined;
    {
      using queue = new Queue<number>();
      inside = queue;
    }
    assert.ok(inside.isClosed);
  });

  it("refuses what is no signal and no time without waiting", async () => {
    const queue = new Queue<number>();
    for (const options of [{ signal: new AbortController() }, { timeout: -1 }, { clock: {} }]) {
      await assert.rejects(queue.pop(options as WaitOptions), ArgumentError);
    }
    assert.equal(queue.numWaiting, 0);
    assert.throws(() => queue.pop("x" as never), ArgumentError);
  });

  it("refuses those who wait", async () => {
    const queue = new Queue<number>();
    const popped = queue.pop();
    queue.close();
    await assert.rejects(popped, { code: "ERR_EM_CLOSED" });
  });

  it("ends iterations, which share the items", async () => {
    const queue = new Queue<number>();
    const seen: number[] = [];
    const consume = async () => {
      for await (const item of queue) seen.push(item);
    };
    const consumers = [consume(), consume()];
    queue.push(1, 2, 3);
    await new Promise((resolve) => setImmediate(resolve));
    queue.push(4);
    queue.close();
    await Promise.all(consumers);
    assert.deepEqual(seen.sort(), [1, 2, 3, 4]);
  });
});

it("gives every item once and in order, and never holds more than its limit, whatever the mixture", async () => {
  const actions = fc.array(fc.constantFrom("push", "pop", "popCallback"), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(actions, fc.integer({ min: 1, max: 5 }), async (script, limit) => {
      const queue = new Queue<number>({ limit });
      const served: [taker: number, item: number][] = [];
      let pushed = 0;
      let popped = 0;
      for (const action of script) {
        const taker = popped;
        if (action === "push") void queue.push(pushed++);
        else popped++;
        if (action === "pop") void queue.pop().then((item) => served.push([taker, item]));
        if (action === "popCallback") queue.pop((item) => served.push([taker, item]));
        assert.ok(queue.size <= limit);
      }
      assert.ok(queue.numWaiting === 0 || queue.size === 0);
      assert.equal(queue.size + queue.numWaitingForRoom, Math.max(0, pushed - popped));
      await new Promise((resolve) => setImmediate(resolve));
      const expected = Array.from({ length: Math.min(pushed, popped) }, (_, at) => [at, at]);
      assert.deepEqual(
        served.sort(([a], [b]) => a - b),
        expected,
      );
    }),
    { numRuns: 60 },
  );
});

it("keeps the order through bursts of any length, filled and emptied again", () => {
  const bursts = fc.array(fc.integer({ min: -9_000, max: 9_000 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(bursts, (script) => {
      const queue = new Queue<number>();
      let pushed = 0;
      let popped = 0;
      const take = (item: number) => assert.equal(item, popped++);
      for (const burst of script) {
        for (let at = 0; at < burst; at++) void queue.push(pushed++);
        for (let at = 0; at < -burst && popped < pushed; at++) queue.pop(take);
        assert.equal(queue.size, pushed - popped);
      }
      while (popped < pushed) queue.pop(take);
      assert.ok(queue.isEmpty);
    }),
    { numRuns: 60 },
  );
});
