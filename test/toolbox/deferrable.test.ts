import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, addTimer, Deferrable, EventMachineError, run, stop, withDeferrable } from "eventmachine";
import fc from "fast-check";
import { FakeClock } from "./fake_clock.js";

describe("Deferrable: callbacks", () => {
  it("runs them inside succeed, in the order they were added", () => {
    const seen: string[] = [];
    const deferrable = new Deferrable<string>();
    deferrable.callback((value) => seen.push(`1 ${value}`)).callback((value) => seen.push(`2 ${value}`));
    deferrable.errback(() => seen.push("errback"));
    deferrable.succeed("a");
    assert.deepEqual(seen, ["1 a", "2 a"]);
    assert.equal(deferrable.status, "succeeded");
  });

  it("runs errbacks inside fail", () => {
    const seen: unknown[] = [];
    const deferrable = new Deferrable<string, string>();
    deferrable.callback(() => seen.push("callback")).errback((error) => seen.push(error));
    deferrable.fail("why");
    assert.deepEqual(seen, ["why"]);
  });

  it("runs a late callback at once when the status matches, and drops it otherwise", () => {
    const seen: unknown[] = [];
    const deferrable = new Deferrable<number, string>().succeed(1);
    deferrable.callback((value) => seen.push(value)).errback(() => seen.push("errback"));
    assert.deepEqual(seen, [1]);
    deferrable.fail("later");
    assert.deepEqual(seen, [1], "the dropped errback does not come back");
  });

  it("takes callbacks out", () => {
    const seen: number[] = [];
    const [one, two] = [() => seen.push(1), () => seen.push(2)];
    const deferrable = new Deferrable<number, number>().callback(one).callback(two).callback(one).errback(one);
    deferrable.cancelCallback(one);
    deferrable.succeed(0);
    assert.deepEqual(seen, [2]);
    const other = new Deferrable<number, number>().errback(one).errback(two);
    other.cancelErrback(two);
    other.fail(0);
    assert.deepEqual(seen, [2, 1]);
  });

  it("refuses what is no function", () => {
    assert.throws(() => new Deferrable({ timeout: 5 } as never), ArgumentError);
    assert.throws(() => new Deferrable().callback(undefined as never), ArgumentError);
    assert.throws(() => new Deferrable().errback("x" as never), ArgumentError);
  });

  it("runs the others when one throws, and throws that error behind them", () => {
    const seen: number[] = [];
    const deferrable = new Deferrable<number>();
    const boom = new Error("boom");
    deferrable.callback(() => {
      throw boom;
    });
    deferrable.callback((value) => seen.push(value));
    assert.throws(() => deferrable.succeed(7), boom);
    assert.deepEqual(seen, [7]);
  });

  it("throws an AggregateError when several throw", () => {
    const deferrable = new Deferrable<void, number>();
    for (const name of ["a", "b"]) {
      deferrable.errback(() => {
        throw new Error(name);
      });
    }
    assert.throws(
      () => deferrable.fail(1),
      (error) => error instanceof AggregateError && error.errors.map(({ message }) => message).join() === "a,b",
    );
  });
});

