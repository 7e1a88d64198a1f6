import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { popen } from "../support/children.js";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

/** Ignores SIGTERM, and says when it does. */
const STUBBORN = ["sh", "-c", 'trap "" TERM; echo ready; while :; do sleep 0.01; done'];

/** The longest time that the loop was blocked for, asked every few milliseconds. */
function watchTheLoop(trial: Trial): () => number {
  let longest = 0;
  let last = trial.now();
  const timer = trial.reactor.addPeriodicTimer(5, () => {
    longest = Math.max(longest, trial.now() - last);
    last = trial.now();
  });
  return () => {
    timer.cancel();
    return longest;
  };
}

function isThere(pid: number): boolean {
  try {
    // What has ended and was not waited for is no process any more, but for whose child it is.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}

/** Children of this process that have exited and were not waited for. */
function zombies(): number {
  const stats = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/stat`, "latin1").replace(/.*\) /, "");
      } catch {
        return "";
      }
    });
  return stats.filter((stat) => stat.startsWith(`Z ${process.pid} `)).length;
}

onEveryEngine("the end of a child process", (engine) => {
  engine.rule("closeConnection asks it to end, and unbind comes when it has", async (trial) => {
    const child = popen(trial, ["sh", "-c", 'trap "exit 5" TERM; echo ready; while :; do sleep 0.01; done']);
    await trial.until(() => child.text === "ready\n", "it is ready");
    child.closeConnection();
    assert.equal(child.state, "closing");
    assert.equal(child.sendData("more"), false);
    const reason = await child.closed;
    assert.equal(reason.kind, "local-close");
    assert.deepEqual(reason.exit, { code: 5, signal: undefined, isSuccess: false });
    assert.equal(child.order.filter((entry) => entry.startsWith("unbind")).length, 1);
  });

  engine.rule("one that is not told yet that it runs is ended all the same", async (trial) => {
    const child = popen(trial, ["sleep", "1000"], { postInit: (me) => me.closeConnection() });
    const reason = await child.closed;
    assert.equal(reason.kind, "local-close");
    assert.equal(reason.exit?.signal, "SIGTERM");
    assert.deepEqual(child.order, ["postInit", "unbind local-close"]);
    const aborted = popen(trial, ["sh", "-c", 'trap "" TERM; sleep 1000'], { postInit: (me) => me.abort() });
    const killed = await aborted.closed;
    assert.deepEqual([killed.kind, killed.exit?.signal], ["local-abort", "SIGKILL"]);
    const never = popen(trial, ["/nonexistent"], { postInit: (me) => me.closeConnection() });
    assert.equal((await never.closed).kind, "local-close");
  });

  engine.rule("one that does not heed is killed after its time, and blocks nobody meanwhile", async (trial) => {
    const child = popen(trial, STUBBORN, {}, { killDelay: 300 });
    await trial.until(() => child.text === "ready\n", "it is ready");
    const longest = watchTheLoop(trial);
    const begun = trial.now();
    child.closeConnection();
    const reason = await child.closed;
    const took = trial.now() - begun;
    assert.equal(reason.kind, "local-close");
    assert.equal(reason.exit?.signal, "SIGKILL");
    assert.ok(took >= 300 && took < 5_000, `it took ${took} ms`);
    assert.ok(longest() < 250, "the loop goes on");
  });

  engine.rule("another signal asks it, where the options say so", async (trial) => {
    const child = popen(trial, ["sleep", "1000"], {}, { terminationSignal: "SIGINT" });
    await child.opened;
    child.closeConnection();
    assert.equal((await child.closed).exit?.signal, "SIGINT");
  });

  engine.rule("abort kills at once", async (trial) => {
    const child = popen(trial, STUBBORN);
    await trial.until(() => child.text === "ready\n", "it is ready");
    const begun = trial.now();
    child.abort();
    const reason = await child.closed;
    assert.equal(reason.kind, "local-abort");
    assert.equal(reason.exit?.signal, "SIGKILL");
    assert.ok(trial.now() - begun < 4_000);
  });

  engine.rule("closing after writing closes its input behind what was sent, and waits for it", async (trial) => {
    const file = trial.path("file");
    const child = popen(trial, ["sh", "-c", 'cat > "$0"; sleep 0.1; exit 4', file]);
    child.sendData(Buffer.alloc(500_000, "x"));
    child.closeConnectionAfterWriting();
    const reason = await child.closed;
    assert.equal(reason.kind, "local-close");
    assert.equal(reason.lingerExpired, false);
    assert.equal(reason.exit?.code, 4);
    assert.equal(readFileSync(file).length, 500_000);
    assert.ok(!child.log.includes("receiveEnd"));
  });

  engine.rule("one that goes on without its input is ended when the linger deadline has passed", async (trial) => {
    const child = popen(trial, ["sleep", "1000"], {}, { lingerTimeout: 100 });
    await child.opened;
    child.closeConnectionAfterWriting();
    const reason = await child.closed;
    assert.equal(reason.kind, "local-close");
    assert.equal(reason.lingerExpired, true);
    assert.equal(reason.exit?.signal, "SIGTERM");
  });

  // Its outputs --------------------------------------------------------------------------------------------------------

  engine.rule("waits for the outputs, which a process of its own may still have", async (trial) => {
    const child = popen(trial, ["sh", "-c", "(sleep 0.3; echo late; echo later >&2) & exit 3"]);
    await trial.until(() => child.exitStatus !== undefined, "it exits");
    assert.equal(child.isPaused, false);
    assert.equal(child.text, "");
    const reason = await child.closed;
    assert.equal(reason.kind, "exited");
    assert.equal(reason.outputHeld, false);
    assert.equal(reason.exit.code, 3);
    assert.deepEqual([child.text, child.errorText], ["late\n", "later\n"]);
  });

  engine.rule("waits 5 s for them and no longer", async (trial) => {
    const child = popen(trial, ["sh", "-c", "sleep 100 & echo $!; exit 0"]);
    await trial.until(() => child.exitStatus !== undefined, "it exits");
    const begun = trial.now();
    const reason = await child.closed;
    const took = trial.now() - begun;
    process.kill(Number(child.text));
    assert.equal(reason.kind, "exited");
    assert.equal(reason.outputHeld, true);
    assert.ok(took > 4_500 && took < 9_000, `it took ${took} ms`);
  });

  engine.rule("but the time in which it is paused does not count", async (trial) => {
    const child = popen(trial, ["sh", "-c", "head -c 400000 /dev/zero & exit 0"], {
      postInit: (me) => me.pause(),
      keep: false,
    });
    await trial.until(() => child.exitStatus !== undefined, "it exits");
    await trial.sleep(5_500);
    assert.equal(child.state, "open");
    child.resume();
    const reason = await child.closed;
    assert.equal(reason.kind, "exited");
    assert.equal(reason.outputHeld, false);
    assert.equal(child.bytesIn, 400_000);
  });

  // Groups -----------------------------------------------------------------------------------------------------------

  engine.rule("a process group is signalled as a whole", async (trial) => {
    const pipeline = "sleep 1000 & echo $!; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done' & wait";
    const child = popen(trial, ["sh", "-c", pipeline], {}, { processGroup: true });
    await trial.until(() => child.text.split("\n").length === 3, "all run");
    const pids = child.text.trim().split("\n").map(Number);
    assert.deepEqual(pids.map(isThere), [true, true]);
    child.closeConnection();
    const reason = await child.closed;
    assert.equal(reason.exit?.signal, "SIGTERM");
    // What is left when its leader has gone is killed.
    await trial.until(() => !pids.some(isThere), "none of them is left");
  });

  engine.rule("without one only the child is", async (trial) => {
    const child = popen(trial, ["sh", "-c", "sleep 1000 >&- 2>&- & echo $!; wait"]);
    await trial.until(() => child.text !== "", "both run");
    child.closeConnection();
    await child.closed;
    const pid = Number(child.text);
    assert.equal(isThere(pid), true);
    process.kill(pid);
  });

  // Deadlines and limits -----------------------------------------------------------------------------------------------

  engine.rule("deadlines end it", async (trial) => {
    const told: [string, object, string][] = [
      ["exec sleep 1000", { lifetimeTimeout: 100 }, "lifetime"],
      ["exec sleep 1000", { commInactivityTimeout: 100 }, "inactivity"],
      ["exec sleep 1000", { firstByteTimeout: 100 }, "first-byte"],
      ["echo a; exec sleep 1000", { readTimeout: 100 }, "read"],
    ];
    for (const [command, options, deadline] of told) {
      const child = popen(trial, ["sh", "-c", command], {}, options);
      const reason = await child.closed;
      assert.equal(reason.kind, "timeout");
      assert.equal(reason.deadline, deadline);
      assert.equal(reason.exit?.signal, "SIGTERM");
      assert.ok(child.log.includes(`deadlineReached ${deadline}`));
    }
    // In all it takes longer than the deadline, and each step a tenth of that: starting `sleep` takes its time.
    const busy = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i >&2; sleep 0.1; done";
    const child = popen(trial, ["sh", "-c", busy], {}, { commInactivityTimeout: 1_000 });
    assert.equal((await child.closed).kind, "exited", "standard error is traffic too");
  });

  engine.rule("a child that puts out more than its limit is ended", async (trial) => {
    for (const command of ["yes", "yes >&2"]) {
      const child = popen(trial, ["sh", "-c", `exec ${command}`], { keep: false }, { outputLimit: 200_000 });
      const reason = await child.closed;
      assert.equal(reason.kind, "output-limit");
      assert.equal(reason.error.code, "ERR_EM_OUTPUT_LIMIT");
      assert.equal(reason.error.limit, 200_000);
      assert.notEqual(reason.exit, undefined);
    }
    const exact = popen(trial, ["head", "-c", "1000", "/dev/zero"], {}, { outputLimit: 1000 });
    assert.equal((await exact.closed).kind, "exited");
  });

  engine.rule("a child that reads nothing ends by the outbound limit of its connection", async (trial) => {
    const child = popen(trial, ["sleep", "1000"], {}, { outboundLimit: 100_000 });
    await child.opened;
    for (let n = 0; n < 100 && child.sendData(Buffer.alloc(100_000)); n++) await trial.turn();
    child.sendData(Buffer.alloc(400_000));
    child.sendData("more");
    const reason = await child.closed;
    assert.equal(reason.kind, "outbound-limit");
    assert.equal(reason.exit?.signal, "SIGTERM");
  });

  // The reactor --------------------------------------------------------------------------------------------------------

  engine.runRule("a stop ends it, and the run is over when it has exited", async (trial) => {
    const { reactor } = trial;
    let pid = 0;
    let kind = "";
    await reactor.run(async () => {
      const child = popen(
        trial,
        STUBBORN,
        {
          unbind: (_, reason) => {
            kind = `${reason.kind} ${reason.exit?.signal}`;
          },
        },
        { killDelay: 100 },
      );
      await trial.until(() => child.text === "ready\n", "it is ready");
      pid = child.pid as number;
      reactor.stop();
    });
    assert.equal(kind, "stop SIGKILL");
    assert.equal(isThere(pid), false);
  });

  engine.rule("a drain asks it, waits for it, and ends what is left", async (trial) => {
    const heeds = popen(trial, ["cat"], { shutdownRequested: (me) => me.halfClose() });
    const heedless = popen(trial, ["sleep", "1000"]);
    await Promise.all([heeds.opened, heedless.opened]);
    const result = await trial.reactor.drain(200);
    assert.deepEqual(result, { finished: 1, aborted: 1 });
    assert.equal(heeds.kind, "exited");
    const reason = await heedless.closed;
    assert.equal(reason.kind, "drain-deadline");
    assert.equal(reason.exit?.signal, "SIGTERM");
  });

  engine.rule("nobody is left unreaped", async (trial) => {
    const before = zombies();
    const children = Array.from({ length: 40 }, (_, at) =>
      popen(trial, ["sh", "-c", at % 2 === 0 ? "exit 1" : "exec sleep 1000"]),
    );
    await trial.sleep(50);
    for (const child of children) child.closeConnection();
    await Promise.all(children.map((child) => child.closed));
    assert.equal(zombies(), before);
  });
});
