import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Backend } from "../../src/proxy/backend.js";
import { type Balance, balancerOf, hash } from "../../src/proxy/balance.js";
import { Random } from "../support/random.js";

function backends(...weights: number[]): Backend[] {
  return weights.map((weight, i) => new Backend({ name: `b${i}`, host: "127.0.0.1", port: 1 + i, weight }));
}

/** Chooses so often, and keeps every connection; how many each has got. */
function spread(balance: Balance, among: readonly Backend[], times: number, key = (i: number) => `key ${i}`): number[] {
  const random = new Random(1);
  const balancer = balancerOf(balance, () => random.next());
  for (let i = 0; i < times; i++) {
    const chosen = balancer.choose(among, ({ weight }) => weight, key(i));
    assert.ok(chosen !== undefined);
    chosen.active++;
  }
  return among.map(({ active }) => active);
}

describe("balancing", () => {
  it("is even, and by weight", () => {
    assert.deepEqual(spread("round-robin", backends(1, 1, 1), 300), [100, 100, 100]);
    assert.deepEqual(spread("round-robin", backends(5, 1, 1), 700), [500, 100, 100]);
    assert.deepEqual(spread("least-connections", backends(1, 1, 1), 300), [100, 100, 100]);
    assert.deepEqual(spread("least-connections", backends(2, 1), 300), [200, 100]);
    for (const count of spread("power-of-two", backends(1, 1, 1, 1), 4000)) assert.ok(Math.abs(count - 1000) <= 10);
    for (const count of spread("hash", backends(1, 1, 1, 1), 4000)) assert.ok(count <= 1.25 * 1000 + 1 && count > 600);
  });

  it("gives nobody a connection who takes none, and says so where nobody does", () => {
    for (const balance of ["round-robin", "least-connections", "power-of-two", "hash"] as const) {
      const [a, b, c] = backends(1, 1, 1) as [Backend, Backend, Backend];
      const balancer = balancerOf(balance, Math.random);
      for (let i = 0; i < 100; i++) {
        assert.equal(
          balancer.choose([a, b, c], (each) => (each === b ? 1 : 0), `${i}`),
          b,
        );
        assert.equal(
          balancer.choose([a, b, c], () => 0, `${i}`),
          undefined,
        );
        assert.equal(
          balancer.choose([], () => 1, `${i}`),
          undefined,
        );
      }
    }
  });

  it("by hash one key has one backend, and a change moves few", () => {
    const all = backends(1, 1, 1, 1, 1);
    const balancer = balancerOf("hash", Math.random);
    const keys = Array.from({ length: 2000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    const before = keys.map((key) => balancer.choose(all, () => 1, key)!.name);
    assert.deepEqual(
      keys.map((key) => balancer.choose(all, () => 1, key)!.name),
      before,
    );
    const fewer = all.slice(1);
    const after = keys.map((key) => balancer.choose(fewer, () => 1, key)!.name);
    const moved = keys.filter((_, i) => before[i] !== after[i]);
    assert.equal(moved.length, before.filter((name) => name === "b0").length, "only the keys of the one that went");
  });

  it("by hash one key's connections go on to the next backend when its own has more than its share", () => {
    const counts = spread("hash", backends(1, 1, 1, 1), 400, () => "the same");
    assert.ok(Math.max(...counts) <= 1.25 * 100 + 1, `${counts}`);
  });

  it("hashes names that differ in a digit far apart", () => {
    const buckets = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i++) buckets[hash(`10.0.0.${i}`) >>> 28]!++;
    for (const count of buckets) assert.ok(count > 850 && count < 1150, `${buckets}`);
  });
});