describe("Deferrable: settling again", () => {
  it("has dropped those of the other kind for good", () => {
    const seen: unknown[] = [];
    const note = (value: unknown) => seen.push(value);
    new Deferrable<number, string>().callback(note).fail("no").succeed(1);
    new Deferrable<number, string>().errback(note).succeed(1).fail("no");
    assert.deepEqual(seen, []);
  });

  it("keeps those of the new status when an errback has settled it otherwise", () => {
    const seen: unknown[] = [];
    const deferrable = new Deferrable<number, string>();
    deferrable.errback(() => deferrable.succeed(2)).errback(() => seen.push("errback"));
    deferrable.callback((value) => seen.push(value));
    deferrable
      .fail("no")
      .setDeferredStatus("failed", "again")
      .errback((error) => seen.push(error));
    assert.deepEqual(seen, [2, "again"]);
  });

  it("changes the value for the callbacks that have not run yet", () => {
    const seen: number[] = [];
    const deferrable = new Deferrable<number>();
    deferrable.callback((value) => {
      seen.push(value);
      if (value === 1) deferrable.succeed(2);
    });
    deferrable.callback((value) => seen.push(value));
    deferrable.succeed(1);
    assert.deepEqual(seen, [1, 2]);
  });

  it("drops those and runs the errbacks when it fails from within a callback", () => {
    const seen: unknown[] = [];
    const deferrable = new Deferrable<number, string>();
    deferrable.callback(() => deferrable.fail("no"));
    deferrable.callback(() => seen.push("callback"));
    deferrable.errback((error) => seen.push(error));
    deferrable.succeed(1);
    assert.deepEqual(seen, ["no"]);
    assert.equal(deferrable.status, "failed");
  });

  it("changes status and value for those added later", () => {
    const seen: unknown[] = [];
    const deferrable = new Deferrable<number, string>().succeed(1).fail("two");
    deferrable.callback((value) => seen.push(value)).errback((error) => seen.push(error));
    deferrable.setDeferredStatus("succeeded", 3).callback((value) => seen.push(value));
    assert.deepEqual(seen, ["two", 3]);
  });

  it("keeps what a callback has added when it has made the status unknown again", () => {
    for (const first of ["succeeded", "failed"] as const) {
      const seen: unknown[] = [];
      const deferrable = new Deferrable<string, string>();
      const again = () =>
        deferrable
          .setDeferredStatus("unknown")
          .callback((value) => seen.push(`callback ${value}`))
          .errback((error) => seen.push(`errback ${error}`));
      if (first === "succeeded") deferrable.callback(again);
      else deferrable.errback(again);
      deferrable.setDeferredStatus(first, "one");
      assert.deepEqual(seen, []);
      deferrable.setDeferredStatus(first === "failed" ? "succeeded" : "failed", "two");
      assert.deepEqual(seen, [first === "failed" ? "callback two" : "errback two"]);
    }
  });

  it("waits again once its status is unknown", () => {
    const seen: number[] = [];
    const deferrable = new Deferrable<number>().succeed(1).setDeferredStatus("unknown");
    deferrable.callback((value) => seen.push(value));
    assert.deepEqual(seen, []);
    deferrable.succeed(2);
    assert.deepEqual(seen, [2]);
  });

  it("keeps the promise as it was settled first", async () => {
    const deferrable = new Deferrable<number>();
    const { promise } = deferrable;
    deferrable.succeed(1).succeed(2);
    assert.equal(await promise, 1);
    assert.equal(deferrable.promise, promise);
    assert.equal(await new Deferrable<number>().succeed(1).succeed(2), 2, "asked for behind the second one");
  });
});

describe("Deferrable: promises", () => {
  it("can be awaited", async () => {
    assert.equal(await new Deferrable<string>().succeed("a"), "a");
    const later = new Deferrable<string>();
    queueMicrotask(() => later.succeed("b"));
    assert.equal(await later, "b");
    await assert.rejects(async () => await new Deferrable<void, Error>().fail(new Error("c")), /^Error: c$/);
  });

  it("makes no promise, and so no unhandled rejection, until asked", async () => {
    const rejections: unknown[] = [];
    const note = (reason: unknown) => rejections.push(reason);
    process.on("unhandledRejection", note);
    new Deferrable<void, Error>().fail(new Error("nobody asked"));
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    assert.deepEqual(rejections, []);
  });
});

