import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { checkDuration } from "../../src/base/checks.js";
import { ArgumentError } from "../../src/base/errors.js";
import { MAX_TIMER_DELAY } from "../../src/base/limits.js";
import { PeriodicTimer, Timer, type TimerHost } from "../../src/timers/timer.js";
import { TimerWheel } from "../../src/timers/timer_wheel.js";

const SPAN = 2 ** 30;

/** A reactor's part in its timers, on a clock that the test moves. */
class Bench implements TimerHost {
  time: number;
  refs = 0;
  readonly wheel: TimerWheel;
  readonly fired: string[] = [];
  readonly #fire = (timer: Timer): void => {
    if (timer.hasRef()) this.refs--;
    timer.fire();
  };

  constructor(start = 0) {
    this.time = start;
    this.wheel = new TimerWheel(start);
  }

  now(): number {
    return this.time;
  }

  startTimer(timer: Timer): void {
    this.wheel.add(timer);
    if (timer.hasRef()) this.refs++;
  }

  cancelTimer(timer: Timer): void {
    this.wheel.remove(timer);
    if (timer.hasRef()) this.refs--;
  }

  refChanged(delta: 1 | -1): void {
    this.refs += delta;
  }

  /** A timer `delay` from now that notes its name when it fires, and then does what else it is told. */
  add(delay: number, name: string, then?: () => void): Timer {
    const timer = new Timer(this, this.time + delay, () => {
      this.fired.push(name);
      then?.();
    });
    this.startTimer(timer);
    return timer;
  }

  every(interval: number, callback: () => void): PeriodicTimer {
    const timer = new PeriodicTimer(this, this.time, interval, callback);
    this.startTimer(timer);
    return timer;
  }

  /** Moves the clock to `time` and expires, and returns the names of what fired since the last call. */
  to(time: number): string[] {
    this.time = time;
    this.wheel.expire(time, this.#fire);
    return this.fired.splice(0);
  }
}

