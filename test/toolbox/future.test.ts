import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, Callback, Deferrable, future, withDeferrable } from "eventmachine";

describe("future", () => {
  it("gives a value, or what a function gives, as it is", () => {
    assert.equal(future(1), 1);
    assert.equal(
      future(() => 2),
      2,
    );
  });

  it("attaches the callbacks to a deferrable and returns it", () => {
    const seen: unknown[] = [];
    const deferrable = new Deferrable<number, string>();
    const returned = future<number, string>(
      deferrable,
      (value) => seen.push(value),
      (error) => seen.push(error),
    );
    assert.equal(returned, deferrable);
    deferrable.succeed(3);
    deferrable.fail("four");
    assert.deepEqual(seen, [3]);
  });

  it("takes a function that gives a deferrable, and one that failed", () => {
    const seen: unknown[] = [];
    const note = (value: unknown) => seen.push(value);
    future(() => new Deferrable<number>().succeed(1), note);
    future(() => new Deferrable<number, string>().fail("x"), note, note);
    class Mixed extends withDeferrable<number>()(Object) {}
    future(new Mixed().succeed(2), note);
    assert.deepEqual(seen, [1, "x", 2]);
  });

  it("takes one callback without the other", async () => {
    const seen: unknown[] = [];
    const note = (value: unknown) => seen.push(value);
    future(new Deferrable<number>().succeed(1), undefined, note);
    future(new Deferrable<number, string>().fail("a"), undefined, note);
    future(new Deferrable<number, string>().fail("b"), note);
    assert.deepEqual(seen, ["a"]);
    future(Promise.resolve(2), note);
    future(Promise.reject("c"), undefined, note);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(seen, ["a", 2, "c"]);
  });

  it("takes a promise", async () => {
    const seen: unknown[] = [];
    const promise = Promise.reject(new Error("no"));
    const returned = future(
      promise,
      () => seen.push("callback"),
      (error) => seen.push((error as Error).message),
    );
    assert.equal(returned, promise);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(seen, ["no"]);
  });
});

describe("Callback", () => {
  it("takes a function, or an object and the name of its method", () => {
    const double = (x: number) => 2 * x;
    assert.equal(Callback(double), double);
    const list: number[] = [];
    const push = Callback(list, "push");
    push(1, 2);
    assert.deepEqual(list, [1, 2]);
  });

  it("refuses anything else", () => {
    assert.throws(() => Callback(undefined as never), ArgumentError);
    assert.throws(() => Callback([] as never, "nothing"), ArgumentError);
  });
});
