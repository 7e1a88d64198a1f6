import assert from "node:assert/strict";
import { existsSync, linkSync, lstatSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { Connection, DatagramSocket } from "eventmachine";
import { type DatagramRecorder, datagramRules, openDatagrams } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

function rule(engine: EngineSuite, name: string, body: (trial: Trial) => Promise<unknown>): void {
  engine.ruleNeeding("unixDatagrams", name, body, (trial) => openDatagrams(trial, {}, { path: trial.path() }));
}

/** A socket's file that nobody has: the socket's own name is another, and goes with it. */
async function leaveStale(trial: Trial, path: string): Promise<void> {
  const socket = await openDatagrams(trial, {}, { path: `${path}.first` });
  linkSync(`${path}.first`, path);
  socket.closeConnection();
  await socket.closed;
  assert.ok(lstatSync(path).isSocket());
}

onEveryEngine("Unix datagrams", (engine: EngineSuite) => {
  datagramRules(engine, () => {
    rule(engine, "an echo comes back by the name of its sender", async (trial) => {
      const path = trial.path();
      const echo = await openDatagrams(trial, { receiveData: (me, data) => me.sendData(data) }, { path, mode: 0o600 });
      assert.deepEqual(echo.localAddress, { family: "unix", path });
      assert.equal(statSync(path).mode & 0o777, 0o600);
      const client = await openDatagrams(trial, {}, { path: trial.path() });
      for (const text of ["one", "", "three"]) client.sendDatagram(text, { path });
      await trial.until(() => client.received.length === 3, "three answers");
      assert.deepEqual(client.texts, ["one", "", "three"]);
      assert.deepEqual(client.senders[0], echo.localAddress);
      echo.closeConnection();
      await echo.closed;
      assert.equal(existsSync(path), false);
    });

    rule(engine, "abstract names, and names that are taken", async (trial) => {
      const path = `\0em-${process.pid}-${trial.now()}`;
      const first = await openDatagrams(trial, {}, { path });
      await assert.rejects(openDatagrams(trial, {}, { path }), { code: "EADDRINUSE" });
      const sender = await trial.reactor.openDatagramSocket({ path: "" }, DatagramSocket);
      sender.sendDatagram("hello", { path });
      await trial.until(() => first.received.length === 1, "the datagram");
      assert.deepEqual(first.senders, [{ family: "unix", path: "" }]);
    });

    rule(engine, "a stale file is replaced, whatever kind of socket left it", async (trial) => {
      const [datagrams, stream] = [trial.path(), trial.path()];
      await leaveStale(trial, datagrams);
      const { listener } = await trial.serve({}, { path: `${stream}.first` });
      linkSync(`${stream}.first`, stream);
      await listener.close();
      for (const path of [datagrams, stream]) {
        const socket = await openDatagrams(trial, {}, { path, mode: 0o600 });
        assert.equal(statSync(path).mode & 0o777, 0o600);
        const sender = await openDatagrams(trial, {}, { path: "" });
        sender.sendDatagram("hello", { path });
        await trial.until(() => socket.received.length === 1, "the datagram");
      }
    });

    rule(engine, "a file that somebody has, or that is no socket, is left alone", async (trial) => {
      const [datagrams, stream, file] = [trial.path(), trial.path(), trial.path()];
      const live = await openDatagrams(trial, {}, { path: datagrams });
      const sender = await openDatagrams(trial, {}, { path: "", remote: { path: datagrams } });
      // One that has a peer of its own refuses to be connected to, and is there all the same.
      const busy = trial.path();
      await openDatagrams(trial, {}, { path: busy, remote: { path: datagrams } });
      await trial.serve({}, { path: stream });
      writeFileSync(file, "precious");
      for (const path of [datagrams, busy, stream]) {
        const { ino } = lstatSync(path);
        await assert.rejects(openDatagrams(trial, {}, { path }), { code: "EADDRINUSE", address: path });
        assert.equal(lstatSync(path).ino, ino);
      }
      await assert.rejects(openDatagrams(trial, {}, { path: file }), { code: "ERR_EM_NOT_A_SOCKET", address: file });
      assert.equal(readFileSync(file, "utf8"), "precious");
      await assert.rejects(trial.serve({}, { path: datagrams }), { code: "EADDRINUSE" });
      sender.sendData("still here");
      await trial.until(() => live.received.length === 1, "the datagram");
      assert.deepEqual(live.texts, ["still here"], "those who asked whether it lives sent nothing");
    });

    rule(engine, "of several that race for a stale file one wins", async (trial) => {
      for (let round = 0; round < 5; round++) {
        const path = trial.path();
        await leaveStale(trial, path);
        const outcomes = await Promise.allSettled(Array.from({ length: 3 }, () => openDatagrams(trial, {}, { path })));
        const won = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
        const lost = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.code] : []));
        assert.equal(won.length, 1, `round ${round}`);
        assert.deepEqual(lost, ["EADDRINUSE", "EADDRINUSE"]);
        const sender = await openDatagrams(trial, {}, { path: "" });
        sender.sendDatagram("hello", { path });
        await trial.until(() => won[0]?.received.length === 1, "the datagram");
      }
    });

    rule(engine, "a drain that begins while a stale file is looked at is not outlived", async (trial) => {
      const path = trial.path();
      await leaveStale(trial, path);
      const opening = openDatagrams(trial, {}, { path });
      await trial.turn();
      const drained = trial.reactor.drain(5_000);
      await assert.rejects(opening, { code: "ERR_EM_NOT_RUNNING" });
      await drained;
      await trial.settle(150);
      const sender = trial.makeReactor();
      await sender.run(async () => {
        const failures: unknown[] = [];
        class Sender extends DatagramSocket {
          override sendFailed(error: { code: string }) {
            failures.push(error.code);
          }
        }
        const socket = await sender.openDatagramSocket({ path: "" }, Sender);
        socket.sendDatagram("anybody?", { path });
        await trial.until(() => failures.length === 1, "the failure");
        assert.deepEqual(failures, ["ECONNREFUSED"]);
        sender.stop();
      });
    });

    rule(engine, "a name that nobody has is told, and one with a port is refused", async (trial) => {
      const socket = await openDatagrams(trial, {}, { path: "" });
      socket.sendDatagram("x", { path: trial.path() });
      await trial.until(() => socket.failures.length === 1, "the failure");
      assert.equal(socket.failures[0]?.error.code, "ENOENT");
      assert.throws(() => socket.sendDatagram("x", { host: "127.0.0.1", port: 9 }), {
        code: "ERR_EM_INVALID_ARGUMENT",
      });
    });

    rule(
      engine,
      "a connected one sends to its peer, and what waits for room is sent when there is some",
      async (trial) => {
        const path = trial.path();
        const sink: DatagramRecorder = await openDatagrams(trial, {}, { path });
        sink.pause();
        const socket = await openDatagrams(trial, {}, { path: "", remote: { path } });
        let sent = 0;
        while (socket.sendData(`${sent}`) && sent < 5000) sent++;
        assert.ok(sent < 5000, "the kernel has no room in the end");
        await trial.settle();
        assert.ok(!socket.log.includes("drained"));
        assert.ok(socket.outboundSize > 0);
        sink.resume();
        await trial.until(() => socket.log.includes("drained") && sink.received.length === sent + 1, "all came");
        assert.deepEqual(
          sink.texts,
          Array.from({ length: sent + 1 }, (_, index) => `${index}`),
        );
        assert.equal(socket.outboundSize, 0);
      },
    );

    rule(
      engine,
      "the queue is bounded: the newest is dropped and counted; closing after writing sends the rest",
      async (trial) => {
        const path = trial.path();
        const sink = await openDatagrams(trial, {}, { path });
        sink.pause();
        const socket = await openDatagrams(trial, {}, { path: "", remote: { path }, outboundLimit: 10_640 });
        let sent = 0;
        while (socket.sendData(Buffer.alloc(1000)) && sent < 5000) sent++;
        for (let count = 0; count < 20; count++) socket.sendData(Buffer.alloc(1000));
        await trial.settle();
        assert.equal(socket.outboundSize, 10_000);
        const { dropped } = socket.counters;
        assert.ok(dropped > 0);
        socket.closeConnectionAfterWriting();
        await trial.settle();
        assert.equal(socket.state, "closing");
        sink.resume();
        assert.deepEqual(await socket.closed, { kind: "local-close", lingerExpired: false });
        await trial.until(() => sink.received.length === sent + 21 - dropped, "all but those that were dropped");
      },
    );

    rule(engine, "a peer that does not read delays nothing that goes to others", async (trial) => {
      const [stuck, path] = [trial.path(), trial.path()];
      const stubborn = await openDatagrams(trial, {}, { path: stuck });
      stubborn.pause();
      const sink = await openDatagrams(trial, {}, { path });
      const socket = await openDatagrams(trial, {}, { path: "" });
      const texts = Array.from({ length: 600 }, (_, index) => `${index}`);
      for (const text of texts) {
        socket.sendDatagram(text, { path: stuck });
        socket.sendDatagram(text, { path });
        await trial.turn();
      }
      await trial.until(() => sink.received.length === texts.length, "all that goes elsewhere");
      assert.deepEqual(sink.texts, texts);
      assert.ok(socket.outboundSize > 0, "what is sent to the stubborn one waits");
      assert.ok(!socket.log.includes("drained"));
      stubborn.resume();
      await trial.until(() => stubborn.received.length === texts.length, "and comes in the end");
      assert.deepEqual(stubborn.texts, texts);
      await trial.until(() => socket.log.includes("drained"), "nothing waits");
    });

    rule(engine, "closing after writing gives up when lingerTimeout has passed", async (trial) => {
      const path = trial.path();
      const sink = await openDatagrams(trial, {}, { path });
      sink.pause();
      const socket = await openDatagrams(trial, {}, { path: "", remote: { path }, lingerTimeout: 50 });
      while (socket.sendData(Buffer.alloc(1000)));
      socket.closeConnectionAfterWriting();
      assert.deepEqual(await socket.closed, { kind: "local-close", lingerExpired: true });
    });

    rule(engine, "a class of the program's serves it", async (trial) => {
      const heard: string[] = [];
      class Log extends Connection {
        override receiveData(data: Buffer) {
          heard.push(data.toString());
        }
      }
      const path = trial.path();
      await trial.reactor.openDatagramSocket({ path }, Log);
      const sender = await trial.reactor.openDatagramSocket({ path: "" });
      sender.sendDatagram("a line", { path });
      await trial.until(() => heard.length === 1, "the line");
    });
  });
});
