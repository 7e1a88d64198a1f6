import assert from "node:assert/strict";
import { PeriodicTimer, Timer } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";

/** A timer fires in the first turn at or after its time; how late depends on the machine, how early on nothing. */
onEveryEngine("timers", (engine) => {
  engine.rule("timers fire in the order of their deadlines, ties in the order of creation", async (trial) => {
    const { reactor } = trial;
    const timers: { earliest: number; latest: number; delay: number }[] = [];
    const fired: number[] = [];
    // All of them are due when the loop gets to look.
    for (let made = 0; made < 200; made++) {
      const delay = (made * 7919) % 13;
      const before = reactor.now();
      reactor.addTimer(delay, () => fired.push(made));
      timers.push({ earliest: before + delay, latest: reactor.now() + delay, delay });
    }
    trial.block(20);
    await trial.until(() => fired.length === 200, "all fire");
    // A deadline lies between the readings of the clock around the call: no timer may fire behind one certainly later.
    let reached = 0;
    const lastOfDelay = new Map<number, number>();
    for (const made of fired) {
      const timer = timers[made] as (typeof timers)[number];
      assert.ok(timer.latest >= reached, `${made} after ${timer.delay} ms fired behind a later one`);
      reached = Math.max(reached, timer.earliest);
      assert.ok(made > (lastOfDelay.get(timer.delay) ?? -1), `${made} fired behind a later one of the same delay`);
      lastOfDelay.set(timer.delay, made);
    }
  });

  engine.rule("timers of one delay fire in the order they were made", async (trial) => {
    for (const delay of [0, 5]) {
      const fired: number[] = [];
      for (let made = 0; made < 1000; made++) trial.reactor.addTimer(delay, () => fired.push(made));
      await trial.until(() => fired.length === 1000, "all fire");
      assert.deepEqual(fired, [...fired.keys()]);
    }
  });

  engine.rule("never before their time", async (trial) => {
    const { reactor } = trial;
    let left = 0;
    for (const delay of [0, 0.1, 0.5, 0.999, 1, 1.001, 1.5, 2, 2.7, 5, 9.99, 10, 25, 50.5]) {
      for (let count = 0; count < 5; count++) {
        left++;
        const due = reactor.now() + delay;
        reactor.addTimer(delay, () => {
          left--;
          assert.ok(reactor.now() >= due, `a timer of ${delay} ms came ${due - reactor.now()} ms early`);
        });
        await trial.turn();
      }
    }
    await trial.until(() => left === 0, "all fire");
  });

  engine.rule("a timer of 0 fires in a later turn, once", async (trial) => {
    let fired = 0;
    const timer = trial.reactor.addTimer(0, () => fired++);
    assert.equal(fired, 0);
    assert.equal(timer.active, true);
    await trial.until(() => fired === 1, "it fires");
    assert.equal(timer.active, false);
    await trial.settle();
    assert.equal(fired, 1);
  });

  engine.rule("a cancelled timer does not fire and does not count", async (trial) => {
    const { reactor } = trial;
    const before = reactor.timerCount;
    let fired = 0;
    const timers = Array.from({ length: 1000 }, () => reactor.addTimer(5, () => fired++));
    assert.equal(reactor.timerCount, before + 1000);
    for (const timer of timers) {
      timer.cancel();
      timer.cancel();
    }
    assert.equal(reactor.timerCount, before);
    reactor.cancelTimer(reactor.addTimer(5, () => fired++));
    reactor.addTimer(5, () => fired++)[Symbol.dispose]();
    await trial.sleep(10);
    assert.equal(fired, 0);
  });

  engine.rule("a timer can cancel one that is due in the same turn, and itself", async (trial) => {
    const { reactor } = trial;
    const fired: string[] = [];
    const first = reactor.addTimer(5, () => {
      fired.push("first");
      first.cancel();
      second.cancel();
    });
    const second = reactor.addTimer(5, () => fired.push("second"));
    const third = reactor.addTimer(5, () => fired.push("third"));
    trial.block(8);
    await trial.until(() => !third.active, "they fire");
    assert.deepEqual(fired, ["first", "third"]);
  });

  engine.rule("a hundred thousand timers", async (trial) => {
    const { reactor } = trial;
    let fired = 0;
    const before = reactor.timerCount;
    for (let count = 0; count < 100_000; count++) reactor.addTimer(count % 20, () => fired++);
    assert.equal(reactor.timerCount, before + 100_000);
    await trial.until(() => fired === 100_000, "all fire");
    // `until` itself waits on a timer at times.
    await trial.turn();
    assert.equal(reactor.timerCount, before);
  });

  engine.rule("very long delays are taken, and wait", async (trial) => {
    let fired = 0;
    for (const delay of [2 ** 31, 2 ** 32, 1.19e13, 2 ** 52]) trial.reactor.addTimer(delay, () => fired++);
    await trial.settle();
    assert.equal(fired, 0);
  });

  engine.rule("an earlier timer made later comes first", async (trial) => {
    const fired: string[] = [];
    trial.reactor.addTimer(60_000, () => fired.push("late"));
    await trial.turn();
    trial.reactor.addTimer(30_000, () => fired.push("early"));
    await trial.turn();
    // Wakes the loop that has settled down to wait for the others; nothing else here does.
    await new Promise<void>((resolve) => {
      setImmediate(() => trial.reactor.addTimer(1, () => resolve(void fired.push("earliest"))));
    });
    assert.deepEqual(fired, ["earliest"]);
  });

  engine.rule("what a timer adds does not hold the turn", async (trial) => {
    let chained = 0;
    const again = () => {
      chained++;
      trial.reactor.addTimer(0, again);
    };
    trial.reactor.addTimer(0, again);
    await trial.turn();
    await trial.sleep(5);
    assert.ok(chained > 0);
  });

  engine.rule("a throw in one timer hurts no other", async (trial) => {
    const oops = new Error("from a timer");
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    let fired = 0;
    for (let count = 0; count < 3; count++) {
      trial.reactor.addTimer(5, () => {
        throw oops;
      });
      trial.reactor.addTimer(5, () => fired++);
    }
    trial.reactor.addTimer(5, () => Promise.reject(oops));
    await trial.until(() => fired === 3 && errors.length === 4, "all fire");
    assert.ok(errors.every((error) => error === oops));
  });

  // Periodic -----------------------------------------------------------------------------------------------------

  engine.rule("a periodic timer keeps its phase whatever its callback takes", async (trial) => {
    const { reactor } = trial;
    const interval = 20;
    const begun = reactor.now();
    const beats: number[] = [];
    const timer = reactor.addPeriodicTimer(interval, () => {
      beats.push(reactor.now() - begun);
      trial.block(7);
    });
    const startedIn = reactor.now() - begun;
    await trial.until(() => beats.length >= 12, "twelve beats");
    timer.cancel();
    // A call that is never later than that falls, as seen here, into the beat it is for.
    const isPrompt = startedIn < 1 && reactor.stats().loopDelay.max < 7;
    const numbers = beats.map((at) => Math.floor(at / interval + 0.001));
    for (const [index, at] of beats.entries()) {
      assert.ok(at >= (index + 1) * interval - 0.5, `beat ${index + 1} at ${at}`);
      if (index > 0 && isPrompt)
        assert.ok((numbers[index] as number) > (numbers[index - 1] as number), "one beat, one call");
    }
  });

  engine.rule("a periodic timer skips the beats it has missed", async (trial) => {
    const { reactor } = trial;
    const begun = reactor.now();
    const beats: number[] = [];
    const timer = reactor.addPeriodicTimer(10, () => beats.push(reactor.now() - begun));
    trial.block(75);
    await trial.until(() => beats.length >= 3, "it goes on");
    timer.cancel();
    assert.ok((beats[0] as number) >= 75, "one call for all that were missed");
    assert.ok((beats[1] as number) >= 80, `then the next beat in phase, not at ${beats[1]}`);
    assert.ok((beats[2] as number) >= 90, `and so on, not at ${beats[2]}`);
  });

  engine.rule("a periodic timer survives a throw", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    let beats = 0;
    const timer = trial.reactor.addPeriodicTimer(2, () => {
      beats++;
      throw new Error(`beat ${beats}`);
    });
    await trial.until(() => beats >= 4, "it goes on");
    timer.cancel();
    assert.equal(errors.length, beats);
  });

  engine.rule("a periodic timer may cancel itself", async (trial) => {
    let beats = 0;
    const timer = trial.reactor.addPeriodicTimer(1, () => {
      if (++beats === 3) timer.cancel();
    });
    await trial.until(() => beats === 3, "three beats");
    await trial.settle();
    assert.equal(beats, 3);
    assert.equal(timer.active, false);
  });

  engine.rule("a periodic timer's interval can be changed", async (trial) => {
    const { reactor } = trial;
    let beats = 0;
    const timer = reactor.addPeriodicTimer(1_000_000, () => beats++);
    assert.equal(timer.interval, 1_000_000);
    timer.interval = 3;
    await trial.until(() => beats >= 3, "it beats");
    timer.interval = 1_000_000;
    const stood = beats;
    await trial.settle();
    assert.equal(beats, stood);
    for (const wrong of [-1, Number.NaN, "5", undefined]) {
      assert.throws(
        () => {
          timer.interval = wrong as number;
        },
        { name: "ArgumentError" },
      );
    }
  });

  engine.rule("a periodic timer of 0 fires once in a turn", async (trial) => {
    let beats = 0;
    const timer = trial.reactor.addPeriodicTimer(0, () => beats++);
    await trial.until(() => beats > 5, "it beats");
    timer.cancel();
  });

  engine.rule("timers are Timers", async (trial) => {
    const one = trial.reactor.addTimer(1, () => {});
    const many = trial.reactor.addPeriodicTimer(1, () => {});
    assert.ok(one instanceof Timer && !(one instanceof PeriodicTimer));
    assert.ok(many instanceof PeriodicTimer && many instanceof Timer);
    assert.equal(one.hasRef(), true);
    assert.equal(one.unref().hasRef(), false);
    assert.equal(one.ref().hasRef(), true);
  });

  engine.rule("bad delays and callbacks throw", async (trial) => {
    const { reactor } = trial;
    const before = reactor.timerCount;
    for (const delay of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "5", undefined, null, 5n]) {
      assert.throws(() => reactor.addTimer(delay as number, () => {}), { name: "ArgumentError" });
      assert.throws(() => reactor.addPeriodicTimer(delay as number, () => {}), { name: "ArgumentError" });
    }
    for (const callback of [undefined, null, "f", {}]) {
      assert.throws(() => reactor.addTimer(1, callback as () => void), { name: "ArgumentError" });
    }
    for (const timer of [undefined, 7, {}]) {
      assert.throws(() => reactor.cancelTimer(timer as unknown as Timer), { name: "ArgumentError" });
    }
    assert.equal(reactor.timerCount, before);
  });

  engine.rule("stats tell how late timers were", async (trial) => {
    trial.reactor.addTimer(1, () => {});
    trial.block(30);
    await trial.sleep(1);
    const { loopDelay } = trial.reactor.stats();
    assert.ok(loopDelay.samples >= 2);
    assert.ok(loopDelay.max >= 25, `at worst ${loopDelay.max}`);
    assert.ok(loopDelay.mean > 0 && loopDelay.mean <= loopDelay.max);
  });

  engine.rule("currentTime stands still in a turn, now does not", async (trial) => {
    const { reactor } = trial;
    await new Promise<void>((resolve) => {
      reactor.nextTick(() => {
        const { currentTime } = reactor;
        const now = reactor.now();
        trial.block(5);
        assert.equal(reactor.currentTime, currentTime);
        assert.ok(reactor.now() >= now + 5);
        resolve();
      });
    });
  });

  engine.runRule("timers may be made before run, and go when it ends", async (trial) => {
    const { reactor } = trial;
    let fired = 0;
    reactor.addTimer(1, () => {
      fired++;
      reactor.stop();
    });
    const left = reactor.addTimer(1_000_000, () => fired++);
    assert.equal(reactor.timerCount, 2);
    await reactor.run();
    assert.equal(fired, 1);
    assert.equal(reactor.timerCount, 0);
    assert.equal(left.active, false);
    left.cancel();
  });
});
