import assert from "node:assert/strict";
import { existsSync, linkSync, lstatSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { Connection } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

/** Leaves a socket file behind at `path` that nobody listens on: a second name of a listener's file outlives it. */
async function leaveStale(trial: Trial, path: string): Promise<void> {
  const { listener } = await trial.serve({}, { path: `${path}.first` });
  linkSync(`${path}.first`, path);
  await listener.close();
  assert.ok(lstatSync(path).isSocket());
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

  engine.rule("mode sets the file's permissions", async (trial) => {
    for (const mode of [0o600, 0o660, 0o777]) {
      const path = trial.path();
      await trial.serve({}, { path, mode });
      assert.equal(statSync(path).mode & 0o777, mode);
    }
    for (const mode of [-1, 0o1000, 1.5, "600"]) {
      await assert.rejects(trial.serve({}, { path: trial.path(), mode } as never), { name: "ArgumentError" });
    }
  });

  engine.rule("a stale socket file is replaced", async (trial) => {
    const path = trial.path();
    await leaveStale(trial, path);
    const served = await trial.serve({}, { path });
    const client = trial.dial(served);
    await client.opened;
    await served.peer();
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

  engine.rule("paths that are none", async (trial) => {
    for (const path of ["", "a\0b", 7, null, undefined]) {
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
