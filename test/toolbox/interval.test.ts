import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, interval, run, stop } from "eventmachine";
import fc from "fast-check";
import { FakeClock } from "./fake_clock.js";

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Asks for the next beat, lets so much time pass, and tells which has come by then. */
async function beatWithin(beats: AsyncGenerator<number>, clock: FakeClock, milliseconds: number) {
  let come: number | undefined;
  const next = beats.next().then(({ value }) => {
    come = value;
  });
  await settled();
  clock.advance(milliseconds);
  await settled();
  return { come, next };
}

describe("interval", () => {
  it("goes round once a period, the first time after one", async () => {
    const clock = new FakeClock();
    const beats = interval(100, { clock });
    const early = await beatWithin(beats, clock, 99.5);
    assert.equal(early.come, undefined);
    clock.advance(0.5);
    await early.next;
    for (const beat of [2, 3, 4]) assert.equal((await beatWithin(beats, clock, 100)).come, beat);
  });

  it("keeps to whole periods, however long the body takes", async () => {
    const clock = new FakeClock();
    const beats = interval(100, { clock });
    assert.equal((await beatWithin(beats, clock, 100)).come, 1);
    clock.advance(30);
    assert.equal((await beatWithin(beats, clock, 69)).come, undefined, "no earlier than at 200");
  });

  it("goes round once for all beats missed, and on with the next", async () => {
    const clock = new FakeClock();
    const beats = interval(100, { clock });
    assert.equal((await beatWithin(beats, clock, 100)).come, 1);
    clock.advance(370); // 470: those of 200, 300 and 400 are missed.
    assert.equal((await beatWithin(beats, clock, 0)).come, 4);
    assert.equal((await beatWithin(beats, clock, 30)).come, 5, "at 500");
  });

  it("never comes early, and counts on, whatever the period and the body's time", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0.1, max: 50, noNaN: true }),
        fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { maxLength: 20 }),
        async (period, bodies) => {
          const clock = new FakeClock();
          const beats = interval(period, { clock });
          let last = 0;
          for (const body of bodies) {
            const { come } = await beatWithin(beats, clock, 2 * period);
            assert.ok(come !== undefined && come > last);
            assert.ok(clock.now() >= come * period * (1 - 1e-12));
            last = come;
            clock.advance(body);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it("ends with its loop, and leaves no timer behind", async () => {
    const clock = new FakeClock();
    const driven = (async () => {
      for await (const beat of interval(10, { clock })) if (beat === 3) return beat;
      return 0;
    })();
    for (let turn = 0; turn < 3; turn++) {
      await settled();
      clock.advance(10);
    }
    assert.equal(await driven, 3);
    assert.equal(clock.timers, 0);
  });

  it("ends with its signal's reason", async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const beats = interval(10, { clock, signal: controller.signal });
    const next = beats.next();
    await settled();
    controller.abort(new Error("enough"));
    await assert.rejects(next, /enough/);
    assert.equal(clock.timers, 0);
    assert.equal((await beats.next()).done, true);
    const aborted = interval(10, { clock, signal: controller.signal });
    await assert.rejects(aborted.next(), /enough/);
  });

  it("beats on the current reactor by default, in every turn with a period of 0", async () => {
    const seen: number[] = [];
    const begun = performance.now();
    await run(async () => {
      for await (const beat of interval(10)) {
        seen.push(beat);
        if (seen.length === 3) break;
      }
      assert.ok(performance.now() - begun >= 30);
      for await (const beat of interval(0)) if (beat === 100) break;
      stop();
    });
    assert.equal(seen.length, 3);
  });

  it("refuses what is no period, at the call", () => {
    for (const period of [-1, Number.NaN, "10", undefined]) {
      assert.throws(() => interval(period as never), ArgumentError);
    }
  });
});
