import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, Channel, type ChannelStream, LimitError } from "eventmachine";
import fc from "fast-check";
import { FakeClock } from "./fake_clock.js";

describe("Channel", () => {
  it("calls all subscribers inside push, in the order they came", () => {
    const channel = new Channel<number>();
    const seen: string[] = [];
    for (const name of ["a", "b"]) channel.subscribe((item) => seen.push(`${name}${item}`));
    channel.push(1, 2);
    assert.deepEqual(seen, ["a1", "b1", "a2", "b2"]);
    assert.equal(channel.numSubscribers, 2);
  });

  it("calls no one who has left, by whichever way", () => {
    const channel = new Channel<number>();
    const seen: number[] = [];
    const note = (item: number) => seen.push(item);
    {
      using subscription = channel.subscribe(note);
      channel.push(1);
      assert.ok(subscription.isActive);
    }
    const second = channel.subscribe(note);
    channel.unsubscribe(second);
    second.unsubscribe();
    assert.ok(!second.isActive);
    channel.push(2);
    assert.deepEqual([seen, channel.numSubscribers], [[1], 0]);
  });

  it("gives pop the next item alone", async () => {
    const channel = new Channel<number>();
    const seen: number[] = [];
    channel.pop((item) => seen.push(item));
    const popped = channel.pop();
    channel.push(1, 2);
    assert.deepEqual(seen, [1]);
    assert.equal(await popped, 1);
    assert.equal(channel.numSubscribers, 0);
  });

  it("lets pop give up at a signal or after a time, and leave", async () => {
    const clock = new FakeClock();
    const channel = new Channel<number>();
    const controller = new AbortController();
    const aborted = channel.pop({ signal: controller.signal });
    const late = channel.pop({ timeout: 10, clock });
    const patient = channel.pop({ timeout: 20, clock });
    assert.equal(channel.numSubscribers, 3);
    controller.abort(new Error("enough"));
    await assert.rejects(aborted, /enough/);
    clock.advance(10);
    await assert.rejects(late, { code: "ERR_EM_TIMEOUT" });
    assert.equal(channel.numSubscribers, 1);
    channel.push(7);
    assert.equal(await patient, 7);
    assert.deepEqual([channel.numSubscribers, clock.timers], [0, 0]);
    await assert.rejects(channel.pop({ timeout: -1 }), ArgumentError);
    assert.equal(channel.numSubscribers, 0);
  });

  it("keeps one order for everybody when a subscriber pushes", () => {
    const channel = new Channel<number>();
    const seen: string[] = [];
    channel.subscribe((item) => {
      seen.push(`a${item}`);
      if (item === 1) channel.push(2);
    });
    channel.subscribe((item) => seen.push(`b${item}`));
    channel.push(1);
    assert.deepEqual(seen, ["a1", "b1", "a2", "b2"]);
  });

  it("lets subscribers come and go while an item is on its way", () => {
    const channel = new Channel<number>();
    const seen: string[] = [];
    channel.subscribe((item) => {
      seen.push(`a${item}`);
      if (item !== 1) return;
      second.unsubscribe();
      channel.subscribe((late) => seen.push(`c${late}`));
    });
    const second = channel.subscribe((item) => seen.push(`b${item}`));
    channel.push(1, 2);
    assert.deepEqual(seen, ["a1", "a2", "c2"]);
  });

  it("serves all when one throws, and throws from push behind them", () => {
    const channel = new Channel<number>();
    const seen: number[] = [];
    const boom = new Error("boom");
    channel.subscribe(() => {
      throw boom;
    });
    channel.subscribe((item) => seen.push(item));
    assert.throws(() => channel.push(1), boom);
    assert.deepEqual(seen, [1]);
    assert.throws(() => channel.push(2, 3), AggregateError);
    assert.deepEqual(seen, [1, 2, 3]);
  });

  it("forgets hundreds that leave, and keeps the order and the places of those that stay", () => {
    const channel = new Channel<number>();
    const seen: number[] = [];
    const all = Array.from({ length: 300 }, (_, name) => channel.subscribe(() => seen.push(name)));
    for (const [name, subscription] of all.entries()) if (name % 10 !== 0) subscription.unsubscribe();
    channel.push(1);
    const stay = Array.from({ length: 30 }, (_, n) => n * 10);
    assert.deepEqual([seen, channel.numSubscribers], [stay, 30]);
    // Whoever stands elsewhere now can still leave, from within a push too, and those behind it still hear of the item.
    all[10]?.unsubscribe();
    channel.subscribe(() => all[290]?.unsubscribe());
    seen.length = 0;
    channel.push(2);
    channel.push(3);
    const without10 = stay.filter((name) => name !== 10);
    assert.deepEqual(seen, [...without10, ...without10.filter((name) => name !== 290)]);
    assert.equal(channel.numSubscribers, 29);
  });

  it("gives errors to onError, of async subscribers too", async () => {
    const errors: unknown[] = [];
    const channel = new Channel<number>({ onError: (error) => errors.push((error as Error).message) });
    channel.subscribe(() => {
      throw new Error("sync");
    });
    channel.subscribe(async () => {
      throw new Error("async");
    });
    channel.push(1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(errors, ["sync", "async"]);
  });

  it("lets go of everybody at its close", async () => {
    const channel = new Channel<number>();
    const subscription = channel.subscribe(() => {});
    const popped = channel.pop();
    channel.close();
    assert.ok(channel.isClosed && !subscription.isActive);
    assert.throws(() => channel.push(1), { code: "ERR_EM_CLOSED" });
    assert.throws(() => channel.subscribe(() => {}), { code: "ERR_EM_CLOSED" });
    await assert.rejects(popped, { code: "ERR_EM_CLOSED" });
    await assert.rejects(channel.pop(), { code: "ERR_EM_CLOSED" });
  });

  it("is closed with its block", () => {
    let inside: Channel<number> | undefined;
    {
      using channel = new Channel<number>();
      inside = channel;
    }
    assert.ok(inside.isClosed);
  });

  it("refuses what is no function", () => {
    assert.throws(() => new Channel().subscribe(1 as never), ArgumentError);
    assert.throws(() => new Channel({ onError: 1 as never }), ArgumentError);
  });
});

describe("Channel: iteration", () => {
  it("gives the items from its beginning on, and ends behind them at the close", async () => {
    const channel = new Channel<number>();
    channel.push(0);
    const stream = channel.stream();
    channel.push(1, 2);
    assert.equal(stream.size, 2);
    channel.close();
    const seen: number[] = [];
    for await (const item of stream) seen.push(item);
    assert.deepEqual(seen, [1, 2]);
  });

  it("waits for items, and leaves with the loop", async () => {
    const channel = new Channel<number>();
    const seen: number[] = [];
    const loop = (async () => {
      for await (const item of channel) {
        seen.push(item);
        if (item === 2) break;
      }
    })();
    assert.equal(channel.numSubscribers, 1);
    channel.push(1);
    channel.push(2);
    await loop;
    assert.deepEqual([seen, channel.numSubscribers], [[1, 2], 0]);
  });

  it("ends with an error behind what it holds when it overflows", async () => {
    const channel = new Channel<number>();
    const stream = channel.stream({ limit: 2 });
    channel.push(1, 2, 3);
    assert.equal(channel.numSubscribers, 0);
    assert.deepEqual([(await stream.next()).value, (await stream.next()).value], [1, 2]);
    await assert.rejects(stream.next(), (error) => error instanceof LimitError && error.limit === 2);
    assert.equal((await stream.next()).done, true);
  });

  it("drops the oldest or the newest when told to, and counts them", async () => {
    const channel = new Channel<number>();
    const oldest = channel.stream({ limit: 2, overflow: "drop-oldest" });
    const newest = channel.stream({ limit: 2, overflow: "drop-newest" });
    channel.push(1, 2, 3);
    assert.deepEqual([oldest.dropped, newest.dropped], [1, 1]);
    assert.deepEqual([(await oldest.next()).value, (await oldest.next()).value], [2, 3]);
    assert.deepEqual([(await newest.next()).value, (await newest.next()).value], [1, 2]);
    oldest.end();
    newest[Symbol.dispose]();
    assert.equal(channel.numSubscribers, 0);
  });

  it("forgets what it holds when it is ended, and the error that stood behind it", async () => {
    const channel = new Channel<number>();
    const leave = [
      (stream: ChannelStream<number>) => stream.end(),
      (stream: ChannelStream<number>) => stream.return(),
      (stream: ChannelStream<number>) => stream[Symbol.dispose](),
    ];
    for (const way of leave) {
      for (const items of [[1], [1, 2, 3]]) {
        const stream = channel.stream({ limit: 2 });
        channel.push(...items);
        assert.deepEqual((await way(stream)) ?? { done: true, value: undefined }, { done: true, value: undefined });
        channel.push(9);
        assert.deepEqual([stream.size, channel.numSubscribers], [0, 0]);
        assert.deepEqual(await stream.next(), { done: true, value: undefined });
      }
    }
  });

  it("refuses a policy or a limit that is none", () => {
    const channel = new Channel<number>();
    assert.throws(() => channel.stream({ overflow: "drop" as never }), ArgumentError);
    assert.throws(() => channel.stream({ limit: 0 }), ArgumentError);
    assert.equal(channel.numSubscribers, 0);
  });
});

it("gives everybody exactly the items pushed while it was subscribed, in order", () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant("subscribe" as const) }),
    fc.record({ kind: fc.constant("leave" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("push" as const), times: fc.integer({ min: 1, max: 3 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (script) => {
      const channel = new Channel<number>();
      const members: { seen: number[]; expected: number[]; leave: () => void; isIn: boolean }[] = [];
      let item = 0;
      for (const step of script) {
        const present = members.filter(({ isIn }) => isIn);
        if (step.kind === "subscribe") {
          const seen: number[] = [];
          const subscription = channel.subscribe((got) => seen.push(got));
          members.push({ seen, expected: [], leave: () => subscription.unsubscribe(), isIn: true });
        } else if (step.kind === "push") {
          for (let n = 0; n < step.times; n++) {
            channel.push(++item);
            for (const { expected } of present) expected.push(item);
          }
        } else if (present.length > 0) {
          const member = present[step.which % present.length] as (typeof members)[number];
          member.leave();
          member.isIn = false;
        }
      }
      assert.equal(channel.numSubscribers, members.filter(({ isIn }) => isIn).length);
      for (const { seen, expected } of members) assert.deepEqual(seen, expected);
    }),
  );
});
