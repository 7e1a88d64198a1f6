import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { ArgumentError, addTimer, ConnectionPool, Deferrable, LimitError, Pool, run, stop } from "eventmachine";
import fc from "fast-check";
import { FakeClock } from "./fake_clock.js";

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("Pool", () => {
  it("lets work wait for a resource, first come, first served", async () => {
    const pool = new Pool<string>();
    const seen: string[] = [];
    const works = [1, 2].map((n) => pool.perform((resource) => seen.push(`${n}${resource}`)));
    assert.equal(pool.numWaiting, 2);
    pool.add("r");
    await Promise.all(works);
    assert.deepEqual(seen, ["1r", "2r"]);
    assert.deepEqual([pool.numWaiting, pool.numFree], [0, 1]);
  });

  it("lends a resource to one at a time, until a Deferrable or promise has settled", async () => {
    const pool = new Pool<string>().add("r");
    const first = new Deferrable<number>();
    const one = pool.perform(() => first);
    const two = pool.perform(async () => 2);
    await turn();
    assert.deepEqual([pool.numFree, pool.numWaiting], [0, 1]);
    first.succeed(1);
    assert.deepEqual([await one, await two], [1, 2]);
  });

  it("takes a resource back whose work failed, and hands it out last", async () => {
    const pool = new Pool<string>().add("a").add("b");
    await assert.rejects(
      pool.perform(async (resource) => {
        throw new Error(resource);
      }),
      /^Error: b$/,
    );
    assert.equal(pool.numFree, 2);
    using lease = await pool.acquire();
    assert.equal(lease.resource, "a");
  });

  it("leaves a failed resource to onError, which may add it again", async () => {
    const pool = new Pool<string>().add("r");
    const lost: unknown[] = [];
    pool.onError((resource, error) => lost.push(resource, (error as Error).message));
    const fail = () => {
      throw new Error("boom");
    };
    const waiting = pool.perform(fail).catch((error: Error) => error.message);
    const next = pool.perform((resource) => resource);
    assert.equal(await waiting, "boom");
    assert.deepEqual([lost, pool.contents, pool.numWaiting], [["r", "boom"], [], 1]);
    pool.add("r");
    assert.equal(await next, "r");
    pool.onError(undefined);
    await assert.rejects(pool.perform(fail), /boom/);
    assert.deepEqual(pool.contents, ["r"]);
  });

  it("removes a lent resource when its work is through, and remembers nothing of it", async () => {
    const pool = new Pool<string>().add("r");
    const lease = await pool.acquire();
    assert.equal(pool.remove("r"), true);
    assert.equal(pool.remove("r"), false);
    assert.deepEqual(pool.contents, []);
    lease.release();
    assert.equal(pool.numFree, 0);
    pool.add("r");
    assert.equal(await pool.perform((resource) => resource), "r");
  });

  it("gives a copy of its contents, lent ones too", async () => {
    const pool = new Pool<string>().add("a");
    using lease = await pool.acquire();
    pool.contents.push("b");
    assert.deepEqual(pool.contents, [lease.resource]);
    assert.throws(() => pool.add("a"), ArgumentError);
  });

  it("gives a lease back with its block, and once only", async () => {
    const pool = new Pool<string>().add("r");
    {
      using lease = await pool.acquire();
      assert.ok(!lease.isReleased);
      assert.equal(pool.numFree, 0);
    }
    assert.equal(pool.numFree, 1);
    const lease = await pool.acquire();
    lease.release();
    lease.release();
    lease.fail(new Error("late"));
    assert.ok(lease.isReleased);
    assert.equal(pool.numFree, 1);
  });

  it("refuses options it cannot take", () => {
    const wrong = { name: "ArgumentError", code: "ERR_EM_INVALID_ARGUMENT" };
    const options = [
      { waitingLimit: -1 },
      { waitTimeout: -1 },
      { idleTimeout: Number.NaN },
      { healthCheck: true },
      { onDiscard: "close" },
      { create: 1 },
      { size: 2 },
      { clock: {} },
    ];
    for (const option of options) assert.throws(() => new Pool(option as never), wrong, JSON.stringify(option));
    assert.throws(() => new Pool().onError(1 as never), wrong);
  });

  it("tells onError once of a lease that fails twice", async () => {
    const pool = new Pool<string>().add("r");
    const lost: unknown[] = [];
    pool.onError((_, error) => lost.push((error as Error).message));
    const lease = await pool.acquire();
    lease.fail(new Error("first"));
    pool.add("r");
    const other = await pool.acquire();
    lease.fail(new Error("second"));
    lease.release();
    assert.deepEqual([lost, pool.numFree, lease.isReleased, other.isReleased], [["first"], 0, true, false]);
  });

  it("hands out first what came back last", async () => {
    const pool = new Pool<string>().add("a").add("b");
    const [one, two] = [await pool.acquire(), await pool.acquire()];
    two.release();
    one.release();
    assert.equal((await pool.acquire()).resource, one.resource);
  });
});

