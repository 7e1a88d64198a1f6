import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type CloseReason, type ExitStatus, ProcessWatch, SystemError } from "eventmachine";
import { popen } from "../support/children.js";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

class Recorder extends ProcessWatch {
  readonly log: string[] = [];
  readonly statuses: ExitStatus[] = [];
  readonly reasons: CloseReason[] = [];
  readonly react: (() => unknown) | undefined;

  constructor(react?: () => unknown) {
    super();
    this.react = react;
  }
  override postInit(): void {
    this.log.push("postInit");
  }
  override processExited(status: ExitStatus): unknown {
    this.log.push("exited");
    this.statuses.push(status);
    return this.react?.();
  }
  override unbind(reason: CloseReason): void {
    this.log.push(`unbind ${reason.kind}`);
    this.reasons.push(reason);
  }
}

/** A number that no process has: that of one that has exited and was waited for. */
async function goneProcess(): Promise<number> {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid as number;
}

/** A process that is nobody's child here. */
async function stranger(trial: Trial): Promise<number> {
  const { output } = await trial.reactor.system(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
  return Number(output);
}

const NOT_KNOWN: ExitStatus = { code: undefined, signal: undefined, isSuccess: false };
const open = () => readdirSync("/proc/self/fd").length;

onEveryEngine("a watch of a process", (engine) => {
  engine.ruleNeeding(
    "processWatch",
    "tells that it has exited, and how where it is a child",
    async (trial) => {
      const ended = async (watch: Recorder) => {
        await trial.until(() => watch.reasons.length > 0, "it ends");
        assert.deepEqual(watch.log, ["postInit", "exited", "unbind exited"]);
        const [reason] = watch.reasons;
        assert.ok(reason?.kind === "exited");
        assert.deepEqual(reason.exit, watch.statuses[0]);
        assert.equal(watch.isWatching, false);
        return reason.exit;
      };
      const child = spawn("sh", ["-c", "read line; exit 7"]);
      const watch = trial.reactor.watchProcess(child.pid as number, Recorder);
      assert.deepEqual([watch.pid, watch.isWatching, watch.closeReason], [child.pid, true, undefined]);
      child.stdin.end();
      const status = await ended(watch);
      // Node may have waited for it first, and then nobody else is told how it exited.
      if (status.code !== undefined) assert.deepEqual(status, { code: 7, signal: undefined, isSuccess: false });
      else assert.deepEqual(status, NOT_KNOWN);

      const ours = popen(trial, ["sleep", "1000"]);
      const watches = [1, 2].map(() => trial.reactor.watchProcess(ours.pid as number, Recorder));
      ours.kill("SIGKILL");
      for (const each of watches) {
        assert.deepEqual(await ended(each), { code: undefined, signal: "SIGKILL", isSuccess: false });
      }
      await ours.closed;

      const other = await stranger(trial);
      const far = trial.reactor.watchProcess(other, Recorder);
      await trial.settle();
      assert.deepEqual(far.log, ["postInit"]);
      process.kill(other);
      assert.deepEqual(await ended(far), NOT_KNOWN);
    },
    (trial) => trial.reactor.watchProcess(process.pid, Recorder),
  );

  if (!engine.has("processWatch")) return;

  engine.rule("is refused where there is no such process, and for what is no number or class", async (trial) => {
    const { reactor } = trial;
    const before = open();
    const gone = await goneProcess();
    assert.throws(
      () => reactor.watchProcess(gone, ProcessWatch),
      (error) => error instanceof SystemError && error.code === "ESRCH",
    );
    for (const wrong of [0, -1, 1.5, "1", undefined]) {
      assert.throws(() => reactor.watchProcess(wrong as number, ProcessWatch), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
    assert.throws(() => reactor.watchProcess(1, Object as never), { code: "ERR_EM_INVALID_HANDLER" });
    class Early extends ProcessWatch {
      constructor() {
        super();
        assert.deepEqual([this.pid, this.isWatching], [0, false]);
        this.stopWatching();
      }
    }
    assert.throws(() => reactor.watchProcess(process.pid, Early), { code: "ERR_EM_NOT_ATTACHED" });
    await trial.until(() => open() <= before, "nothing is left open");
  });

  engine.rule("stops without touching the process", async (trial) => {
    const before = open();
    const pid = await stranger(trial);
    const watch = trial.reactor.watchProcess(pid, Recorder);
    watch.stopWatching();
    watch.stopWatching();
    await trial.settle();
    assert.deepEqual(watch.log, ["postInit", "unbind local-close"]);
    assert.match(readFileSync(`/proc/${pid}/status`, "latin1"), /^State:\s+S/m);
    process.kill(pid);
    await trial.settle();
    assert.equal(watch.log.length, 2);
    await trial.until(() => open() <= before, "nothing is left open");
  });

  engine.rule("a callback that throws ends it", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    const boom = new Error("boom");
    const pid = await stranger(trial);
    const watch = trial.reactor.watchProcess(pid, Recorder, () => {
      throw boom;
    });
    process.kill(pid);
    await trial.until(() => watch.reasons.length > 0, "it ends");
    assert.equal(watch.reasons[0]?.kind, "handler-error");
    assert.deepEqual(errors, [boom]);
  });

  engine.runRule("a drain leaves it, and a stop ends it", async (trial) => {
    const { reactor } = trial;
    const before = open();
    assert.throws(() => reactor.watchProcess(1, ProcessWatch), { code: "ERR_EM_NOT_RUNNING" });
    let watch: Recorder | undefined;
    await reactor.run(async () => {
      watch = reactor.watchProcess(process.pid, Recorder);
      assert.deepEqual(await reactor.drain(1_000), { finished: 0, aborted: 0 });
      assert.equal(watch.isWatching, true);
      reactor.stop();
    });
    assert.deepEqual(watch?.log, ["postInit", "unbind stop"]);
    assert.ok(open() <= before + 1, "no descriptor is left");
  });
});
