import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, run, SpawnedProcess, spawn, stop } from "eventmachine";
import { FakeClock } from "./fake_clock.js";

describe("SpawnedProcess", () => {
  it("runs its body in the next turn, once for each notification, with its arguments", () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const process = spawn((name: string, n: number) => seen.push(`${name}${n}`), clock);
    process.notify("a", 1);
    process.resume("b", 2);
    process.run("c", 3);
    assert.deepEqual(seen, []);
    clock.turn();
    assert.deepEqual(seen, ["a1", "b2", "c3"]);
  });

  it("is `this` in its body, and can notify itself", () => {
    const clock = new FakeClock();
    const seen: number[] = [];
    const process: SpawnedProcess<[number]> = spawn(function (n: number) {
      assert.equal(this, process);
      seen.push(n);
      if (n < 3) this.notify(n + 1);
    }, clock);
    process.notify(1);
    for (const expected of [[1], [1, 2], [1, 2, 3], [1, 2, 3]]) {
      clock.turn();
      assert.deepEqual(seen, expected);
    }
  });

  it("hands itself over by yield", () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const process = spawn(() => {
      seen.push("first");
      return SpawnedProcess.yield(() => {
        seen.push("second");
        return SpawnedProcess.yield(() => seen.push("third"));
      });
    }, clock);
    for (const expected of ["first", "second", "third", "third"]) {
      process.notify();
      clock.turn();
      assert.equal(seen.at(-1), expected);
    }
    assert.equal(seen.length, 4);
  });

  it("goes on by itself with yieldAndNotify", () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    spawn((word: string) => {
      seen.push(word);
      return SpawnedProcess.yieldAndNotify((other: string) => seen.push(other), "two");
    }, clock).notify("one");
    clock.turn();
    assert.deepEqual(seen, ["one"]);
    clock.turn();
    assert.deepEqual(seen, ["one", "two"]);
  });

  it("takes another body for notifications to come", () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const process = spawn(() => seen.push("old"), clock);
    process.notify();
    process.setReceiver(() => seen.push("new"));
    clock.turn();
    assert.deepEqual(seen, ["new"]);
  });

  it("takes an async body, whose yield counts when it has settled", async () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const process = spawn(async () => SpawnedProcess.yield(() => seen.push("next")), clock);
    process.notify();
    await Promise.all(clock.turn());
    process.notify();
    clock.turn();
    assert.deepEqual(seen, ["next"]);
  });

  it("plays ping-pong on the current reactor", async () => {
    const seen: string[] = [];
    await run(() => {
      const ping: SpawnedProcess<[number]> = spawn((n: number) => {
        seen.push(`ping ${n}`);
        pong.notify(n);
      });
      const pong = spawn((n: number) => {
        seen.push(`pong ${n}`);
        if (n === 2) stop();
        else ping.notify(n + 1);
      });
      ping.notify(1);
    });
    assert.deepEqual(seen, ["ping 1", "pong 1", "ping 2", "pong 2"]);
  });

  it("gives what a body throws to the reactor", async () => {
    const fail = () => {
      throw new Error("boom");
    };
    await assert.rejects(
      run(() => spawn(fail).notify()),
      /boom/,
    );
    await assert.rejects(
      run(() => spawn(async () => fail()).notify()),
      /boom/,
    );
  });

  it("refuses a body that is no function", () => {
    assert.throws(() => spawn(1 as never), ArgumentError);
    assert.throws(() => spawn(() => {}, 1 as never), ArgumentError);
    assert.throws(() => spawn(() => {}).setReceiver(1 as never), ArgumentError);
    assert.throws(() => SpawnedProcess.yield(1 as never), ArgumentError);
    assert.throws(() => SpawnedProcess.yieldAndNotify(1 as never), ArgumentError);
  });
});