describe("Pool: waiting", () => {
  it("refuses the one too many", async () => {
    const pool = new Pool<string>({ waitingLimit: 1 }).add("r");
    const lease = await pool.acquire();
    const waiting = pool.acquire();
    await assert.rejects(pool.acquire(), (error) => error instanceof LimitError && error.limit === 1);
    lease.release();
    (await waiting).release();
    const none = new Pool<string>({ waitingLimit: 0 }).add("r");
    using _ = await none.acquire();
    await assert.rejects(none.acquire(), { code: "ERR_EM_POOL_WAITING_LIMIT" });
  });

  it("gives up after the pool's time or the call's, and on a signal", async () => {
    const clock = new FakeClock();
    const pool = new Pool<string>({ waitTimeout: 20, clock });
    const controller = new AbortController();
    const codes: unknown[] = [];
    const note = (error: { code?: string; message: string }) => codes.push(error.code ?? error.message);
    const all = [
      pool.acquire().catch(note),
      pool.acquire({ timeout: 10 }).catch(note),
      pool.acquire({ signal: controller.signal }).catch(note),
    ];
    controller.abort(new Error("enough"));
    await turn();
    clock.advance(10);
    await turn();
    assert.deepEqual(codes, ["enough", "ERR_EM_TIMEOUT"]);
    clock.advance(10);
    await Promise.all(all);
    assert.deepEqual([codes.length, pool.numWaiting, clock.timers], [3, 0, 0]);
  });

  it("waits its own time where a call says undefined, and refuses a time that is none", async () => {
    const clock = new FakeClock();
    const pool = new Pool<string>({ waitTimeout: 20, clock });
    const waiting = pool.acquire({ timeout: undefined, clock: undefined });
    clock.advance(20);
    await assert.rejects(waiting, { code: "ERR_EM_TIMEOUT" });
    await assert.rejects(pool.acquire({ timeout: -1 }), ArgumentError);
  });

  it("lets go of a signal when the resource has come", async () => {
    const { signal } = new AbortController();
    const pool = new Pool<string>();
    const waiting = pool.acquire({ signal });
    assert.equal(getEventListeners(signal, "abort").length, 1);
    pool.add("r");
    await waiting;
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  it("makes another for one who waits when a lent resource is taken out", async () => {
    let made = 0;
    const pool = new Pool<string>({ create: () => `r${++made}`, size: 1 });
    const first = await pool.acquire();
    const waiting = pool.acquire();
    await turn();
    assert.equal(made, 1);
    assert.ok(pool.remove(first.resource));
    assert.equal((await waiting).resource, "r2");
    first.release();
    assert.deepEqual(pool.contents, ["r2"]);
  });

  it("does not count those for whom a resource is being made, and refuses the next", async () => {
    const made = new Deferrable<string>();
    const pool = new Pool<string>({ create: () => made, size: 1, waitingLimit: 0 });
    const first = pool.acquire();
    await assert.rejects(pool.acquire(), { code: "ERR_EM_POOL_WAITING_LIMIT" });
    made.succeed("r");
    assert.equal((await first).resource, "r");
  });

  it("discards what is ready only behind its close", async () => {
    const made = new Deferrable<string>();
    const discarded: string[] = [];
    const pool = new Pool<string>({ create: () => made, onDiscard: (resource) => discarded.push(resource) });
    const waiting = pool.acquire();
    pool.close();
    await assert.rejects(waiting, { code: "ERR_EM_CLOSED" });
    made.succeed("late");
    await turn();
    assert.deepEqual([discarded, pool.contents], [["late"], []]);
  });

  it("counts on the current reactor by default", async () => {
    await run(async () => {
      await assert.rejects(new Pool({ waitTimeout: 5 }).acquire(), { code: "ERR_EM_TIMEOUT" });
      addTimer(0, stop);
    });
  });

  it("refuses those who wait at its close, and discards what comes back", async () => {
    const discarded: string[] = [];
    const pool = new Pool<string>({ onDiscard: (resource) => discarded.push(resource) }).add("a");
    const lease = await pool.acquire();
    const waiting = pool.acquire();
    pool.add("b");
    (await waiting).release();
    const late = pool.acquire();
    const later = pool.acquire();
    pool.close();
    pool[Symbol.dispose]();
    assert.equal((await late).resource, "b");
    await assert.rejects(later, { code: "ERR_EM_CLOSED" });
    await assert.rejects(pool.acquire(), { code: "ERR_EM_CLOSED" });
    assert.throws(() => pool.add("c"), { code: "ERR_EM_CLOSED" });
    lease.release();
    (await late).release();
    assert.deepEqual([discarded, pool.contents], [["a", "b"], []]);
  });
});

describe("Pool: health and idleness", () => {
  it("keeps what is idle where there is no limit", () => {
    const clock = new FakeClock();
    const pool = new Pool<string>({ clock }).add("r");
    assert.deepEqual([clock.timers, pool.contents], [0, ["r"]]);
  });

  it("discards what fails its check, and lends the next", async () => {
    const discarded: string[] = [];
    const pool = new Pool<string>({
      healthCheck: async (resource) => {
        if (resource === "throws") throw new Error("no");
        return resource === "good";
      },
      onDiscard: (resource) => discarded.push(resource),
    });
    for (const resource of ["good", "bad", "throws"]) pool.add(resource);
    using lease = await pool.acquire();
    assert.equal(lease.resource, "good");
    assert.deepEqual([discarded, pool.contents], [["throws", "bad"], ["good"]]);
  });

  it("keeps a resource whose asker gave up during the check", async () => {
    let answer = (_: boolean) => {};
    const pool = new Pool<string>({
      healthCheck: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    }).add("r");
    const controller = new AbortController();
    const given = pool.acquire({ signal: controller.signal });
    controller.abort();
    await assert.rejects(given);
    answer(true);
    await turn();
    assert.equal(pool.numFree, 1);
  });

  it("discards what lies idle too long, and counts anew with each use", async () => {
    const clock = new FakeClock();
    const discarded: string[] = [];
    const options = { idleTimeout: 10, clock, onDiscard: (resource: string) => discarded.push(resource) };
    const pool = new Pool<string>(options).add("a").add("b");
    clock.advance(6);
    (await pool.acquire()).release();
    clock.advance(6);
    assert.deepEqual(discarded, ["a"]);
    const lease = await pool.acquire();
    clock.advance(20);
    assert.deepEqual(pool.contents, ["b"]);
    lease.release();
    clock.advance(10);
    assert.deepEqual([discarded, pool.contents, clock.timers], [["a", "b"], [], 0]);
  });
});

describe("ConnectionPool", () => {
  it("makes connections when they are wanted, up to its size", async () => {
    let made = 0;
    const pool = new ConnectionPool({ size: 2, create: async () => ++made });
    assert.deepEqual(pool.status, { available: 0, reserved: 0, pending: 0 });
    const leases = [await pool.acquire(), await pool.acquire()];
    const waiting = pool.execute((connection) => -connection);
    assert.deepEqual(pool.status, { available: 0, reserved: 2, pending: 1 });
    leases[1]?.release();
    assert.equal(await waiting, -2);
    assert.equal(made, 2);
    leases[0]?.release();
    assert.deepEqual(pool.status, { available: 2, reserved: 0, pending: 0 });
  });

  it("gives the failure of a creation to one who waits, and tries again for the next", async () => {
    let tries = 0;
    const create = async () => {
      if (++tries === 1) throw new Error("refused");
      return tries;
    };
    const pool = new ConnectionPool({ size: 1, create });
    const results = await Promise.allSettled([pool.acquire(), pool.acquire()]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "fulfilled"],
    );
    assert.equal(tries, 2);
  });

  it("replaces what onError took away", async () => {
    let made = 0;
    const pool = new ConnectionPool({ size: 1, create: () => ++made });
    pool.onError(() => {});
    await assert.rejects(
      pool.execute(() => {
        throw new Error("broken");
      }),
    );
    assert.equal(await pool.execute((connection) => connection), 2);
  });

  it("wants a size and a way to make connections", () => {
    assert.throws(() => new ConnectionPool({ create: 5, size: 1 } as never), ArgumentError);
    assert.throws(() => new ConnectionPool({ size: 1 } as never), ArgumentError);
    assert.throws(() => new ConnectionPool({ create: () => 1 } as never), ArgumentError);
    assert.throws(() => new ConnectionPool({ create: () => 1, size: 0 }), ArgumentError);
  });
});

it("lends each resource to one at a time and serves everybody, whatever fails", async () => {
  const works = fc.array(fc.record({ pace: fc.integer({ min: 0, max: 3 }), fails: fc.boolean() }), { maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(works, fc.integer({ min: 1, max: 4 }), fc.boolean(), async (list, size, takesAway) => {
      const held = new Set<number>();
      let made = 0;
      const pool = new ConnectionPool({ size, create: async () => made++ });
      if (takesAway) pool.onError(() => {});
      const begun: number[] = [];
      const results = await Promise.allSettled(
        list.map(({ pace, fails }, index) =>
          pool.perform(async (connection) => {
            begun.push(index);
            assert.ok(!held.has(connection) && held.size < size && pool.contents.length <= size);
            held.add(connection);
            for (let n = 0; n < pace; n++) await null;
            held.delete(connection);
            if (fails) throw new Error("work");
          }),
        ),
      );
      assert.deepEqual(
        results.map(({ status }) => status === "rejected"),
        list.map(({ fails }) => fails),
      );
      assert.deepEqual(
        begun,
        list.map((_, index) => index),
      );
      assert.equal(pool.numFree, pool.contents.length);
    }),
    { numRuns: 60 },
  );
});
