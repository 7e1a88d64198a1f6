import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { Connection, formatAddress } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

/** Leaves a socket file behind at `path` that nobody listens on: a second name of a listener's file outlives it. */
async function leaveStale(trial: Trial, path: string): Promise<void> {
  const { listener } = await trial.serve({}, { path: `${path}.first` });
  linkSync(`${path}.first`, path);
  await listener.close();
  assert.ok(lstatSync(path).isSocket());
}

/** Runs the body in another working folder. */
async function inFolder<T>(folder: string, body: () => T | Promise<T>): Promise<T> {
  const before = process.cwd();
  process.chdir(folder);
  try {
    return await body();
  } finally {
    process.chdir(before);
  }
}

/** Runs the body with another mask for the modes of new files. */
function withUmask<T>(mask: number, body: () => T): T {
  const before = process.umask(mask);
  try {
    return body();
  } finally {
    process.umask(before);
  }
}

/** Runs the body as another user; for root alone. */
function asUser<T>(id: number, body: () => T): T {
  process.setegid?.(id);
  process.seteuid?.(id);
  try {
    return body();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

onEveryEngine("unix sockets", (engine) => {
  engine.rule("bytes and addresses", async (trial) => {
    const path = trial.path();
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { path });
    const client = trial.dial(served);
    client.sendData("over a path");
    await trial.until(() => client.text === "over a path", "the echo");
    const server = await served.peer();
    assert.deepEqual(served.listener.address, { family: "unix", path });
    assert.equal(served.listener.port, undefined);
    assert.deepEqual(client.remoteAddress, { family: "unix", path });
    assert.deepEqual(server.localAddress, { family: "unix", path });
    assert.deepEqual(server.remoteAddress, { family: "unix", path: "" }, "an unnamed socket");
    client.closeConnection();
    await trial.allUnbound();
    assert.deepEqual(client.remoteAddress, { family: "unix", path });
  });

  engine.rule("the file is a socket, and goes with the listener", async (trial) => {
    const path = trial.path();
    const { listener } = await trial.serve({}, { path });
    assert.ok(statSync(path).isSocket());
    await listener.close();
    assert.equal(existsSync(path), false);
  });

  engine.runRule("the file goes when the reactor stops", async (trial) => {
    const path = trial.path();
    await trial.reactor.run(async () => {
      await trial.serve({}, { path });
      assert.ok(existsSync(path));
      trial.reactor.stop();
    });
    assert.equal(existsSync(path), false);
  });

  engine.rule("another's file of that name does not go", async (trial) => {
    const path = trial.path();
    const one = await trial.serve({}, { path });
    renameSync(path, `${path}.moved`);
    const two = await trial.serve({}, { path });
    await one.listener.close();
    assert.ok(existsSync(path), "the file of the second listener");
    const client = trial.dial({ path });
    await client.opened;
    await two.peer();
  });

  engine.rule("whatever took its name stays where it is", async (trial) => {
    const takers: ((path: string) => void)[] = [
      (path) => writeFileSync(path, "another's"),
      (path) => mkdirSync(path),
      (path) => linkSync(`${path}.other`, path),
    ];
    for (const [at, take] of takers.entries()) {
      const folder = trial.path(`taken-${at}`);
      mkdirSync(folder);
      const path = join(folder, "s");
      await trial.serve({}, { path: `${path}.other` });
      const { listener } = await trial.serve({}, { path });
      unlinkSync(path);
      take(path);
      const before = lstatSync(path);
      await listener.close();
      const after = lstatSync(path);
      assert.deepEqual([after.ino, after.ctimeMs], [before.ino, before.ctimeMs], `taker ${at}`);
      assert.deepEqual(readdirSync(folder).sort(), ["s", "s.other"]);
    }
  });

  engine.rule("its own file does not go where it was moved, nor by another name", async (trial) => {
    const path = trial.path();
    const { listener } = await trial.serve({}, { path });
    linkSync(path, `${path}.second`);
    renameSync(path, `${path}.moved`);
    await listener.close();
    assert.ok(lstatSync(`${path}.moved`).isSocket());
    assert.ok(lstatSync(`${path}.second`).isSocket());
  });

  if (process.getuid?.() === 0) {
    engine.rule("another user's socket at its path stays, and serves", async (trial) => {
      const folder = trial.path("shared");
      mkdirSync(folder);
      chmodSync(dirname(folder), 0o711);
      chmodSync(folder, 0o777);
      const path = join(folder, "s");
      const first = await asUser(1001, () => trial.serve({}, { path }));
      const second = await asUser(1002, () => {
        unlinkSync(path);
        return trial.serve({}, { path });
      });
      await asUser(1001, () => first.listener.close());
      assert.deepEqual(readdirSync(folder), ["s"]);
      const client = trial.dial({ path });
      await client.opened;
      await second.peer();
    });
  }

  engine.rule("a relative path is its folder's for good", async (trial) => {
    const [one, two] = [trial.path("one"), trial.path("two")];
    for (const folder of [one, two, join(two, "run")]) mkdirSync(folder);
    writeFileSync(join(two, "run", "data"), "precious");
    const served = await inFolder(one, () => trial.serve({}, { path: "run" }));
    assert.deepEqual(served.listener.address, { family: "unix", path: join(one, "run") });
    const client = trial.dial(served);
    await client.opened;
    assert.deepEqual((await served.peer()).localAddress, { family: "unix", path: join(one, "run") });
    await inFolder(two, () => served.listener.close());
    assert.deepEqual(readdirSync(one), []);
    assert.equal(readFileSync(join(two, "run", "data"), "utf8"), "precious");
  });

  engine.rule("a relative path serves where the absolute one fits no socket address", async (trial) => {
    const folder = trial.path("deep/".padEnd(120, "x"));
    mkdirSync(folder, { recursive: true });
    const served = await inFolder(folder, () => trial.serve({}, { path: "./s" }));
    assert.deepEqual(served.listener.address, { family: "unix", path: join(folder, "s") });
    await inFolder(folder, async () => {
      const client = trial.dial({ path: "s" });
      await client.opened;
      assert.deepEqual(client.remoteAddress, { family: "unix", path: "s" });
      await assert.rejects(trial.serve({}, { path: "s" }), { code: "EADDRINUSE" });
    });
    await served.listener.close();
    assert.deepEqual(readdirSync(folder), []);
  });

  engine.rule("a path that looks like a number is a path", async (trial) => {
    const folder = trial.path("numbers");
    mkdirSync(folder);
    await inFolder(folder, async () => {
      for (const path of ["0", "8124", "1e3"]) {
        const served = await trial.serve({}, { path });
        assert.ok(lstatSync(path).isSocket());
        const client = trial.dial({ path });
        await client.opened;
        await served.listener.close();
      }
    });
    assert.deepEqual(readdirSync(folder), []);
  });

  engine.rule("beside the file nothing is left, whether it serves or fails", async (trial) => {
    const folder = trial.path("tidy");
    mkdirSync(folder);
    const { listener } = await trial.serve({}, { path: join(folder, "s"), mode: 0o640 });
    assert.deepEqual(readdirSync(folder), ["s"]);
    await assert.rejects(trial.serve({}, { path: join(folder, "s") }), { code: "EADDRINUSE" });
    assert.deepEqual(readdirSync(folder), ["s"]);
    await listener.close();
    assert.deepEqual(readdirSync(folder), []);
  });

  engine.runRule("a reactor that stops before the listener listens leaves no file", async (trial) => {
    const folder = trial.path("early");
    mkdirSync(folder);
    for (const mode of [undefined, 0o600]) {
      const path = join(folder, `${mode}`);
      const reactor = trial.makeReactor();
      const outcomes: Promise<PromiseSettledResult<unknown>[]>[] = [];
      await reactor.run(() => {
        const started = reactor.startServer({ path, ...(mode === undefined ? {} : { mode }) }, Connection);
        outcomes.push(Promise.allSettled([started]));
        reactor.stop();
      });
      assert.deepEqual(readdirSync(folder), []);
      await Promise.all(outcomes);
    }
  });

  engine.rule(
    "the file never shows a wider mode than asked for, and then exactly that, whatever the umask",
    async (trial) => {
      const path = trial.path();
      const seen = new SharedArrayBuffer(4 * 513);
      const modes = new Int32Array(seen);
      // One that looks at the path as fast as it can; the last word ends it.
      const watcher = new Worker(
        `const { workerData: { path, seen } } = require("node:worker_threads");
       const { lstatSync } = require("node:fs");
       const modes = new Int32Array(seen);
       Atomics.store(modes, 512, 1);
       Atomics.notify(modes, 512);
       while (Atomics.load(modes, 512) !== 2) {
         const found = lstatSync(path, { throwIfNoEntry: false });
         if (found !== undefined) Atomics.add(modes, found.mode & 0o777, 1);
       }`,
        { eval: true, workerData: { path, seen } },
      );
      await trial.until(() => Atomics.load(modes, 512) === 1, "the watcher looks");
      try {
        const hasSeen = () => modes.subarray(0, 512).some((count) => count > 0);
        for (let round = 0; round < 100 || (round < 20_000 && !hasSeen()); round++) {
          const { listener } = await withUmask(0, () => trial.serve({}, { path, mode: 0o600 }));
          assert.equal(statSync(path).mode & 0o777, 0o600);
          await listener.close();
        }
      } finally {
        Atomics.store(modes, 512, 2);
        await watcher.terminate();
      }
      const found = [...modes.subarray(0, 512).entries()].filter(([, count]) => count > 0).map(([mode]) => mode);
      assert.deepEqual(found, [0o600]);
      for (const mask of [0o077, 0o777]) {
        const { listener } = await withUmask(mask, () => trial.serve({}, { path, mode: 0o666 }));
        assert.equal(statSync(path).mode & 0o777, 0o666);
        await listener.close();
      }
      const { listener } = await withUmask(0o027, () => trial.serve({}, { path }));
      assert.equal(statSync(path).mode & 0o777, 0o750, "the umask's business without a mode");
      await listener.close();
    },
  );

  engine.rule("mode sets the file's permissions", async (trial) => {
    for (const mode of [0o600, 0o660, 0o777]) {
      const path = trial.path();
      await trial.serve({}, { path, mode });
      assert.equal(statSync(path).mode & 0o777, mode);
    }
    for (const mode of [-1, 0o1000, 1.5, "600"]) {
      await assert.rejects(trial.serve({}, { path: trial.path(), mode } as never), { name: "ArgumentError" });
    }
    const nameless = { name: "ArgumentError", message: /^mode is a file's/ };
    await assert.rejects(trial.serve({}, { path: "\0em-mode", mode: 0o600 }), nameless, "which would protect nothing");
  });

  engine.rule("a stale socket file is replaced", async (trial) => {
    const path = trial.path();
    await leaveStale(trial, path);
    const served = await trial.serve({}, { path });
    const client = trial.dial(served);
    await client.opened;
    await served.peer();
  });

  engine.rule("a drain that begins while a stale file is looked at is not outlived", async (trial) => {
    const path = trial.path();
    await leaveStale(trial, path);
    const { reactor } = trial;
    const starting = reactor.startServer({ path }, Connection);
    await trial.turn();
    const drained = reactor.drain(5_000);
    await assert.rejects(starting, { code: "ERR_EM_NOT_RUNNING" });
    await drained;
    await trial.settle(150);
    const late = trial.dial({ path });
    assert.equal((await late.closed).kind, "connect-refused");
  });

  engine.rule("a live one is refused, and lives on", async (trial) => {
    const path = trial.path();
    const served = await trial.serve({}, { path });
    const { ino } = lstatSync(path);
    await assert.rejects(trial.serve({}, { path }), { name: "SystemError", code: "EADDRINUSE", address: path });
    assert.equal(lstatSync(path).ino, ino);
    await trial.settle();
    for (const recorder of trial.recorders) recorder.closeConnection();
    const client = trial.dial(served);
    await client.opened;
  });

  engine.rule("a regular file and a folder are never touched", async (trial) => {
    const file = trial.path("file");
    writeFileSync(file, "precious");
    await assert.rejects(trial.serve({}, { path: file }), { code: "ERR_EM_NOT_A_SOCKET", address: file });
    assert.equal(readFileSync(file, "utf8"), "precious");
    const folder = trial.path("folder");
    mkdirSync(folder);
    await assert.rejects(trial.serve({}, { path: folder }), { code: "ERR_EM_NOT_A_SOCKET" });
    assert.ok(statSync(folder).isDirectory());
  });

  engine.rule("a folder that is not there", async (trial) => {
    await assert.rejects(trial.serve({}, { path: trial.path("none/s") }), { name: "SystemError", code: "ENOENT" });
  });

  engine.rule("of two servers that race for a stale file one wins", async (trial) => {
    for (let round = 0; round < 5; round++) {
      const path = trial.path();
      await leaveStale(trial, path);
      const other = trial.makeReactor();
      await other.run(async () => {
        const outcomes = await Promise.allSettled([
          trial.serve({}, { path }),
          trial.serve({}, { path }),
          other.startServer({ path }, Connection),
        ]);
        const won = outcomes.filter(({ status }) => status === "fulfilled");
        const lost = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.code] : []));
        assert.equal(won.length, 1, `round ${round}`);
        assert.deepEqual(lost, ["EADDRINUSE", "EADDRINUSE"]);
        const client = trial.dial({ path });
        await client.opened;
        client.closeConnection();
        await trial.allUnbound(client);
        for (const recorder of trial.recorders) recorder.closeConnection();
        other.stop();
      });
    }
  });

  engine.rule("racing for a free name, one wins too", async (trial) => {
    const path = trial.path();
    const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => trial.serve({}, { path })));
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
    await trial.settle();
    const client = trial.dial({ path });
    await client.opened;
  });

  engine.rule("names in the abstract space have no file", async (trial) => {
    const path = `\0em-test-${process.pid}-${Math.random()}`;
    const served = await trial.serve({}, { path });
    assert.deepEqual(served.listener.address, { family: "unix", path });
    const client = trial.dial(served);
    client.sendData("abstract");
    const server = await served.peer();
    await trial.until(() => server.text === "abstract", "it arrives");
    await assert.rejects(trial.serve({}, { path }), { code: "EADDRINUSE" });
    await served.listener.close();
    await trial.serve({}, { path });
  });

  engine.rule("a path as long as an address can carry works, a longer one is refused", async (trial) => {
    const folder = trial.path("");
    const path = folder.padEnd(107, "x");
    const served = await trial.serve({}, { path });
    const client = trial.dial(served);
    await client.opened;
    assert.ok(lstatSync(path).isSocket(), "the name is whole");
    const tooLong = { name: "ArgumentError", code: "ERR_EM_PATH_TOO_LONG" };
    await assert.rejects(trial.serve({}, { path: `${path}x` }), tooLong);
    assert.throws(() => trial.dial({ path: `${path}x` }), tooLong);
    const umlauts = `/tmp/${"ä".repeat(52)}`;
    await assert.rejects(trial.serve({}, { path: umlauts }), tooLong, "bytes count, not characters");
  });

  engine.rule("an abstract name takes all 108 bytes, the leading NUL included", async (trial) => {
    const path = `\0em-${process.pid}-${engine.name}-`.padEnd(108, "x");
    const served = await trial.serve({}, { path });
    assert.deepEqual(served.listener.address, { family: "unix", path });
    const client = trial.dial(served);
    await client.opened;
    await served.peer();
    await assert.rejects(trial.serve({}, { path }), { code: "EADDRINUSE" });
    const tooLong = { name: "ArgumentError", code: "ERR_EM_PATH_TOO_LONG" };
    await assert.rejects(trial.serve({}, { path: `${path}x` }), tooLong);
    assert.throws(() => trial.dial({ path: `${path}x` }), tooLong);
  });

  engine.rule("bytes that are text are the same path", async (trial) => {
    const path = trial.path("grün");
    const served = await trial.serve({}, { path: new Uint8Array(Buffer.from(path)) });
    assert.deepEqual(served.listener.address, { family: "unix", path });
    const client = trial.dial({ path: Buffer.from(path) });
    await client.opened;
    assert.deepEqual(client.remoteAddress, { family: "unix", path });
    assert.ok(lstatSync(path).isSocket());
  });

  const odd = (trial: Trial) => Buffer.concat([Buffer.from(trial.path("b")), Buffer.from([0xff, 0xfe, 0xc3])]);
  engine.ruleNeeding(
    "unixNameBytes",
    "a path that is not UTF-8 is its bytes: bound, shown, connected to and removed",
    async (trial) => {
      const path = odd(trial);
      const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { path, mode: 0o600 });
      assert.deepEqual(served.listener.address, { family: "unix", path });
      assert.deepEqual(readdirSync(trial.path(""), { encoding: "buffer" }), [
        path.subarray(dirname(trial.path("x")).length + 1),
      ]);
      const client = trial.dial(served);
      client.sendData("bytes");
      await trial.until(() => client.text === "bytes", "the echo");
      assert.deepEqual(client.remoteAddress, { family: "unix", path });
      assert.deepEqual((await served.peer()).localAddress, { family: "unix", path });
      await assert.rejects(trial.serve({}, { path }), { code: "EADDRINUSE", address: /b\\xff\\xfe\\xc3$/ });
      assert.match(formatAddress(served.listener.address), /^unix:.*b\\xff\\xfe\\xc3$/);
      await served.listener.close();
      assert.deepEqual(readdirSync(trial.path("")), []);
    },
    (trial) => trial.serve({}, { path: odd(trial) }),
  );

  const abstract = Buffer.concat([Buffer.from(`\0em-${process.pid}\0`), Buffer.from([0xff])]);
  engine.ruleNeeding(
    "unixNameBytes",
    "an abstract name is any bytes, NULs among them",
    async (trial) => {
      for (const path of [abstract, `\0em-${process.pid}\0text`]) {
        const served = await trial.serve({}, { path });
        const client = trial.dial(served);
        await client.opened;
        for (const shown of [served.listener.address, (await served.peer()).localAddress, client.remoteAddress]) {
          assert.deepEqual(shown, { family: "unix", path });
        }
      }
    },
    (trial) => trial.dial({ path: abstract }),
  );

  engine.rule("paths that are none", async (trial) => {
    for (const path of ["", "a\0b", "a\ud800", Buffer.alloc(0), Buffer.from("a\0b"), 7, null, undefined]) {
      await assert.rejects(trial.serve({}, { path } as never), { name: "ArgumentError" });
      assert.throws(() => trial.dial({ path } as never), { name: "ArgumentError" });
    }
  });

  engine.ruleNeeding(
    "peerCredentials",
    "the peer's process, user and group",
    async (trial) => {
      const { client, server } = await trial.over("unix").pair();
      const self = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
      assert.deepEqual(server.peerCredentials(), self);
      assert.deepEqual(client.peerCredentials(), self);
      client.closeConnection();
      await trial.allUnbound();
      assert.throws(() => server.peerCredentials(), { name: "StateError", code: "ERR_EM_NOT_OPEN" });
    },
    async (trial) => (await trial.over("unix").pair()).server.peerCredentials(),
  );

  engine.rule("a full accept queue makes a client wait, not fail", async (trial) => {
    const served = await trial.serve(
      { receiveData: (me, data) => me.sendData(data) },
      { path: trial.path(), backlog: 1 },
    );
    const clients = Array.from({ length: 20 }, () => trial.dial(served, { postInit: (me) => me.sendData("x") }));
    await trial.until(() => clients.every(({ bytes }) => bytes === 1), "all are served");
  });
});