describe("TimerWheel", () => {
  it("fires nothing before its deadline, fractions included", () => {
    const bench = new Bench(100.25);
    bench.add(10.5, "a");
    assert.deepEqual(bench.to(110.74), []);
    assert.equal(bench.wheel.nextDeadline(), 110.75);
    assert.deepEqual(bench.to(110.75), ["a"]);
    assert.equal(bench.wheel.size, 0);
    assert.equal(bench.wheel.nextDeadline(), Number.POSITIVE_INFINITY);
  });

  it("learns nothing of a clock that reads no time", () => {
    const bench = new Bench(100);
    bench.add(10, "a");
    for (const time of [Number.POSITIVE_INFINITY, Number.NaN, Number.NEGATIVE_INFINITY]) {
      assert.deepEqual(bench.to(time), []);
    }
    bench.time = 100;
    bench.add(20, "b");
    assert.deepEqual(bench.to(110), ["a"]);
    assert.deepEqual(bench.to(120), ["b"]);
  });

  it("never rounds a deadline down", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: MAX_TIMER_DELAY, noNaN: true }), (deadline) => {
        const timer = new Timer(new Bench(), deadline, () => {});
        assert.ok(timer.deadline >= deadline && timer.deadline - deadline <= 2 ** -20);
      }),
    );
  });

  it("fires in the order of deadlines, ties in the order they were added", () => {
    const bench = new Bench();
    bench.add(7.5, "c");
    bench.add(7.25, "b");
    bench.add(7.5, "d");
    bench.add(7, "a");
    bench.add(7.5, "e");
    assert.deepEqual(bench.to(8), ["a", "b", "c", "d", "e"]);
  });

  it("keeps the order of ties that were added at different distances", () => {
    const bench = new Bench();
    bench.add(300_000, "a");
    bench.to(250_000);
    bench.add(50_000, "b");
    bench.to(299_990);
    bench.add(10, "c");
    assert.deepEqual(bench.to(300_000), ["a", "b", "c"]);
  });

  it("keeps the later timers of a millisecond that has begun", () => {
    const bench = new Bench();
    bench.add(5.75, "late");
    bench.add(5.25, "early");
    assert.deepEqual(bench.to(5.5), ["early"]);
    assert.equal(bench.wheel.nextDeadline(), 5.75);
    bench.add(0.125, "between");
    assert.deepEqual(bench.to(5.625), ["between"]);
    assert.deepEqual(bench.to(6), ["late"]);
  });

  it("fires what was overdue when it was added before all others", () => {
    const bench = new Bench(1000);
    bench.add(0, "now");
    bench.add(-50, "overdue");
    assert.ok(bench.wheel.nextDeadline() <= 950);
    assert.deepEqual(bench.to(1000), ["overdue", "now"]);
  });

  it("makes a timer that is added while others fire wait for the next expiry", () => {
    const bench = new Bench();
    bench.add(1, "first", () => bench.add(0, "added"));
    bench.add(2, "second");
    assert.deepEqual(bench.to(3), ["first", "second"]);
    assert.equal(bench.wheel.nextDeadline(), 3);
    assert.deepEqual(bench.to(3), ["added"]);
  });

  it("does not fire a due timer that an earlier one cancels", () => {
    const bench = new Bench();
    bench.add(1, "first", () => victim.cancel());
    const victim = bench.add(1, "victim");
    bench.add(1, "last");
    assert.deepEqual(bench.to(1), ["first", "last"]);
    assert.equal(victim.active, false);
    assert.equal(bench.wheel.size, 0);
  });

  it("loses no timer to one that throws", () => {
    const bench = new Bench();
    bench.add(1, "first", () => {
      throw new RangeError("on purpose");
    });
    bench.add(2, "second");
    bench.add(3, "third");
    assert.throws(() => bench.to(2), RangeError);
    assert.equal(bench.wheel.size, 2);
    assert.ok(bench.wheel.nextDeadline() <= 2);
    assert.deepEqual(bench.to(2), ["first", "second"]);
    assert.deepEqual(bench.to(3), ["third"]);
  });

  it("frees a cancelled timer at once, and cancelling twice is harmless", () => {
    const bench = new Bench();
    const timers = [0, 63, 64, 4095, 4096, 2 ** 20, SPAN, 2 ** 40].map((delay) => bench.add(delay, "never"));
    assert.equal(bench.wheel.size, timers.length);
    assert.equal(bench.refs, timers.length);
    for (const timer of timers) {
      timer.cancel();
      timer.cancel();
      timer[Symbol.dispose]();
    }
    assert.equal(bench.wheel.size, 0);
    assert.equal(bench.refs, 0);
    assert.equal(bench.wheel.nextDeadline(), Number.POSITIVE_INFINITY);
    assert.deepEqual(bench.to(2 ** 41), []);
  });

  it("adding a waiting timer and removing an idle one change nothing", () => {
    const bench = new Bench();
    const timer = bench.add(5, "a");
    bench.wheel.add(timer);
    assert.equal(bench.wheel.size, 1);
    bench.wheel.remove(timer);
    bench.wheel.remove(timer);
    assert.equal(bench.wheel.size, 0);
  });

  it("clear takes everything out, also from within a firing timer", () => {
    const bench = new Bench();
    bench.add(1, "first", () => bench.wheel.clear());
    const others = [1, 2, 100, 1e6, 1e13].map((delay) => bench.add(delay, "never"));
    assert.deepEqual(bench.to(2), ["first"]);
    assert.equal(bench.wheel.size, 0);
    assert.ok(others.every((timer) => !timer.active));
    assert.deepEqual(bench.to(2e13), []);
  });

  it("takes delays of years beside short ones", () => {
    const bench = new Bench(12.5);
    bench.add(1.19e13, "far");
    bench.add(MAX_TIMER_DELAY, "farthest");
    bench.add(SPAN - 1, "days");
    bench.add(3 * SPAN + 7, "weeks");
    bench.add(1, "near");
    assert.deepEqual(bench.to(14), ["near"]);
    assert.deepEqual(bench.to(12.5 + SPAN - 2), []);
    assert.deepEqual(bench.to(12.5 + SPAN - 1), ["days"]);
    assert.deepEqual(bench.to(3 * SPAN), []);
    assert.deepEqual(bench.to(1.19e13), ["weeks"]);
    assert.deepEqual(bench.to(1.19e13 + 12.5), ["far"]);
    assert.deepEqual(bench.to(MAX_TIMER_DELAY), []);
    assert.deepEqual(bench.to(MAX_TIMER_DELAY + 13), ["farthest"]);
  });

  it("lives with a clock that is read late or steps back", () => {
    const bench = new Bench(1000);
    bench.to(900);
    bench.add(50, "a");
    bench.add(200, "b");
    assert.deepEqual(bench.to(949), []);
    assert.deepEqual(bench.to(1000), ["a"]);
    assert.deepEqual(bench.to(1100), ["b"]);
  });
});

