import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import {
  ChildProcess,
  type Command,
  CommandRunner,
  DeferrableChildProcess,
  ExitError,
  type ExitStatus,
  SystemError,
  type SystemOptions,
  type SystemResult,
} from "eventmachine";
import { onEveryEngine } from "../support/harness.js";

const SUCCESS: ExitStatus = { code: 0, signal: undefined, isSuccess: true };

onEveryEngine("system", (engine) => {
  engine.rule("resolves with outputs and status, whatever that is", async (trial) => {
    const { reactor } = trial;
    const { output, errorOutput, status, isComplete } = await reactor.system("echo hello");
    assert.deepEqual([String(output), String(errorOutput), status, isComplete], ["hello\n", "", SUCCESS, true]);
    const failed = await reactor.system(["sh", "-c", "echo out; echo error >&2; exit 9"]);
    assert.deepEqual([String(failed.output), String(failed.errorOutput)], ["out\n", "error\n"]);
    assert.deepEqual(failed.status, { code: 9, signal: undefined, isSuccess: false });
    const killed = await reactor.system(["sh", "-c", "kill -KILL $$"]);
    assert.deepEqual(killed.status, { code: undefined, signal: "SIGKILL", isSuccess: false });
  });

  engine.rule("gives the input, which ends, and takes the options", async (trial) => {
    const { reactor } = trial;
    const text = async (command: Command, options?: SystemOptions) =>
      String((await reactor.system(command, options)).output);
    assert.equal(await text("cat"), "");
    assert.equal(await text("cat", { input: "given" }), "given");
    assert.equal((await text("cat", { input: Buffer.alloc(2_000_000, "x") })).length, 2_000_000);
    assert.equal(await text("pwd", { cwd: "/" }), "/\n");
    assert.equal(await text("echo $A | tr a b", { shell: true, env: { A: "a", PATH: process.env.PATH } }), "b\n");
    // A command that does not read it is no failure.
    assert.equal(
      await text(["sh", "-c", "exec <&-; sleep 0.05; echo done"], { input: Buffer.alloc(1_000_000) }),
      "done\n",
    );
  });

  engine.rule("calls back with output and status, and returns the number of the process", async (trial) => {
    const { reactor } = trial;
    const told: unknown[] = [];
    const pid = reactor.system("sh -c 'echo $$; echo error >&2'", (output, status, errorOutput) =>
      told.push(String(output), status, String(errorOutput)),
    );
    assert.equal(typeof pid, "number");
    await trial.until(() => told.length > 0, "it calls back");
    assert.deepEqual(told, [`${pid}\n`, SUCCESS, "error\n"]);
    const errors: unknown[] = [];
    reactor.onError((error) => errors.push((error as Error).message));
    const none = reactor.system("/nonexistent", () => told.push("never"));
    assert.equal(none, undefined);
    reactor.system("true", { errorOutput: "inherit" }, () => {
      throw new Error("of a callback");
    });
    reactor.system("true", async () => {
      throw new Error("of its promise");
    });
    await trial.until(() => errors.length === 3, "all are reported");
    assert.deepEqual(errors.sort(), ["execve ENOENT /nonexistent", "of a callback", "of its promise"]);
    assert.equal(told.length, 3);
    assert.throws(() => reactor.system("true", 5 as never, () => {}), { code: "ERR_EM_INVALID_ARGUMENT" });
    assert.throws(() => reactor.system("true", {}, 5 as never), { code: "ERR_EM_INVALID_ARGUMENT" });
  });

  engine.rule("rejects where there is nothing to resolve with", async (trial) => {
    const { reactor } = trial;
    const missing = (error: unknown) =>
      error instanceof SystemError && error.code === "ENOENT" && error.address === "/nonexistent";
    await assert.rejects(reactor.system("/nonexistent"), missing);
    const begun = trial.now();
    await assert.rejects(reactor.system("sleep 1000", { timeout: 100 }), {
      code: "ERR_EM_TIMEOUT",
      message: "sleep had not ended within 100 ms",
    });
    assert.ok(trial.now() - begun < 5_000);
    await assert.rejects(reactor.system("yes", { outputLimit: 10_000 }), {
      code: "ERR_EM_OUTPUT_LIMIT",
      limit: 10_000,
    });
    await assert.rejects(reactor.system(""), { code: "ERR_EM_INVALID_ARGUMENT" });
    await assert.rejects(reactor.system("true", { input: 5 as never }), { code: "ERR_EM_INVALID_ARGUMENT" });
    await assert.rejects(reactor.system("true", { signal: {} as never }), { code: "ERR_EM_INVALID_ARGUMENT" });
    await assert.rejects(reactor.system("true", { lifetimeTimeout: 5 } as never), /must not have "lifetimeTimeout"/);
    const boom = new Error("called off");
    await assert.rejects(reactor.system("true", { signal: AbortSignal.abort(boom) }), boom);
    const control = new AbortController();
    const waiting = reactor.system("sleep 1000", { signal: control.signal });
    await trial.turn();
    control.abort(boom);
    await assert.rejects(waiting, boom);
    assert.equal(reactor.connectionCount, 0);
  });

  engine.rule("says where a process of its own may have more to put out", async (trial) => {
    const { output, isComplete } = await trial.reactor.system(["sh", "-c", "sleep 30 & echo $!"]);
    process.kill(Number(output));
    assert.equal(isComplete, false);
  });

  engine.runRule("a stop ends the command, and rejects with the stop", async (trial) => {
    const { reactor } = trial;
    await assert.rejects(reactor.system("true"), { code: "ERR_EM_NOT_RUNNING" });
    let left: Promise<unknown> | undefined;
    await reactor.run(async () => {
      left = reactor.system("sleep 1000");
      await trial.turn();
      reactor.stop();
    });
    await assert.rejects(left as Promise<unknown>, { code: "ERR_EM_NOT_RUNNING" });
  });

  // A deferrable one ---------------------------------------------------------------------------------------------------

  engine.rule("DeferrableChildProcess succeeds with the output, and fails with the status", async (trial) => {
    const outputs: string[] = [];
    const open = (command: string) =>
      trial.reactor.popen(command, DeferrableChildProcess, command).callback((output) => outputs.push(String(output)));
    assert.equal(String(await open("echo deferred").promise), "deferred\n");
    assert.deepEqual(outputs, ["deferred\n"]);
    await assert.rejects(open("sh -c 'echo so far; echo why >&2; exit 3'").promise, (error) => {
      assert.ok(error instanceof ExitError);
      assert.equal(error.code, "ERR_EM_EXIT_STATUS");
      assert.deepEqual([String(error.output), String(error.errorOutput), error.status.code], ["so far\n", "why\n", 3]);
      return true;
    });
    await assert.rejects(open("/nonexistent").promise, { code: "ENOENT" });
    const closed = open("sleep 1000");
    closed.closeConnection();
    await assert.rejects(closed.promise, { code: "ERR_EM_EXIT_STATUS", message: "sleep 1000 exited by SIGTERM" });
    const aborted = open("sleep 1000");
    aborted.abort();
    await assert.rejects(aborted.promise, { code: "ERR_EM_CLOSED" });
    assert.ok(closed instanceof ChildProcess);
  });

  engine.rule("and its `open` takes commands and options of popen", async (trial) => {
    const opened = await new Promise<Buffer>((resolve, reject) => {
      trial.reactor.nextTick(() => {
        DeferrableChildProcess.open({ command: ["pwd"], cwd: "/" })
          .callback(resolve)
          .errback(reject);
      });
    });
    assert.equal(String(opened), "/\n");
  });

  // Several ------------------------------------------------------------------------------------------------------------

  engine.rule("a CommandRunner runs what it was given at the call, however long that waits", async (trial) => {
    const runner = new CommandRunner({ concurrency: 1 });
    const command = ["sh", "-c", 'cat; printf " %s %s" "$0" "$NAME"', "word"];
    const input = Buffer.from("input");
    const env: Record<string, string> = { PATH: process.env.PATH ?? "", NAME: "value" };
    const options: SystemOptions = { env, input };
    const [, second] = await new Promise<Promise<SystemResult>[]>((resolve) =>
      trial.reactor.nextTick(() => resolve([runner.run("sleep 0.05"), runner.run(command, options)])),
    );
    command[3] = "other";
    command.push(7 as never);
    input.fill("x");
    env.NAME = "other";
    Object.assign(options, { input: "other", cwd: "/nonexistent" });
    const { output, status } = (await second) as SystemResult;
    assert.deepEqual([String(output), status.code], ["input word value", 0]);
  });

  engine.rule("a CommandRunner runs so many at a time, in the order of the calls", async (trial) => {
    const log = trial.path("log");
    writeFileSync(log, "");
    const runner = new CommandRunner({ concurrency: 3, waitingLimit: 9 });
    const within = <T>(action: () => T) => new Promise<T>((resolve) => trial.reactor.nextTick(() => resolve(action())));
    const script = 'echo "+ $1" >> "$0"; sleep 0.05; echo "- $1" >> "$0"; exit "$1"';
    const results = await within(() => {
      const begun = Array.from({ length: 12 }, (_, at) => runner.run(["sh", "-c", script, log, String(at)]));
      assert.deepEqual([runner.numRunning, runner.numWaiting], [3, 9]);
      return Promise.all(begun);
    });
    assert.deepEqual(
      (await results).map(({ status }) => status.code),
      Array.from({ length: 12 }, (_, at) => at),
    );
    const { output } = await trial.reactor.system(["cat", log]);
    let running = 0;
    let most = 0;
    for (const line of String(output).trim().split("\n")) {
      running += line.startsWith("+") ? 1 : -1;
      most = Math.max(most, running);
    }
    // How many of the three overlap is the machine's affair; that no fourth does is the runner's.
    assert.equal(running, 0);
    assert.ok(most <= 3, `${most} at a time`);
    assert.deepEqual([runner.numRunning, runner.numWaiting], [0, 0]);

    const one = new CommandRunner({ concurrency: 1, waitingLimit: 1 });
    const control = new AbortController();
    const [first, second, third] = await within(() => {
      const begun = [one.run("sleep 0.1"), one.run("true", { signal: control.signal }), one.run("true")].map(
        (promise) =>
          promise.then(
            ({ status }) => status.code,
            (error: unknown) => error,
          ),
      );
      return begun;
    });
    assert.deepEqual([one.numRunning, one.numWaiting], [1, 1]);
    const boom = new Error("called off");
    control.abort(boom);
    assert.equal(await second, boom);
    assert.equal(((await third) as { code: string }).code, "ERR_EM_POOL_WAITING_LIMIT");
    assert.equal(await first, 0);
    await assert.rejects(
      within(() => one.run("/nonexistent")),
      { code: "ENOENT" },
    );
    await assert.rejects(
      within(() => one.run("")),
      { code: "ERR_EM_INVALID_ARGUMENT" },
    );
    assert.equal(String((await within(() => one.run("echo on"))).output), "on\n");
    for (const options of [
      { concurrency: 0 },
      { concurrency: 1025 },
      { concurrency: 3e9 },
      { concurrency: 1.5 },
      { waitingLimit: -1 },
      { misspelt: 1 },
    ]) {
      assert.throws(() => new CommandRunner(options as object), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
  });
});
