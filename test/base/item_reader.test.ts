import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cutter, ItemReader } from "../../src/base/item_reader.js";

/** Cuts text into characters; "!" is wrong, and an unfinished "(" is wrong at the end. */
class Letters implements Cutter<string, string> {
  #text = "";
  feed(piece: string): void {
    this.#text += piece;
  }
  next(): string | undefined {
    const [letter] = this.#text;
    if (letter === undefined || letter === "(") return undefined;
    this.#text = this.#text.slice(1);
    if (letter === "!") throw new Error("wrong letter");
    return letter;
  }
  rest(): string | undefined {
    if (this.#text === "(") throw new Error("ended too early");
    return this.#text === "" ? undefined : this.#text;
  }
}

/** A source that says what becomes of it. */
function source(pieces: readonly string[], failure?: Error) {
  const seen: string[] = [];
  async function* read() {
    try {
      for (const piece of pieces) {
        seen.push(piece);
        yield piece;
      }
      if (failure !== undefined) throw failure;
    } finally {
      seen.push("left");
    }
  }
  return { seen, pieces: read() };
}

async function all(reader: ItemReader<string, string>): Promise<string[]> {
  const items: string[] = [];
  for await (const item of reader) items.push(item);
  return items;
}

test("gives every item in order, however the input is cut", async () => {
  assert.deepEqual(await all(new ItemReader(source(["ab", "", "c", "def"]).pieces, new Letters())), [..."abcdef"]);
  assert.deepEqual(await all(new ItemReader(["ab", "c(", "x"], new Letters())), ["a", "b", "c", "(x"]);
  assert.deepEqual(await all(new ItemReader([], new Letters())), []);
});

test("asks the source first when its own first item is asked for", async () => {
  const { seen, pieces } = source(["a"]);
  const reader = new ItemReader(pieces, new Letters());
  assert.deepEqual(seen, []);
  await reader.next();
  assert.deepEqual(seen, ["a"]);
});

test("steps asked for at once are answered in order, and end together", async () => {
  const reader = new ItemReader(source(["ab", "c"]).pieces, new Letters());
  const steps = await Promise.all(Array.from({ length: 5 }, () => reader.next()));
  assert.deepEqual(
    steps.map(({ done, value }) => (done === true ? "done" : value)),
    ["a", "b", "c", "done", "done"],
  );
});

test("leaving the loop leaves the source, once", async () => {
  const { seen, pieces } = source(["ab", "c"]);
  const reader = new ItemReader(pieces, new Letters());
  for await (const item of reader) if (item === "a") break;
  assert.deepEqual(seen, ["ab", "left"]);
  assert.deepEqual(await reader.next(), { done: true, value: undefined });
  await assert.rejects(reader.throw(new Error("mine")), /mine/);
});

test("leaving ends a step that waits", async () => {
  let left = 0;
  const silent: AsyncIterableIterator<string, undefined> = {
    next: () => new Promise(() => {}),
    return: async () => {
      left++;
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
  const reader = new ItemReader(silent, new Letters());
  const step = reader.next();
  assert.deepEqual(await reader.return(), { done: true, value: undefined });
  assert.deepEqual([await step, left], [{ done: true, value: undefined }, 1]);
});

test("an error of the input comes after the items before it, and leaves the source", async () => {
  for (const pieces of [
    ["ab!c", "d"],
    ["a", "b", "!"],
  ]) {
    const from = source(pieces);
    const reader = new ItemReader(from.pieces, new Letters());
    const items = [await reader.next(), await reader.next()].map(({ value }) => value);
    await assert.rejects(reader.next(), /wrong letter/);
    assert.deepEqual([items, from.seen.at(-1)], [["a", "b"], "left"]);
    assert.equal((await reader.next()).done, true);
  }
  await assert.rejects(all(new ItemReader(source(["a("]).pieces, new Letters())), /ended too early/);
});

test("what the source fails with comes through, and is told once", async () => {
  const reader = new ItemReader(source(["a"], new Error("source")).pieces, new Letters());
  const steps = await Promise.allSettled([reader.next(), reader.next(), reader.next()]);
  assert.deepEqual(
    steps.map((step) => (step.status === "rejected" ? (step.reason as Error).message : step.value.done)),
    [false, "source", true],
  );
  const throwing = { [Symbol.asyncIterator]: () => ({ next: () => assert.fail("sync") }) } as never;
  await assert.rejects(new ItemReader<string, string>(throwing, new Letters()).next(), /sync/);
});
