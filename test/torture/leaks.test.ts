import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { pattern } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { isTortureBuild, nativeCounts } from "../support/native_counts.js";
import type { Recorder } from "../support/recorder.js";
import { until } from "../support/wait.js";
import { isReset, LIMIT, tortured } from "./seeds.js";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const ROUNDS = 15;
const AT_ONCE = 40;
const MESSAGE = pattern(20_000);

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

onEveryEngine("leaks under torture", (engine) => {
  tortured(
    engine,
    "600 connections come and go: each ends once with a typed reason, and no descriptor stays",
    async (trial, { resets }) => {
      const served = await trial.serve({ keep: false, receiveData: (me, data) => me.sendData(data) });
      const before = descriptors();
      for (let round = 0; round < ROUNDS; round++) {
        const clients = Array.from({ length: AT_ONCE }, (_, at) => dial(at));
        await trial.until(() => clients.every(({ isUnbound }) => isUnbound), "the round's clients have ended", LIMIT);
        for (const client of clients) {
          if (client.bytes === MESSAGE.length || client.kind === "local-abort") continue;
          assert.ok(resets, `${client.label} got ${client.bytes} bytes and ended with ${client.kind}`);
          assert.ok(
            client.kind === "peer-closed" || isReset(client.reason) || client.kind === "local-close",
            client.kind,
          );
        }
      }
      await trial.until(() => served.peers.every(({ isUnbound }) => isUnbound), "all servers have ended", LIMIT);
      assert.equal(served.peers.length, ROUNDS * AT_ONCE, "nobody was lost on the way in");
      await trial.until(() => descriptors() <= before, "the descriptors are back");
      const { "peer-reset": reset = 0, "local-abort": aborted = 0 } = trial.reactor.stats().closed;
      if (!resets) assert.equal(reset, aborted, "one end aborts, the other is reset");
      else if (engine.name === "native" && isTortureBuild()) assert.ok(reset > aborted, "this build injects resets");

      function dial(at: number): Recorder {
        return trial.dial(served, {
          name: `client ${at}`,
          keep: false,
          connectionCompleted: (me) => me.sendData(MESSAGE),
          receiveData: (me) => {
            if (me.bytes < MESSAGE.length) return;
            if (at % 4 === 0) me.abort();
            else if (at % 4 === 1) me.closeConnectionAfterWriting();
            else me.closeConnection();
          },
        });
      }
    },
  );

  tortured(engine, "a stop in the middle of everything leaves nothing behind", async (trial) => {
    const served = await trial.serve({ keep: false, receiveData: (me, data) => me.sendData(data) });
    for (let count = 0; count < AT_ONCE; count++) {
      trial.dial(served, {
        keep: false,
        connectionCompleted: (me) => me.sendData(pattern(1_000_000)),
        receiveData: (me, data) => me.sendData(data),
      });
    }
    await trial.until(() => served.peers.length > AT_ONCE / 2, "the most are accepted", LIMIT);
    // What is still on its way in when the reactor stops is nobody's connection.
  });

  tortured(engine, "the native core holds nothing once its reactors are gone", async (trial) => {
    // The reactors of the tests before this one are garbage; this trial's own is the one loop that may be alive.
    const held = () => {
      gc();
      const counts = nativeCounts();
      return (
        counts === undefined ||
        (counts.loops <= 1 && counts.handles === 0 && counts.chunks === 0 && counts.regions <= 1)
      );
    };
    await until(held, `nothing is held: ${JSON.stringify(nativeCounts())}`);
    assert.ok(trial.reactor.isRunning);
  });
});