describe("Deferrable: timeout", () => {
  it("fails with ERR_EM_TIMEOUT, or with the error it was given", () => {
    const clock = new FakeClock();
    const seen: [unknown?, unknown?] = [];
    new Deferrable(clock).errback((error) => seen.push(error)).timeout(10);
    new Deferrable<void, string>(clock).errback((error) => seen.push(error)).timeout(10, "mine");
    clock.advance(9);
    assert.equal(seen.length, 0);
    clock.advance(1);
    assert.equal((seen[0] as EventMachineError).code, "ERR_EM_TIMEOUT");
    assert.ok(seen[0] instanceof EventMachineError);
    assert.equal(seen[1], "mine");
  });

  it("is called off by settling, by cancelTimeout and by another one", () => {
    const clock = new FakeClock();
    const one = new Deferrable<number>(clock).timeout(10).timeout(20);
    assert.equal(clock.timers, 1);
    clock.advance(15);
    assert.equal(one.status, "unknown");
    one.succeed(1);
    assert.equal(clock.timers, 0);
    new Deferrable(clock).timeout(10).cancelTimeout();
    assert.equal(clock.timers, 0);
  });

  it("does nothing on a settled one", () => {
    const clock = new FakeClock();
    new Deferrable<number>(clock).succeed(1).timeout(10);
    assert.equal(clock.timers, 0);
  });

  it("counts on the current reactor by default", async () => {
    await run(async () => {
      const begun = performance.now();
      await assert.rejects(async () => await new Deferrable().timeout(20), { code: "ERR_EM_TIMEOUT" });
      assert.ok(performance.now() - begun >= 20);
      addTimer(0, stop);
    });
  });

  it("refuses what is no delay", () => {
    for (const delay of [-1, Number.NaN, Number.POSITIVE_INFINITY, "1" as never]) {
      assert.throws(() => new Deferrable(new FakeClock()).timeout(delay), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
  });
});

describe("withDeferrable", () => {
  class Base {
    readonly name: string;
    constructor(name: string) {
      this.name = name;
    }
  }
  class Lookup extends withDeferrable<number, string>()(Base) {}

  it("adds callbacks and a promise to a class, and no then", async () => {
    const lookup = new Lookup("a");
    const seen: unknown[] = [];
    assert.equal(
      lookup.callback((value) => seen.push(value)),
      lookup,
    );
    assert.equal(lookup.deferredStatus, "unknown");
    lookup.succeed(4);
    assert.deepEqual(seen, [4]);
    assert.equal(await lookup.promise, 4);
    assert.ok(!("then" in lookup));
    assert.equal(await (async () => lookup)(), lookup);
    assert.equal(lookup.name, "a");
  });

  it("times out on the current reactor, unless that is called off", async () => {
    const seen: string[] = [];
    await run(() => {
      new Lookup("a").errback((error) => seen.push(error)).timeout(1, "late");
      new Lookup("b")
        .errback(() => seen.push("called off"))
        .timeout(1, "never")
        .cancelTimeout();
      addTimer(20, stop);
    });
    assert.deepEqual(seen, ["late"]);
  });

  it("fails, times out and cancels like a Deferrable", async () => {
    const seen: unknown[] = [];
    const note = (value: unknown) => seen.push(value);
    const lookup = new Lookup("b").errback(note).errback(String);
    lookup.timeout(60_000, "late").cancelTimeout();
    lookup.cancelErrback(String);
    lookup.callback(note).cancelCallback(note);
    lookup.fail("no");
    assert.deepEqual(seen, ["no"]);
    assert.deepEqual(lookup.setDeferredStatus("succeeded", 5).deferredStatus, "succeeded");
  });
});

it("calls what is added before and after settling once each, in order, whatever the mixture", () => {
  const additions = fc.array(fc.boolean(), { maxLength: 30 });
  fc.assert(
    fc.property(additions, additions, fc.boolean(), (before, after, succeeds) => {
      const seen: number[] = [];
      const expected: number[] = [];
      const deferrable = new Deferrable<void, number>();
      const add = (isCallback: boolean, index: number) => {
        if (isCallback === succeeds) expected.push(index);
        if (isCallback) deferrable.callback(() => seen.push(index));
        else deferrable.errback(() => seen.push(index));
      };
      before.forEach(add);
      assert.deepEqual(seen, []);
      if (succeeds) deferrable.succeed();
      else deferrable.fail(0);
      for (const [at, isCallback] of after.entries()) add(isCallback, before.length + at);
      assert.deepEqual(seen, expected);
    }),
  );
});
