import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { engineInfo, setDescriptorTableSize, setEffectiveUser } from "eventmachine";

const isRoot = process.geteuid?.() === 0;

/** Runs a module's text in a process of its own; what it printed, as JSON. */
function run(code: string, env: Record<string, string> = {}): unknown {
  const preamble = `
    import { Connection, Reactor, setDescriptorTableSize, setEffectiveUser } from "eventmachine";
    const codeOf = (action) => { try { return action() ?? "done"; } catch (error) { return [error.name, error.code, error.syscall]; } };
    const tell = (what) => console.log(JSON.stringify(what));
  `;
  const result = spawnSync(process.execPath, ["--input-type=module", "-e", preamble + code], {
    encoding: "utf8",
    env: { ...process.env, ...env },
    timeout: 60_000,
  });
  assert.equal(result.status, 0, result.stderr);
  return JSON.parse(result.stdout);
}

describe("setEffectiveUser", () => {
  it("refuses what is no name, and a user there is not", () => {
    for (const name of ["", "a:b", "a\nb", "a\0", "-u", "a/b", 0, undefined, null, {}]) {
      assert.throws(() => setEffectiveUser(name as string), { code: "ERR_EM_INVALID_ARGUMENT" }, String(name));
    }
    for (const name of ["no-such-user", "0", "+0", "constructor"]) {
      assert.throws(() => setEffectiveUser(name), { code: "ERR_EM_UNKNOWN_USER" });
    }
  });

  it("does nothing where the process is the user's already", () => {
    const name = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
    const before = [process.getuid?.(), process.getgid?.(), process.getgroups?.()];
    assert.equal(setEffectiveUser(name), undefined);
    assert.deepEqual([process.getuid?.(), process.getgid?.(), process.getgroups?.()], before);
  });

  it("is for the main thread", () => {
    const seen = run(`
      import { Worker } from "node:worker_threads";
      const worker = new Worker(\`import("eventmachine").then(async ({ setEffectiveUser }) => {
        const { parentPort } = await import("node:worker_threads");
        try { setEffectiveUser("nobody"); } catch (error) { parentPort.postMessage(error.code); }
      })\`, { eval: true });
      worker.once("message", (code) => tell([code, process.getuid()]));
    `);
    assert.deepEqual(seen, ["ERR_EM_MAIN_THREAD_ONLY", process.getuid?.()]);
  });

  it("makes the process the user's with its groups and for good, and leaves what is bound", () => {
    const given = run(`
      import { readFileSync } from "node:fs";
      const ids = () => Object.fromEntries(readFileSync("/proc/self/status", "utf8").split("\\n")
        .map((line) => line.split(":\\t")).filter(([name]) => ["Uid", "Gid", "Groups"].includes(name))
        .map(([name, value]) => [name, value.trim().split(/\\s+/)]));
      const reactor = new Reactor();
      await reactor.run(async () => {
        const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, class extends Connection {
          postInit() { this.sendData("still here"); this.closeConnectionAfterWriting(); }
        });
        const came = codeOf(() => setEffectiveUser("nobody"));
        let got = "";
        const client = reactor.connect({ host: "127.0.0.1", port }, class extends Connection {
          receiveData(data) { got += data; }
        });
        await client.closed;
        tell({ came, got, ...ids(), back: codeOf(() => process.setuid(0)).slice(1), root: codeOf(() => setEffectiveUser("root")), again: codeOf(() => setEffectiveUser("nobody")) });
        reactor.stop();
      });
    `) as Record<string, unknown>;
    if (!isRoot) {
      assert.deepEqual([given.came, given.got], [["SystemError", "EPERM", "initgroups"], "still here"]);
      return;
    }
    const [uid, gid, groups] = ["-u", "-g", "-G"].map((which) =>
      execFileSync("id", [which, "nobody"], { encoding: "utf8" }).trim(),
    );
    assert.deepEqual(given, {
      came: "done",
      got: "still here",
      Uid: Array(4).fill(uid),
      Gid: Array(4).fill(gid),
      Groups: groups?.split(" "),
      back: ["EPERM", "setuid"],
      root: ["SystemError", "EPERM", "initgroups"],
      again: "done",
    });
  });
});

describe("setDescriptorTableSize", () => {
  it("refuses what is no size", () => {
    for (const size of [0, -1, 1.5, 2 ** 31, Number.NaN, "5", null, {}]) {
      assert.throws(() => setDescriptorTableSize(size as number), { code: "ERR_EM_INVALID_ARGUMENT" }, String(size));
    }
  });

  it("is refused by the portable engine", () => {
    const seen = run("tell([codeOf(() => setDescriptorTableSize()), codeOf(() => setDescriptorTableSize(100))]);", {
      EVENTMACHINE_ENGINE: "portable",
    });
    assert.deepEqual(seen, Array(2).fill(["UnsupportedError", "ERR_EM_UNSUPPORTED", null]));
    assert.ok(engineInfo("portable").lacks.some(({ capability }) => capability === "descriptorLimit"));
  });

  it("sets how many descriptors there may be, at any time, or says why not", () => {
    const seen = run(
      `
      import { closeSync, openSync, readFileSync } from "node:fs";
      const limits = () => /open files +(\\d+) +(\\d+)/.exec(readFileSync("/proc/self/limits", "latin1")).slice(1).map(Number);
      const [soft, hard] = limits();
      const told = [setDescriptorTableSize() === soft, setDescriptorTableSize(64), limits()[0], limits()[1] === hard];
      const open = [];
      const many = codeOf(() => { for (let n = 0; n < 100; n++) open.push(openSync("/")); });
      for (const fd of open) closeSync(fd);
      const reactor = new Reactor();
      await reactor.run(() => { told.push(many[1], setDescriptorTableSize(hard) === hard); reactor.stop(); });
      const more = codeOf(() => setDescriptorTableSize(hard + 1));
      const most = Number(readFileSync("/proc/sys/fs/nr_open", "latin1"));
      tell([...told, more === hard + 1 ? "raised" : more, codeOf(() => setDescriptorTableSize(most + 1))]);
      `,
      { EVENTMACHINE_ENGINE: "native" },
    ) as unknown[];
    assert.deepEqual(seen.slice(0, 6), [true, 64, 64, true, "EMFILE", true]);
    // Only who is privileged may raise the hard limit, and nobody above the system's own.
    assert.ok(JSON.stringify(seen[6]) === '"raised"' || (seen[6] as string[])[1] === "EPERM", String(seen[6]));
    assert.deepEqual(seen[7], ["SystemError", "EPERM", "setrlimit"]);
  });
});
