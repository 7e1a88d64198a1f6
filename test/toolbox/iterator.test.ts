import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { ArgumentError, type EachStep, Iterator } from "eventmachine";
import fc from "fast-check";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Work that is through with an item when the test says so. */
class Hands {
  readonly begun: number[] = [];
  readonly #steps = new Map<number, EachStep>();

  readonly work = (item: number, step: EachStep): void => {
    this.begun.push(item);
    this.#steps.set(item, step);
  };

  finish(item: number): void {
    this.#steps.get(item)?.next();
  }

  fail(item: number, error: unknown): void {
    this.#steps.get(item)?.fail(error);
  }
}

describe("Iterator: each", () => {
  it("takes one item at a time by default", async () => {
    const hands = new Hands();
    const done = new Iterator([1, 2]).each(hands.work);
    assert.deepEqual(hands.begun, [1]);
    hands.finish(1);
    assert.deepEqual(hands.begun, [1, 2]);
    hands.finish(2);
    await done;
  });

  it("takes as many at a time as it is told, fewer where there are fewer", async () => {
    const hands = new Hands();
    const iterator = new Iterator([1, 2, 3], 10);
    const done = iterator.each(hands.work);
    assert.equal(iterator.concurrency, 10);
    assert.deepEqual(hands.begun, [1, 2, 3]);
    for (const item of [3, 1, 2]) hands.finish(item);
    await done;
  });

  it("runs `after` behind all work, before it resolves", async () => {
    const seen: unknown[] = [];
    await new Iterator([1, 2]).each(
      (item) => seen.push(item),
      () => seen.push("after"),
    );
    assert.deepEqual(seen, [1, 2, "after"]);
    await new Iterator([]).each(
      () => assert.fail("there is nothing"),
      () => seen.push("empty"),
    );
    assert.equal(seen.at(-1), "empty");
  });

  it("takes async work", async () => {
    const seen: string[] = [];
    await new Iterator(["a", "b", "c"], 2).each(async (item) => {
      seen.push(`+${item}`);
      await turn();
      seen.push(`-${item}`);
    });
    assert.deepEqual(seen, ["+a", "+b", "-a", "+c", "-b", "-c"]);
  });

  it("takes items from functions, generators and async sources, as there are hands for them", async () => {
    let given = 0;
    const seen: number[] = [];
    await new Iterator(() => (given < 3 ? given++ : Iterator.STOP)).each((item) => seen.push(item));
    await new Iterator(async () => (given < 5 ? given++ : Iterator.STOP), 2).each((item) => seen.push(item));
    async function* source() {
      yield 5;
      yield 6;
    }
    await new Iterator(source(), 3).each((item) => seen.push(item));
    await new Iterator(new Set([7])).each((item) => seen.push(item));
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("works through a long list of quick work without growing the stack", async () => {
    let sum = 0;
    await new Iterator(Array.from({ length: 200_000 }, () => 1)).each((item, step) => {
      sum += item;
      step.next();
    });
    assert.equal(sum, 200_000);
  });

  it("heeds a change of concurrency under way", async () => {
    const hands = new Hands();
    const iterator = new Iterator([1, 2, 3, 4, 5, 6]);
    const done = iterator.each(hands.work);
    iterator.concurrency = 3;
    assert.deepEqual(hands.begun, [1, 2, 3]);
    iterator.concurrency = 1;
    hands.finish(1);
    hands.finish(2);
    assert.deepEqual(hands.begun, [1, 2, 3]);
    for (const item of [3, 4, 5, 6]) hands.finish(item);
    assert.deepEqual(hands.begun, [1, 2, 3, 4, 5, 6]);
    await done;
  });

  it("refuses to be through with an item twice, and to work twice", async () => {
    let step: EachStep | undefined;
    const iterator = new Iterator([1, 2]);
    const done = iterator.each((_, given) => {
      step ??= given;
      given.next();
    });
    assert.throws(() => step?.next(), { code: "ERR_EM_ALREADY_RETURNED" });
    await done;
    await assert.rejects(
      iterator.each(() => {}),
      { code: "ERR_EM_ALREADY_STARTED" },
    );
    await assert.rejects(
      iterator.map(() => 1),
      { code: "ERR_EM_ALREADY_STARTED" },
    );
  });

  it("takes nothing more after a failure, and rejects when the work under way is through", async () => {
    const hands = new Hands();
    let isOver = false;
    const done = new Iterator([1, 2, 3], 2).each(hands.work);
    done.catch(() => {
      isOver = true;
    });
    hands.fail(1, new Error("first"));
    await turn();
    assert.equal(isOver, false);
    hands.fail(2, new Error("second"));
    await assert.rejects(done, /first/);
    assert.deepEqual(hands.begun, [1, 2]);
  });

  it("rejects with what work or source throws, and closes the source", async () => {
    let isClosed = false;
    function* source() {
      try {
        yield 1;
        yield 2;
      } finally {
        isClosed = true;
      }
    }
    await assert.rejects(
      new Iterator(source()).each(() => {
        throw new Error("work");
      }),
      /work/,
    );
    assert.ok(isClosed);
    const failing = () => {
      throw new Error("source");
    };
    await assert.rejects(
      new Iterator(failing).each(() => {}),
      /source/,
    );
    await assert.rejects(
      new Iterator(async () => failing()).each(() => {}),
      /source/,
    );
  });

  it("rejects with what work throws or rejects with behind its step", async () => {
    for (const later of [false, true]) {
      const begun: number[] = [];
      const work = (item: number, step: EachStep) => {
        begun.push(item);
        if (item > 1) return undefined;
        step.next();
        const fail = () => {
          throw new Error("behind");
        };
        return later ? turn().then(fail) : fail();
      };
      const done = new Iterator([1, 2, 3], 1).each((item, step) => {
        const result = work(item, step);
        // Behind the failure of the first.
        if (item > 1)
          turn()
            .then(turn)
            .then(() => step.next());
        return result;
      });
      await assert.rejects(done, /behind/);
      assert.ok(begun.length <= 2, "nothing more is taken");
    }
  });

  it("leaves what is rejected when all is over to the process", () => {
    const program = `
      import { Iterator } from ${JSON.stringify(import.meta.resolve("eventmachine"))};
      const late = () => new Promise((_, reject) => setImmediate(reject, new Error("too late")));
      await new Iterator([1]).each((_, step) => {
        step.next();
        return late();
      });
      process.stdout.write("over");`;
    const child = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
      encoding: "utf8",
      timeout: 20_000,
    });
    assert.deepEqual([child.stdout, child.status], ["over", 1]);
    assert.match(child.stderr, /Error: too late/);
  });

  it("refuses what is no work, and has not been started by it", async () => {
    const iterator = new Iterator([1]);
    for (const wrong of [undefined, "work"] as never[]) {
      for (const call of [iterator.each(wrong), iterator.map(wrong), iterator.inject(0, wrong)]) {
        await assert.rejects(call, ArgumentError);
      }
    }
    await assert.rejects(
      iterator.each(() => {}, 5 as never),
      ArgumentError,
    );
    assert.deepEqual(await iterator.map((item) => -item), [-1]);
  });

  it("heeds a step that was called before its promise resolves", async () => {
    assert.deepEqual(
      await new Iterator([1, 2]).map<number>(async (item, step) => {
        step.return(item * 10);
        await turn();
        return -item;
      }),
      [10, 20],
    );
  });

  it("closes the source once, and drops an item that comes behind a failure", async () => {
    let give = (_: IteratorResult<number>) => {};
    let closings = 0;
    const steps: IteratorResult<number>[] = [1, 2].map((value) => ({ done: false, value }));
    const next = (): Promise<IteratorResult<number>> => {
      const step = steps.shift();
      if (step !== undefined) return Promise.resolve(step);
      return new Promise((resolve) => {
        give = resolve;
      });
    };
    const close = async () => {
      closings++;
      return { done: true, value: undefined } as const;
    };
    const hands = new Hands();
    const done = new Iterator<number>({ [Symbol.asyncIterator]: () => ({ next, return: close }) }, 3).each(hands.work);
    await turn();
    assert.deepEqual(hands.begun, [1, 2]);
    hands.fail(1, new Error("first"));
    hands.fail(2, new Error("second"));
    give({ done: false, value: 3 });
    await assert.rejects(done, /first/);
    assert.deepEqual([hands.begun, closings], [[1, 2], 1]);
  });

  it("takes no harm from a source that cannot be closed", async () => {
    const fail = () => {
      throw new Error("cannot close");
    };
    const rejections: unknown[] = [];
    const note = (reason: unknown) => rejections.push(reason);
    process.on("unhandledRejection", note);
    for (const closing of [fail, async () => fail()]) {
      const source = { next: () => ({ done: false, value: 1 }), return: closing };
      const items = new Iterator<number>({ [Symbol.iterator]: () => source as never });
      await assert.rejects(
        items.each(() => Promise.reject(new Error("work"))),
        /work/,
      );
    }
    await turn();
    process.off("unhandledRejection", note);
    assert.deepEqual(rejections, []);
  });

  it("refuses a concurrency below 1 and a source that is none", () => {
    for (const concurrency of [0, -1, 0.5, Number.NaN]) {
      assert.throws(() => new Iterator([], concurrency), ArgumentError);
    }
    const iterator = new Iterator([]);
    assert.throws(() => {
      iterator.concurrency = 0;
    }, ArgumentError);
    for (const source of [5, null, undefined, {}]) assert.throws(() => new Iterator(source as never), ArgumentError);
  });
});

