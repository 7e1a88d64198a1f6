import assert from "node:assert/strict";
import { Connection, type RelayOutcome, relay } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder } from "../support/recorder.js";
import { relayAtRandom } from "../support/relay_model.js";
import { isReset, LIMIT, tortured } from "./seeds.js";
import { receiver, sender } from "./stream.js";

const SIZE = 256 * 1024;
const CONNECTIONS = 20;

onEveryEngine("relays under torture", (engine) => {
  tortured(engine, "256 KiB each way through each of many relays, and the ends with them", async (trial, torture) => {
    const outcomes: Promise<RelayOutcome>[] = [];
    const origin = await trial.serve(
      {
        keep: false,
        receiveData: (me, data) => me.sendData(data),
        receiveEnd: (me) => me.closeConnectionAfterWriting(),
      },
      { allowHalfOpen: true },
    );
    const front = await trial.serve({
      postInit: (me) => {
        outcomes.push(relay(me, trial.reactor.connect(origin.at, Connection)));
      },
    });
    const checks = new Map<Recorder, ReturnType<typeof receiver>>();
    const users = Array.from({ length: CONNECTIONS }, (_, at) => {
      const send = sender(SIZE, (me) => me.halfClose());
      const check = receiver();
      const script = { name: `user ${at}`, keep: false, connectionCompleted: send, drained: send };
      const user = trial.dial(
        front,
        { ...script, receiveData: check.take, receiveEnd: (me) => me.closeConnectionAfterWriting() },
        { allowHalfOpen: true },
      );
      checks.set(user, check);
      return user;
    });
    await trial.until(() => users.every(({ isUnbound }) => isUnbound), "all users have ended", LIMIT);
    const ended = await Promise.all(outcomes);
    for (const [user, { check }] of checks) {
      if (torture.resets && (check.count < SIZE || isReset(user.reason))) continue;
      assert.equal(check.count, SIZE, `${user.label}: ${user.kind}`);
      assert.equal(user.kind, "local-close", user.label);
    }
    if (torture.resets) return;
    for (const outcome of ended) {
      assert.deepEqual(outcome, { aToB: { bytes: SIZE, end: "finished" }, bToA: { bytes: SIZE, end: "finished" } });
    }
  });

  tortured(engine, "begun and stopped at random", async (trial, { seed, resets }) => {
    if (resets) return;
    for (let round = 0; round < 5; round++) await relayAtRandom(trial, seed + round, 40);
  });
});
