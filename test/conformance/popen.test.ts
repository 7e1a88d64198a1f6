import assert from "node:assert/strict";
import childProcess from "node:child_process";
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { dirname, join } from "node:path";
import { ChildProcess, type Connection, LineText2, SystemError, toDuplex } from "eventmachine";
import { PatternCheck, pattern } from "../support/bytes.js";
import { popen } from "../support/children.js";
import { onEveryEngine } from "../support/harness.js";

const MiB = 1024 * 1024;

/** Does something without the rights over files that root has. */
async function asNobody(work: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

onEveryEngine("a child process", (engine) => {
  engine.rule("is given what is sent, and what it puts out is received", async (trial) => {
    const cat = popen(trial, ["cat"]);
    cat.sendData("hello\n");
    await trial.until(() => cat.text === "hello\n", "the echo");
    cat.halfClose();
    const reason = await cat.closed;
    assert.equal(reason.kind, "exited");
    assert.equal(reason.outputHeld, false);
    assert.deepEqual(reason.exit, { code: 0, signal: undefined, isSuccess: true });
    assert.deepEqual(cat.order, ["postInit", "connectionCompleted", "receiveData", "receiveEnd", "unbind exited"]);
  });

  engine.rule("tells its exit status in the reason of unbind, and its number at any time", async (trial) => {
    let inPostInit: number | undefined;
    const child = popen(trial, ["sh", "-c", "echo $$; exit 7"], {
      postInit: (me) => {
        inPostInit = me.pid;
      },
    });
    assert.equal(child.exitStatus, undefined);
    const reason = await child.closed;
    assert.equal(reason.kind, "exited");
    assert.deepEqual(reason.exit, { code: 7, signal: undefined, isSuccess: false });
    assert.deepEqual(child.exitStatus, reason.exit);
    assert.equal(child.text, `${child.pid}\n`);
    assert.equal(inPostInit, child.pid);
    assert.equal(trial.reactor.stats().closed.exited, 1);
  });

  engine.rule("tells the signal that ended it", async (trial) => {
    const child = popen(trial, ["sleep", "1000"]);
    await child.opened;
    assert.equal(child.kill("SIGKILL"), true);
    const reason = await child.closed;
    assert.equal(reason.kind, "exited");
    assert.deepEqual(reason.exit, { code: undefined, signal: "SIGKILL", isSuccess: false });
    assert.equal(child.kill(), false);
  });

  // Running ----------------------------------------------------------------------------------------------------------

  engine.rule("that cannot be run is told as such, with what could not be", async (trial) => {
    const missing = popen(trial, ["/nonexistent/program", "argument"]);
    const reason = await missing.closed;
    assert.equal(reason.kind, "exec-failed");
    assert.ok(reason.error instanceof SystemError);
    assert.deepEqual(
      [reason.error.code, reason.error.syscall, reason.error.address, reason.exit],
      ["ENOENT", "execve", "/nonexistent/program", undefined],
    );
    assert.deepEqual(missing.order, ["postInit", "unbind exec-failed"]);
    assert.equal(missing.pid, undefined);
    assert.equal(missing.kill(), false);
    await assert.rejects(missing.opened, { code: "ENOENT" });

    const plain = trial.path("plain");
    writeFileSync(plain, "no program\n");
    const told: [string[], object, string, string][] = [
      [["no-such-program-anywhere"], {}, "ENOENT", "no-such-program-anywhere"],
      [[plain], {}, "EACCES", plain],
      [["cat"], { cwd: "/nonexistent" }, "ENOENT", "/nonexistent"],
      [["cat", "x".repeat(3 * MiB)], {}, "E2BIG", "cat"],
    ];
    for (const [command, options, code, address] of told) {
      const ended = await popen(trial, command, {}, options).closed;
      assert.equal(ended.kind, "exec-failed");
      assert.deepEqual([ended.error.code, ended.error.address], [code, address]);
    }
  });

  engine.rule("whose folder cannot be entered is told as such, whatever keeps it out", async (trial) => {
    const { reactor } = trial;
    const loop = trial.path("loop");
    symlinkSync("loop", loop);
    const file = trial.path("file");
    writeFileSync(file, "");
    const closed = trial.path("closed");
    mkdirSync(join(closed, "below"), { recursive: true });
    chmodSync(dirname(closed), 0o755);
    chmodSync(closed, 0o644);
    const told: [string, string][] = [
      ["/nonexistent", "ENOENT"],
      [loop, "ELOOP"],
      [`/${"x".repeat(5000)}`, "ENAMETOOLONG"],
      [file, "ENOTDIR"],
      [`${file}/below`, "ENOTDIR"],
      [closed, "EACCES"],
      [`${closed}/below`, "EACCES"],
    ];
    await asNobody(async () => {
      for (const [cwd, code] of told) {
        const ended = await popen(trial, ["true"], {}, { cwd }).closed;
        assert.equal(ended.kind, "exec-failed", cwd);
        assert.deepEqual([ended.error.code, ended.error.syscall, ended.error.address], [code, "chdir", cwd]);
        await assert.rejects(reactor.system("true", { cwd }), (error) => {
          assert.ok(error instanceof SystemError, `${cwd}: ${error}`);
          return error.code === code && error.syscall === "chdir";
        });
      }
    });
    chmodSync(closed, 0o755);
    assert.equal(reactor.connectionCount, 0);
  });

  engine.rule("that Node refuses to run throws its error, and nobody waits for it", async (trial) => {
    const { reactor } = trial;
    const { spawn } = childProcess;
    const refusal = new RangeError("not this one");
    childProcess.spawn = () => {
      throw refusal;
    };
    syncBuiltinESMExports();
    try {
      assert.throws(() => reactor.popen(["true"], ChildProcess), refusal);
      await assert.rejects(reactor.system("true"), refusal);
    } finally {
      childProcess.spawn = spawn;
      syncBuiltinESMExports();
    }
    assert.equal(reactor.connectionCount, 0);
    assert.deepEqual(await reactor.drain(20_000), { finished: 0, aborted: 0 });
  });

  engine.rule("gets its arguments as they are: no shell sees them unless asked", async (trial) => {
    const { reactor } = trial;
    const words = async (command: string | string[], options = {}) => {
      const child = popen(trial, command, {}, options);
      await child.closed;
      return child.text;
    };
    assert.equal(await words(["printf", "[%s]", "a b", "$HOME", "*", ";"]), "[a b][$HOME][*][;]");
    assert.equal(await words(`printf [%s] 'a b' "c \\" d" e\\ f $HOME "" g"h"'i'`), `[a b][c " d][e f][$HOME][][ghi]`);
    assert.equal(await words("echo $((1+1)) | tr 2 3", { shell: true }), "3\n");
    assert.throws(() => reactor.popen("printf 'a"), { code: "ERR_EM_INVALID_ARGUMENT", message: /never closed/ });
    const refused: unknown[] = ["", " \t", [], [""], ["a\0b"], "a\0b", 5, undefined, null, [1], {}, { command: {} }];
    for (const command of refused) {
      assert.throws(() => reactor.popen(command as string), { code: "ERR_EM_INVALID_ARGUMENT" }, String(command));
    }
    assert.throws(() => reactor.popen({ command: ["ls"], shell: true }), /must be a string for a shell/);
    const options: object[] = [
      { cwd: 1 },
      { cwd: "a\0" },
      { env: 1 },
      { env: { "a=b": "" } },
      { env: { a: 1 } },
      { env: { "": "" } },
      { shell: 1 },
      { processGroup: 1 },
      { errorOutput: "merge" },
      { outputLimit: -1 },
      { terminationSignal: "SIGNONE" },
      { killDelay: -1 },
      { highWaterMark: 1, lowWaterMark: 2 },
      { allowHalfOpen: true },
      { misspelt: 1 },
    ];
    for (const option of options) {
      assert.throws(
        () => reactor.popen({ command: "true", ...option } as never),
        { code: "ERR_EM_INVALID_ARGUMENT" },
        JSON.stringify(option),
      );
    }
    assert.throws(() => reactor.popen("true", Object as never), { code: "ERR_EM_INVALID_HANDLER" });
    assert.equal(reactor.connectionCount, 0);
  });

  engine.rule("gets thousands of arguments", async (trial) => {
    const many = Array.from({ length: 20_000 }, (_, at) => `${at}`);
    const { output } = await trial.reactor.system(["sh", "-c", 'echo "$# $1"; shift 19999; echo "$1"', "sh", ...many]);
    assert.equal(String(output), "20000 0\n19999\n");
  });

  engine.rule("has the folder and the environment that it is given", async (trial) => {
    const folder = realpathSync(trial.path("."));
    const env = { PATH: process.env.PATH, GIVEN: "a value", LEFT_OUT: undefined };
    const child = popen(
      trial,
      ["sh", "-c", 'pwd; echo "$GIVEN"; echo "$HOME"; env | grep -c LEFT_OUT'],
      {},
      { cwd: folder, env },
    );
    await child.closed;
    assert.deepEqual(child.text.split("\n"), [folder, "a value", "", "0", ""]);
  });

  // Streams ----------------------------------------------------------------------------------------------------------

  engine.rule("has its standard error apart", async (trial) => {
    const child = popen(trial, ["sh", "-c", "echo out; echo error >&2; exec >&-; sleep 0.05; echo late >&2"]);
    await child.closed;
    assert.equal(child.text, "out\n");
    assert.equal(child.errorText, "error\nlate\n");
    const ignored = popen(trial, ["sh", "-c", "echo error >&2"], {}, { errorOutput: "ignore" });
    await ignored.closed;
    assert.equal(ignored.errorText, "");
    // Without a receiveError of the handler's it goes where this process's goes: a pipe of its own would have another inode.
    class Plain extends LineText2 {
      line = "";
      override receiveLine(line: string): void {
        this.line = line;
      }
    }
    const plain = trial.reactor.popen(["sh", "-c", "readlink /proc/self/fd/2 /proc/$PPID/fd/2 | uniq | wc -l"], Plain);
    await plain.closed;
    assert.equal(plain.line.trim(), "1");
  });

  engine.rule("any amount goes through it, in both directions, byte for byte", async (trial) => {
    const size = 8 * MiB;
    const check = new PatternCheck();
    let sent = 0;
    const feed = (me: Connection) => {
      while (sent < size) {
        const piece = pattern(Math.min(100_000, size - sent), sent);
        sent += piece.length;
        if (!me.sendData(piece)) return;
      }
      me.halfClose();
    };
    const cat = popen(trial, ["cat"], {
      connectionCompleted: feed,
      drained: feed,
      receiveData: (_, data) => check.take(data),
      keep: false,
    });
    const reason = await cat.closed;
    assert.equal(reason.kind, "exited");
    assert.equal(check.count, size);
    assert.equal(cat.bytesIn, size);
    assert.equal(cat.bytesOut, size);
    assert.ok(cat.log.includes("drained"));
  });

  engine.rule("a child that does not read makes its producer wait", async (trial) => {
    const child = popen(trial, ["sleep", "1000"]);
    await child.opened;
    let accepted = 0;
    while (child.sendData(pattern(10_000))) {
      accepted += 10_000;
      await trial.turn();
      assert.ok(accepted < 4 * MiB, "it is told to stop");
    }
    assert.ok(child.outboundSize >= 64 * 1024 - 10_000, `${child.outboundSize} bytes wait`);
    assert.ok(!child.log.includes("drained"));
    child.abort();
    await child.closed;
  });

  engine.rule("a paused child is blocked, and nothing is lost; standard error is paused too", async (trial) => {
    const both = "head -c 3000000 /dev/zero; head -c 100000 /dev/zero >&2; echo done >&2";
    let received = 0;
    let errors = 0;
    const child = popen(trial, ["sh", "-c", both], {
      postInit: (me) => me.pause(),
      receiveData: (me, data) => {
        assert.equal(me.isPaused, false);
        received += data.length;
        me.pause();
        trial.reactor.nextTick(() => me.resume());
      },
      receiveError: (me, data) => {
        assert.equal(me.isPaused, false);
        errors += data.length;
      },
      keep: false,
    });
    await trial.settle(100);
    assert.deepEqual([received, errors, child.exitStatus], [0, 0, undefined]);
    child.resume();
    const reason = await child.closed;
    assert.equal(reason.kind, "exited");
    assert.deepEqual([received, errors], [3_000_000, 100_005]);
  });

  engine.rule("what it put out before its exit is received after it, paused or not", async (trial) => {
    const child = popen(trial, ["sh", "-c", "head -c 60000 /dev/zero; echo gone >&2; exit 3"], {
      postInit: (me) => me.pause(),
    });
    await trial.until(() => child.exitStatus !== undefined, "it exits");
    await trial.settle(50);
    assert.deepEqual(child.order, ["postInit", "connectionCompleted"]);
    child.resume();
    const reason = await child.closed;
    assert.equal(reason.exit?.code, 3);
    assert.equal(child.bytesIn, 60_000);
    assert.equal(child.errorText, "gone\n");
  });

  engine.rule("that has closed its standard input goes on, and what is sent goes nowhere", async (trial) => {
    const child = popen(trial, ["sh", "-c", "exec <&-; echo closed; sleep 0.2; echo still here"]);
    await trial.until(() => child.text === "closed\n", "it closes its input");
    let refused = false;
    await trial.until(() => {
      refused = !child.sendData("nobody reads this");
      return refused;
    }, "it is told that nobody reads");
    const reason = await child.closed;
    assert.equal(reason.kind, "exited");
    assert.equal(child.text, "closed\nstill here\n");
    assert.ok(!child.log.includes("drained"));
  });

  engine.rule("is sent files", async (trial) => {
    const file = trial.path("file");
    writeFileSync(file, pattern(300_000));
    const check = new PatternCheck();
    const cat = popen(trial, ["cat"], { receiveData: (_, data) => check.take(data), keep: false });
    assert.equal(await cat.sendFileData(file), 300_000);
    cat.closeConnectionAfterWriting();
    await cat.closed;
  });

  engine.rule("speaks by the classes of protocols, loops and streams", async (trial) => {
    class Lines extends LineText2 {
      readonly lines: string[] = [];
      override receiveLine(line: string): void {
        this.lines.push(line);
      }
    }
    const lines = trial.reactor.popen(["printf", "one\\ntwo\\nthree\\n"], Lines);
    await lines.closed;
    assert.deepEqual(lines.lines, ["one", "two", "three"]);

    let text = "";
    const looped = trial.reactor.popen(["sh", "-c", "printf abc; printf def"]);
    for await (const chunk of looped) text += chunk;
    assert.equal(text, "abcdef");
    assert.equal((await looped.closed).exit?.code, 0);

    const upper = trial.reactor.popen(["tr", "a-z", "A-Z"]);
    const stream = toDuplex(upper, { allowHalfOpen: true });
    stream.end("through a stream");
    let shouted = "";
    for await (const chunk of stream) shouted += chunk;
    assert.equal(shouted, "THROUGH A STREAM");
    assert.equal((await upper.closed).exit?.code, 0);
  });

  engine.rule("without a handler it waits, but not where there is nothing to be taken", async (trial) => {
    const quiet = trial.reactor.popen("true");
    assert.ok(quiet instanceof ChildProcess);
    assert.equal(quiet.isPaused, true);
    assert.equal((await quiet.closed).kind, "exited");
    const loud = trial.reactor.popen("echo loud");
    await trial.until(() => loud.exitStatus !== undefined, "it exits");
    await trial.settle();
    assert.equal(loud.state, "open");
    const chunks: Buffer[] = [];
    for await (const chunk of loud) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), "loud\n");
    await loud.closed;
  });

  // Failing callbacks ------------------------------------------------------------------------------------------------

  engine.rule("a callback that throws ends it, in receiveError as anywhere", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    for (const name of ["postInit", "connectionCompleted", "receiveData", "receiveError"] as const) {
      const boom = new Error(name);
      const child = popen(trial, ["sh", "-c", "echo out; echo error >&2; exec sleep 1000"], {
        [name]: () => {
          throw boom;
        },
      });
      const reason = await child.closed;
      assert.equal(reason.kind, "handler-error");
      assert.equal(reason.error, boom);
      assert.equal(reason.exit?.signal, "SIGTERM");
    }
    assert.equal(errors.length, 4);
  });

  engine.rule("what only other connections have is refused by name", async (trial) => {
    const child = popen(trial, ["sleep", "1000"]);
    await child.opened;
    assert.throws(() => child.startTls({ role: "client", rejectUnauthorized: false }), { code: "ERR_EM_UNSUPPORTED" });
    await assert.rejects(child.detach(), { code: "ERR_EM_UNSUPPORTED" });
    assert.throws(() => child.getSockOpt(1, 1), { code: "ERR_EM_UNSUPPORTED" });
    assert.equal(child.remoteAddress, undefined);
    child.abort();
    await child.closed;
    assert.throws(() => child.reconnect({ host: "127.0.0.1", port: 9 }), { code: "ERR_EM_NOT_RECONNECTABLE" });
    class Stray extends ChildProcess {}
    const { at } = await trial.serve();
    const stray = trial.reactor.connect(at as { host: string; port: number }, Stray);
    for (const use of [() => stray.pid, () => stray.exitStatus, () => stray.kill()]) {
      assert.throws(use, { code: "ERR_EM_NOT_A_CHILD_PROCESS" });
    }
    const other = popen(trial, ["true"]);
    assert.throws(() => other.kill("SIGNONE" as never), { code: "ERR_EM_INVALID_ARGUMENT" });
    await other.closed;
  });

  engine.rule("its descriptors can be opened by their names, where they are pipes", async (trial) => {
    const child = popen(trial, ["sh", "-c", "cat /dev/stdin > /dev/stdout; echo error > /dev/stderr"]);
    child.sendData("through names");
    child.halfClose();
    await child.closed;
    const isPipe = engine.has("childPipes");
    assert.equal(child.text, isPipe ? "through names" : "");
    assert.match(child.errorText, isPipe ? /^error\n$/ : /No such device or address/);
  });

  engine.rule("scripts run by their first line", async (trial) => {
    const script = trial.path("script");
    writeFileSync(script, "#!/bin/sh\necho from $1\n");
    chmodSync(script, 0o755);
    const child = popen(trial, [script, "a script"]);
    await child.closed;
    assert.equal(child.text, "from a script\n");
  });
});