describe("Iterator: map and inject", () => {
  it("maps with a step or a promise, in the order of the items", async () => {
    const delayed = await new Iterator([3, 1, 2], 3).map(async (item) => {
      for (let n = 0; n < item; n++) await turn();
      return item * 10;
    });
    assert.deepEqual(delayed, [30, 10, 20]);
    const stepped = await new Iterator(["a", "b"]).map<string>((item, step) => {
      setImmediate(() => step.return(`${item}!`));
      return undefined;
    });
    assert.deepEqual(stepped, ["a!", "b!"]);
    assert.deepEqual(await new Iterator("ab").map((item) => item.toUpperCase()), ["A", "B"]);
  });

  it("offers no `next` to map and inject", async () => {
    await new Iterator([1]).map((_, step) => {
      assert.ok(!("next" in step));
      step.return(1);
      return undefined;
    });
  });

  it("gives `after` the results", async () => {
    const seen: unknown[] = [];
    await new Iterator([1, 2]).map(
      (item) => -item,
      (results) => seen.push(results),
    );
    await new Iterator([1, 2]).inject(
      10,
      (sum, item) => sum + item,
      (sum) => seen.push(sum),
    );
    assert.deepEqual(seen, [[-1, -2], 13]);
  });

  it("injects with a step or a promise", async () => {
    const words = await new Iterator(["a", "b"]).inject<string[]>([], (list, item, step) => {
      setImmediate(() => step.return([...list, item]));
      return undefined;
    });
    assert.deepEqual(words, ["a", "b"]);
    assert.equal(await new Iterator([1, 2, 3]).inject(0, async (sum, item) => sum + item), 6);
  });
});

it("is never at more items than its concurrency, at each once and in order, whatever the pace", async () => {
  const paces = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(paces, fc.integer({ min: 1, max: 6 }), async (list, concurrency) => {
      let active = 0;
      let most = 0;
      const begun: number[] = [];
      const results = await new Iterator(list.entries(), concurrency).map(async ([index, pace]) => {
        begun.push(index);
        most = Math.max(most, ++active);
        for (let n = 0; n < pace; n++) await null;
        active--;
        return index;
      });
      const order = list.map((_, index) => index);
      assert.deepEqual([begun, results], [order, order]);
      assert.ok(most <= concurrency);
    }),
  );
});