const delay = fc.oneof(
  fc.constantFrom(0, 0.1, 0.5, 1, 1, 2, 63, 64, 65, 4095, 4096, 262_144, 2 ** 24, SPAN - 1, SPAN, SPAN + 1, 1.19e13),
  fc.integer({ min: 0, max: 20 }),
  fc.double({ min: 0, max: 3, noNaN: true }),
  fc.double({ min: 0, max: 10_000, noNaN: true }),
  fc.double({ min: 0, max: 3e9, noNaN: true }),
  fc.double({ min: 0, max: 1e14, noNaN: true }),
);
const action = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("add" as const), delay }) },
  // What the timer does when it fires: adds another, or cancels one.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("adding" as const), delay, second: delay }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancelling" as const), delay, pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cancel" as const), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pass" as const), delay }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("next" as const) }) },
);
const start = fc.oneof(fc.constantFrom(0, 0.75, 1e6 + 0.1, SPAN - 3.3), fc.double({ min: 0, max: 1e10, noNaN: true }));

describe("TimerWheel against a sorted list", () => {
  it("fires the same timers in the same order", () => {
    fc.assert(
      fc.property(start, fc.array(action, { maxLength: 80 }), (from, actions) => {
        const bench = new Bench(from);
        const waiting = new Set<Timer>();
        const add = (delay: number, whenFired?: () => void) => waiting.add(bench.add(delay, "", whenFired));
        const cancel = (pick: number) => {
          const timer = [...waiting][pick % Math.max(1, waiting.size)];
          timer?.cancel();
          if (timer !== undefined) waiting.delete(timer);
        };
        const expire = (time: number) => {
          // The set keeps the order of creation, and the sort keeps it among ties.
          const due = [...waiting].filter((timer) => timer.deadline <= time).sort((a, b) => a.deadline - b.deadline);
          bench.time = time;
          bench.wheel.expire(time, (timer) => {
            assert.equal(
              timer,
              due.find((one) => waiting.has(one)),
            );
            waiting.delete(timer);
            timer.fire();
          });
          assert.ok(!due.some((timer) => waiting.has(timer)), "left a due timer");
        };
        for (const step of actions) {
          if (step.kind === "add") add(step.delay);
          else if (step.kind === "adding") add(step.delay, () => add(step.second));
          else if (step.kind === "cancelling") add(step.delay, () => cancel(step.pick));
          else if (step.kind === "cancel") cancel(step.pick);
          else if (step.kind === "pass") expire(bench.time + step.delay);
          else if (waiting.size > 0) expire(Math.max(bench.time, bench.wheel.nextDeadline()));
          const earliest = Math.min(...[...waiting].map((timer) => timer.deadline));
          assert.ok(bench.wheel.nextDeadline() <= earliest, "the next deadline is told too late");
          assert.equal(bench.wheel.size, waiting.size);
          if (waiting.size === 0) assert.equal(bench.wheel.nextDeadline(), Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 1500 },
    );
  });

  it("stepping from one next deadline to the next fires each timer at its time, in few steps", () => {
    const delays = fc.array(fc.oneof(fc.integer({ min: 0, max: 200 }), fc.double({ min: 0, max: 5e9, noNaN: true })), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(start, delays, fc.array(fc.nat()), (from, delays, cancelled) => {
        const bench = new Bench(from);
        const timers = delays.map((delay) => bench.add(delay, ""));
        for (const pick of cancelled) timers[pick % timers.length]?.cancel();
        let steps = 0;
        while (bench.wheel.size > 0) {
          const next = Math.max(bench.time, bench.wheel.nextDeadline());
          bench.time = next;
          bench.wheel.expire(next, (timer) => assert.equal(Math.max(timer.deadline, from), next));
          assert.ok(bench.wheel.nextDeadline() > next, "no progress");
          steps++;
        }
        // One stop at each level, and one at the end of each span.
        assert.ok(steps <= 6 * timers.length + 6, `${steps} steps for ${timers.length} timers`);
      }),
      { numRuns: 500 },
    );
  });
});

describe("Timer", () => {
  it("is active until it fires or is cancelled", () => {
    const bench = new Bench();
    let within: boolean | undefined;
    const timer = bench.add(5, "a", () => {
      within = timer.active;
    });
    assert.equal(timer.active, true);
    bench.to(5);
    assert.equal(within, false);
    assert.equal(timer.active, false);
    timer.cancel();
    assert.equal(bench.refs, 0);
  });

  it("tells its host when it begins and ceases to hold the process, once each", () => {
    const bench = new Bench();
    const timer = bench.add(5, "a");
    assert.equal(timer.hasRef(), true);
    assert.equal(timer.unref().unref(), timer);
    assert.equal(timer.hasRef(), false);
    assert.equal(bench.refs, 0);
    assert.equal(timer.ref().ref(), timer);
    assert.equal(bench.refs, 1);
    timer.unref();
    bench.to(5);
    assert.equal(bench.refs, 0);
    timer.ref();
    assert.equal(bench.refs, 0, "an ended timer holds nothing");
  });

  it("lets go of its callback when it ends", () => {
    const bench = new Bench();
    const fired = bench.add(1, "a");
    const cancelled = bench.add(1, "b");
    cancelled.cancel();
    bench.to(1);
    assert.equal(fired.callback, undefined);
    assert.equal(cancelled.callback, undefined);
  });

  it("returns what its callback returned", () => {
    const promise = Promise.resolve();
    assert.equal(new Timer(new Bench(), 0, () => promise).fire(), promise);
  });
});

describe("PeriodicTimer", () => {
  it("keeps its phase over a million beats of a fractional interval", () => {
    const bench = new Bench(17.3);
    let beats = 0;
    const timer = bench.every(0.1, () => beats++);
    for (let step = 0; step < 1_000_000; step++) bench.to(timer.deadline);
    assert.equal(beats, 1_000_000);
    assert.ok(Math.abs(timer.deadline - (17.3 + 0.1 * 1_000_001)) < 1e-5);
  });

  it("fires once for the beats it missed and goes on in phase", () => {
    const bench = new Bench();
    const times: number[] = [];
    const timer = bench.every(10, () => times.push(bench.time));
    for (const time of [10, 11, 45.5, 49, 50, 60, 80]) bench.to(time);
    assert.deepEqual(times, [10, 45.5, 50, 60, 80]);
    assert.equal(timer.deadline, 90);
  });

  it("survives a throw", () => {
    const bench = new Bench();
    let beats = 0;
    bench.every(10, () => {
      beats++;
      throw new RangeError("on purpose");
    });
    assert.throws(() => bench.to(10), RangeError);
    assert.throws(() => bench.to(20), RangeError);
    assert.equal(beats, 2);
    assert.equal(bench.wheel.size, 1);
  });

  it("can be cancelled within its callback and is then gone", () => {
    const bench = new Bench();
    let beats = 0;
    const timer = bench.every(10, () => {
      assert.equal(timer.active, true);
      if (++beats === 3) timer.cancel();
    });
    for (let time = 10; time <= 100; time += 10) bench.to(time);
    assert.equal(beats, 3);
    assert.equal(timer.active, false);
    assert.equal(bench.wheel.size, 0);
    assert.equal(bench.refs, 0);
  });

  it("counts a new interval from the last beat", () => {
    const bench = new Bench();
    const times: number[] = [];
    const timer = bench.every(10, () => {
      times.push(bench.time);
      if (bench.time === 20) timer.interval = 25;
    });
    for (let time = 5; time <= 100; time += 5) {
      bench.to(time);
      if (time === 80) timer.interval = 7;
    }
    // The last beat before the change at 80 was at 70: a beat was due at 77 and comes as soon as it can.
    assert.deepEqual(times, [10, 20, 45, 70, 85, 95, 100]);
    assert.equal(timer.interval, 7);
    assert.throws(() => {
      timer.interval = -1;
    }, ArgumentError);
    timer.cancel();
    timer.interval = 3;
    assert.equal(timer.active, false);
    assert.equal(bench.wheel.size, 0);
  });

  it("with an interval of 0 fires once in each turn", () => {
    const bench = new Bench();
    let beats = 0;
    const timer = bench.every(0, () => beats++);
    bench.to(0);
    bench.to(0);
    bench.to(3.5);
    assert.equal(beats, 3);
    timer.interval = 10;
    bench.to(13);
    assert.equal(beats, 3);
    bench.to(13.5);
    assert.equal(beats, 4);
  });

  it("never counts one beat twice, whatever the interval's rounding", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.double({ min: 0.01, max: 1e6, noNaN: true }),
        (from, interval) => {
          const bench = new Bench(from);
          let beats = 0;
          const timer = bench.every(interval, () => beats++);
          for (let beat = 1; beat <= 50; beat++) {
            bench.to(timer.deadline);
            assert.equal(beats, beat);
            assert.ok(timer.deadline > bench.time);
          }
        },
      ),
    );
  });
});

describe("a delay", () => {
  it("takes finite milliseconds from 0 to the longest delay", () => {
    for (const good of [0, 0.1, 1, 1.19e13, MAX_TIMER_DELAY]) assert.equal(checkDuration(good, "delay"), good);
  });

  it("refuses everything else by name", () => {
    const bad = [-1, -0.1, Number.NaN, Number.POSITIVE_INFINITY, MAX_TIMER_DELAY + 1, "5", null, undefined, 5n, {}];
    for (const value of bad) {
      assert.throws(() => checkDuration(value, "interval"), {
        name: "ArgumentError",
        code: "ERR_EM_INVALID_ARGUMENT",
        message: /^interval must be milliseconds from 0 to /,
      });
    }
  });
});
