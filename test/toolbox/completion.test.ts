import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Completion, type CompletionStates } from "eventmachine";
import { FakeClock } from "./fake_clock.js";

interface Download extends CompletionStates {
  succeeded: string;
  failed: unknown;
  progress: number;
  cancelled: string;
}

const make = (clock = new FakeClock()) => new Completion<Download>({ completionStates: ["cancelled"], clock });

describe("Completion", () => {
  it("begins unknown and not completed", () => {
    const completion = make();
    assert.equal(completion.state, "unknown");
    assert.equal(completion.value, undefined);
    assert.equal(completion.isCompleted, false);
    assert.deepEqual(completion.completionStates, ["succeeded", "failed", "cancelled"]);
  });

  it("runs callbacks on success and errbacks on failure", () => {
    const seen: unknown[] = [];
    const note = (value: unknown) => seen.push(value);
    make().callback(note).errback(note).succeed("a");
    make().callback(note).errback(note).fail("b");
    assert.deepEqual(seen, ["a", "b"]);
  });

  it("has states of its own, which callbacks wait for", () => {
    const seen: unknown[] = [];
    const completion = make().stateback("progress", (done) => seen.push(done));
    completion.changeState("progress", 10);
    completion.changeState("progress", 20);
    assert.deepEqual(seen, [10], "each callback runs once");
    completion.stateback("progress", (done) => seen.push(done));
    assert.deepEqual(seen, [10, 20], "in the state already");
    assert.equal(completion.isCompleted, false);
  });

  it("tells a callback that adds itself again of the next time", () => {
    const seen: unknown[] = [];
    const completion = make();
    const listen = (done: number) => {
      seen.push(done);
      completion.stateback("progress", listen);
    };
    completion.stateback("progress", listen);
    for (const done of [10, 20, 30]) completion.changeState("progress", done);
    assert.deepEqual(seen, [10, 20, 30]);
    completion.cancelStateback("progress", listen);
    completion.changeState("progress", 40).succeed("a");
    assert.deepEqual(seen, [10, 20, 30]);
  });

  it("counts a change from within a callback as the next time", () => {
    const seen: unknown[] = [];
    const completion = make();
    completion.stateback("progress", (done) => {
      seen.push(["a", done]);
      completion.stateback("progress", (next) => seen.push(["b", next]));
      completion.changeState("progress", 20);
    });
    completion.stateback("progress", (done) => seen.push(["c", done]));
    completion.changeState("progress", 10);
    assert.deepEqual(seen, [
      ["a", 10],
      ["c", 20],
      ["b", 20],
    ]);
  });

  it("cancels from within a callback what has not run, and what was added there", () => {
    const seen: unknown[] = [];
    const completion = make();
    const note = () => seen.push("note");
    completion.stateback("progress", () => {
      completion.stateback("progress", note);
      completion.cancelStateback("progress", note);
    });
    completion.stateback("progress", note).changeState("progress", 1).changeState("progress", 2);
    assert.deepEqual(seen, []);
  });

  it("runs at once what a callback of a completing state adds, behind those before it", () => {
    const seen: unknown[] = [];
    const completion = make();
    completion.callback(() => completion.callback(() => seen.push("late")));
    completion.callback(() => seen.push("early"));
    completion.completion(() => completion.completion(() => seen.push("last")));
    completion.succeed("a");
    assert.deepEqual(seen, ["early", "late", "last"]);
  });

  it("drops the rest when a callback completes it otherwise", () => {
    const seen: unknown[] = [];
    const completion = make();
    completion.callback(() => completion.fail("b"));
    completion.callback((value) => seen.push(value)).errback((error) => seen.push(error));
    completion.completion((value) => seen.push(`completion ${value}`));
    completion.succeed("a");
    assert.deepEqual(seen, ["b", "completion b"]);
  });

  it("runs a million callbacks", () => {
    const completion = make();
    let count = 0;
    for (let n = 0; n < 1_000_000; n++) completion.callback(() => count++);
    completion.succeed("a");
    assert.equal(count, 1_000_000);
  });

  it("runs late callbacks at once, and drops those of other states", () => {
    const seen: unknown[] = [];
    const completion = make().succeed("a");
    completion.callback((value) => seen.push(value));
    completion.errback((error) => seen.push(error));
    completion.stateback("progress", (done) => seen.push(done));
    assert.deepEqual(seen, ["a"]);
    completion.changeState("progress", 1).fail("b");
    assert.deepEqual(seen, ["a"]);
  });

  it("runs the completion's callbacks last, in whichever state it completes", () => {
    const seen: unknown[] = [];
    const note = (value: unknown) => seen.push(`completion ${value}`);
    make()
      .completion(note)
      .callback((value) => seen.push(value))
      .succeed("a");
    make().completion(note).fail("b");
    make().completion(note).changeState("cancelled", "c");
    make().succeed("d").completion(note);
    make().completion(note).changeState("progress", 1);
    assert.deepEqual(seen, ["a", "completion a", "completion b", "completion c", "completion d"]);
  });

  it("drops what waited for other completing states, and keeps what waits for the rest", () => {
    const seen: unknown[] = [];
    const completion = make()
      .errback(() => seen.push("errback"))
      .stateback("cancelled", () => seen.push("cancelled"))
      .stateback("progress", (done) => seen.push(done));
    completion.succeed("a").fail("b").changeState("cancelled", "c").changeState("progress", 5);
    assert.deepEqual(seen, [5]);
  });

  it("gives the value of a change from within a callback to those behind it", () => {
    const seen: unknown[] = [];
    const completion = make();
    completion.callback((value) => {
      seen.push(value);
      if (value === "a") completion.succeed("b");
    });
    completion.callback((value) => seen.push(value));
    completion.succeed("a");
    assert.deepEqual(seen, ["a", "b"]);
  });

  it("cancels callbacks", () => {
    const seen: unknown[] = [];
    const note = () => seen.push(1);
    const completion = make().callback(note).errback(note).completion(note).stateback("progress", note);
    completion.cancelCallback(note);
    completion.cancelErrback(note);
    completion.cancelCompletion(note);
    completion.cancelStateback("progress", note);
    completion.changeState("progress", 1).succeed("a");
    assert.deepEqual(seen, []);
  });

  it("cancels one wherever it stands, and leaves the others", () => {
    const seen: string[] = [];
    const notes = ["a", "b", "c"].map((name) => () => seen.push(name));
    for (const end of ["succeeded", "failed", "cancelled"] as const) {
      for (const gone of notes) {
        const completion = make();
        completion.cancelStateback(end, gone as () => void);
        completion.cancelCompletion(gone);
        for (const note of notes) completion.stateback(end, note).completion(note);
        if (end === "succeeded") completion.cancelCallback(gone);
        else if (end === "failed") completion.cancelErrback(gone);
        else completion.cancelStateback(end, gone);
        completion.cancelCompletion(gone);
        seen.length = 0;
        completion.changeState(end, "value");
        const stay = notes.flatMap((note, at) => (note === gone ? [] : (["a", "b", "c"][at] as string)));
        assert.deepEqual(seen, [...stay, ...stay], `${end} without ${notes.indexOf(gone)}`);
      }
    }
  });

  it("throws an AggregateError when several throw, of both kinds", () => {
    const fail = (name: string) => () => {
      throw new Error(name);
    };
    const completion = make().completion(fail("c")).callback(fail("a")).callback(fail("b"));
    assert.throws(
      () => completion.succeed("x"),
      (error) => error instanceof AggregateError && error.errors.map(({ message }) => message).join() === "a,b,c",
    );
  });

  it("runs the others when one throws", () => {
    const seen: unknown[] = [];
    const boom = new Error("boom");
    const completion = make().callback(() => {
      throw boom;
    });
    completion.callback((value) => seen.push(value)).completion((value) => seen.push(value));
    assert.throws(() => completion.succeed("a"), boom);
    assert.deepEqual(seen, ["a", "a"]);
  });

  it("times out, with an error of one's own or ERR_EM_TIMEOUT", () => {
    const clock = new FakeClock();
    const seen: unknown[] = [];
    make(clock)
      .errback((error) => seen.push(error))
      .timeout(10, "late");
    make(clock)
      .errback((error) => seen.push((error as { code: string }).code))
      .timeout(10);
    clock.advance(10);
    assert.deepEqual(seen, ["late", "ERR_EM_TIMEOUT"]);
  });

  it("calls the timeout off when it completes, not when it changes otherwise", () => {
    const clock = new FakeClock();
    const completion = make(clock).timeout(10);
    completion.changeState("progress", 1);
    assert.equal(clock.timers, 1);
    completion.succeed("a");
    assert.equal(clock.timers, 0);
    completion.timeout(10);
    assert.equal(clock.timers, 0);
    make(clock).timeout(10).timeout(20).cancelTimeout();
    assert.equal(clock.timers, 0);
  });

  it("refuses what is no callback, no clock and no list of states", () => {
    const wrong = { name: "ArgumentError", code: "ERR_EM_INVALID_ARGUMENT" };
    for (const method of ["callback", "errback", "completion"] as const) {
      assert.throws(() => make()[method](1 as never), wrong);
    }
    assert.throws(() => make().stateback("progress", 1 as never), wrong);
    assert.throws(() => make().timeout(-1), wrong);
    assert.throws(() => new Completion({ clock: 1 as never }), wrong);
    assert.throws(() => new Completion({ completionStates: "cancelled" as never }), wrong);
  });

  it("can be awaited", async () => {
    assert.equal(await make().succeed("a"), "a");
    await assert.rejects(async () => await make().fail(new Error("b")), /^Error: b$/);
    await assert.rejects(async () => await make().changeState("cancelled", "c"), {
      code: "ERR_EM_NOT_SUCCEEDED",
      message: "completed in state cancelled",
    });
  });
});
