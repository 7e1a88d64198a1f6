import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, run, stop, TickLoop, tickLoop } from "eventmachine";
import { FakeClock } from "./fake_clock.js";

describe("TickLoop", () => {
  it("works once a turn until it returns stop", () => {
    const clock = new FakeClock();
    let turns = 0;
    const loop = new TickLoop(() => (++turns === 3 ? "stop" : undefined), clock);
    assert.ok(loop.isStopped);
    assert.equal(loop.start(), loop);
    assert.equal(turns, 0);
    for (let n = 1; n <= 5; n++) {
      clock.turn();
      assert.equal(turns, Math.min(n, 3));
    }
    assert.ok(loop.isStopped);
  });

  it("calls its stop callbacks once each, those of a stopped loop at once", () => {
    const clock = new FakeClock();
    const seen: number[] = [];
    const loop = tickLoop(() => {}, clock)
      .onStop(() => seen.push(1))
      .onStop(() => seen.push(2));
    clock.turn();
    assert.equal(seen.length, 0);
    loop.stop();
    loop.stop();
    assert.deepEqual(seen, [1, 2]);
    loop.onStop(() => seen.push(3));
    assert.deepEqual(seen, [1, 2, 3]);
    clock.turn();
    assert.equal(clock.ticks, 0);
  });

  it("can be started again, and runs once a turn even so", () => {
    const clock = new FakeClock();
    let turns = 0;
    const loop = new TickLoop(() => turns++, clock).start();
    assert.throws(() => loop.start(), { code: "ERR_EM_ALREADY_STARTED" });
    loop.stop();
    loop.start();
    clock.turn();
    clock.turn();
    assert.equal(turns, 2);
    assert.equal(clock.ticks, 1);
  });

  it("awaits async work before the next turn counts", async () => {
    const clock = new FakeClock();
    let begun = 0;
    let answer = (_: unknown) => {};
    const work = () => {
      begun++;
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    const loop = tickLoop(work, clock);
    clock.turn();
    clock.turn();
    assert.equal(begun, 1);
    answer(undefined);
    await new Promise((resolve) => setImmediate(resolve));
    const [turn] = clock.turn();
    assert.equal(begun, 2);
    answer("stop");
    await turn;
    assert.ok(loop.isStopped);
  });

  it("stops when its work throws, and lets the error through", async () => {
    const clock = new FakeClock();
    const fail = () => {
      throw new Error("boom");
    };
    const loop = tickLoop(fail, clock);
    assert.throws(() => clock.turn(), /boom/);
    assert.ok(loop.isStopped);
    const other = tickLoop(async () => fail(), clock);
    await assert.rejects(clock.turn()[0] as Promise<unknown>, /boom/);
    assert.ok(other.isStopped);
  });

  it("runs on the current reactor by default", async () => {
    let turns = 0;
    await run(() => {
      tickLoop(() => (++turns === 10 ? "stop" : undefined)).onStop(stop);
    });
    assert.equal(turns, 10);
    await assert.rejects(
      run(() => {
        tickLoop(() => {
          throw new Error("boom");
        });
      }),
      /boom/,
    );
  });

  it("is awaited by its end, also by one that a throw brings", async () => {
    const clock = new FakeClock();
    const loop = new TickLoop(() => {}, clock);
    await loop.stopped;
    let ends = 0;
    void loop.start().stopped.then(() => ends++);
    clock.turn();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(ends, 0);
    loop.stop();
    await loop.stopped;
    assert.equal(ends, 1);
    const failing = tickLoop(() => {
      throw new Error("boom");
    }, clock);
    const { stopped } = failing;
    assert.throws(() => clock.turn(), /boom/);
    await stopped;
  });

  it("calls all its stop callbacks when one throws, and throws behind them", () => {
    const seen: number[] = [];
    const boom = new Error("boom");
    const loop = tickLoop(() => {}, new FakeClock())
      .onStop(() => {
        throw boom;
      })
      .onStop(() => seen.push(2));
    assert.throws(() => loop.stop(), boom);
    assert.deepEqual([seen, loop.isStopped], [[2], true]);
    assert.throws(() => loop.onStop(1 as never), ArgumentError);
  });

  it("is done with async work that was under way when it was stopped, and with what that throws", async () => {
    for (const restarts of [false, true]) {
      const clock = new FakeClock();
      const answers: ((failure?: Error) => void)[] = [];
      const work = () =>
        new Promise<void>((resolve, reject) => {
          answers.push((failure) => (failure === undefined ? resolve() : reject(failure)));
        });
      const loop = tickLoop(work, clock);
      const [first] = clock.turn();
      loop.stop();
      if (restarts) loop.start();
      const stops: number[] = [];
      if (restarts) loop.onStop(() => stops.push(1));
      answers[0]?.();
      await first;
      assert.equal(clock.ticks, restarts ? 1 : 0);
      if (!restarts) loop.start();
      const [second] = clock.turn();
      loop.stop();
      loop.start().onStop(() => stops.push(2));
      answers[1]?.(new Error("torn"));
      await assert.rejects(second as Promise<unknown>, /torn/);
      assert.ok(!loop.isStopped, "it is another run that failed");
      assert.deepEqual([stops, clock.ticks], [restarts ? [1] : [], 1]);
    }
  });

  it("is stopped with its block", () => {
    let inside: TickLoop | undefined;
    {
      using loop = tickLoop(() => {}, new FakeClock());
      inside = loop;
      assert.ok(!loop.isStopped);
    }
    assert.ok(inside.isStopped);
  });

  it("refuses work that is no function, and a clock that is none", () => {
    assert.throws(() => new TickLoop(() => {}, 5 as never), ArgumentError);
    assert.throws(() => tickLoop(1 as never), ArgumentError);
  });
});
