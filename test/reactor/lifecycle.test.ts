import assert from "node:assert/strict";
import { test } from "node:test";
import type { Core } from "../../src/core/core.js";
import type { Member } from "../../src/core/members.js";
import { type OwnTick, TickQueue } from "../../src/core/tick_queue.js";
import { Lifecycle } from "../../src/reactor/lifecycle.js";
import { within } from "../support/wait.js";

/** A run over a core that holds these members and nothing else. */
function runWith(
  members: readonly Pick<Member, "end">[],
  flush = (): void => {},
): { lifecycle: Lifecycle; ended: Promise<unknown> } {
  const ticksQueue = new TickQueue(() => {});
  const core = {
    ticksQueue,
    host: { reactor: {} },
    isAccepting: false,
    members: { all: () => members },
    ownTick: (tick: OwnTick) => {
      ticksQueue.pushOwn(tick);
      setImmediate(() => ticksQueue.run());
    },
    flush,
    beginEnd: () => {},
    checkIdle: () => lifecycle.idle(),
  };
  const host = { open: () => {}, close: () => {}, within: <T>(action: () => T) => action() };
  const lifecycle = new Lifecycle(core as unknown as Core, host);
  return {
    lifecycle,
    ended: within(
      lifecycle.run(() => lifecycle.stop(), {}),
      "the end of the run",
    ),
  };
}

test("a run ends when everything has been ended", async () => {
  const ended: number[] = [];
  await runWith([{ end: () => ended.push(1) }, { end: () => ended.push(2) }]).ended;
  assert.deepEqual(ended, [1, 2]);
});

test("a run ends where the stop itself fails, and is rejected with that", async () => {
  const broken = new Error("broken");
  const { lifecycle, ended } = runWith([
    {
      end: () => {
        throw broken;
      },
    },
  ]);
  await assert.rejects(ended, broken);
  assert.equal(lifecycle.phase, "idle");
});

test("a member that cannot be ended keeps no other from its end", async () => {
  const broken = new Error("broken");
  const ended: number[] = [];
  const fails = () => {
    throw broken;
  };
  const { lifecycle, ended: run } = runWith([
    { end: () => ended.push(1) },
    { end: fails },
    { end: () => ended.push(3) },
    { end: fails },
    { end: () => ended.push(5) },
  ]);
  await assert.rejects(run, broken);
  assert.deepEqual(ended, [1, 3, 5]);
  assert.equal(lifecycle.phase, "idle");
});

test("a flush that fails keeps nothing from its end", async () => {
  const broken = new Error("broken");
  const ended: number[] = [];
  const { ended: run } = runWith([{ end: () => ended.push(1) }], () => {
    throw broken;
  });
  await assert.rejects(run, broken);
  assert.deepEqual(ended, [1]);
});
