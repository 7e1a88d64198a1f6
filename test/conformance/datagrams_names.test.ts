import assert from "node:assert/strict";
import { DatagramRecorder, datagramRules, openDatagrams, openEcho, placeOf } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { pending } from "../support/wait.js";

onEveryEngine("names of datagrams' destinations", (engine: EngineSuite) => {
  datagramRules(engine, () => {
    engine.rule("a name is resolved once for all that waits for it, in order", async (trial) => {
      const sink = await openDatagrams(trial);
      const { port } = placeOf(sink);
      let asked = 0;
      trial.names.set("sink.test", async () => {
        asked++;
        await trial.sleep(10);
        return ["127.0.0.1"];
      });
      const socket = await openDatagrams(trial);
      for (let count = 0; count < 20; count++) {
        assert.equal(socket.sendDatagram(`${count}`, { host: "sink.test", port }), true);
      }
      assert.equal(socket.outboundSize, 30);
      await trial.until(() => sink.received.length === 20, "all of them");
      socket.sendDatagram("20", { host: "SINK.test", port });
      await trial.until(() => sink.received.length === 21, "one more");
      assert.deepEqual(
        sink.texts,
        Array.from({ length: 21 }, (_, index) => `${index}`),
      );
      assert.equal(asked, 1);
      assert.equal(socket.outboundSize, 0);
    });

    engine.rule("a name that is being resolved delays its own datagrams alone", async (trial) => {
      const slow = pending<readonly string[]>();
      trial.names.set("slow.test", () => slow.promise);
      trial.names.set("fast.test", async () => ["127.0.0.1"]);
      const sink = await openDatagrams(trial);
      const { port } = placeOf(sink);
      const socket = await openDatagrams(trial);
      socket.sendDatagram("slow", { host: "slow.test", port });
      socket.sendDatagram("fast", { host: "fast.test", port });
      socket.sendDatagram("literal", { host: "127.0.0.1", port });
      await trial.until(() => sink.received.length === 2, "both others");
      assert.deepEqual(new Set(sink.texts), new Set(["fast", "literal"]));
      slow.resolve(["127.0.0.1"]);
      await trial.until(() => sink.received.length === 3, "the slow one");
    });

    engine.rule("a name that is not there is told for each datagram, and the socket goes on", async (trial) => {
      const echo = await openEcho(trial);
      const socket = await openDatagrams(trial);
      socket.sendDatagram("one", { host: "nowhere.test", port: 9 });
      socket.sendDatagram("two", { host: "nowhere.test", port: 10 });
      socket.sendDatagram("hello", placeOf(echo));
      await trial.until(() => socket.failures.length === 2 && socket.received.length === 1, "two failures, one answer");
      assert.deepEqual(
        socket.failures.map(({ error, address }) => [error.code, address]),
        [
          ["ENOTFOUND", { host: "nowhere.test", port: 9 }],
          ["ENOTFOUND", { host: "nowhere.test", port: 10 }],
        ],
      );
      assert.equal(socket.counters.failed, 2);
    });

    engine.rule("a name leads to the family that the socket has", async (trial) => {
      trial.names.set("both.test", async () => ["::1", "127.0.0.1"]);
      trial.names.set("six.test", async () => ["::1"]);
      const echo = await openEcho(trial);
      const socket = await openDatagrams(trial);
      socket.sendDatagram("four", { host: "both.test", port: placeOf(echo).port });
      await trial.until(() => socket.received.length === 1, "the answer");
      socket.sendDatagram("six", { host: "six.test", port: 9 });
      await trial.until(() => socket.failures.length === 1, "the failure");
      assert.equal(socket.failures[0]?.error.code, "EAFNOSUPPORT");
    });

    engine.rule("localhost needs no resolver", async (trial) => {
      const echo = await openEcho(trial);
      const socket = await openDatagrams(trial);
      socket.sendDatagram("x", { host: "localhost", port: placeOf(echo).port });
      await trial.until(() => socket.received.length === 1, "the answer");
    });

    engine.rule(
      "above the limit the newest is dropped and counted, and drained comes when there is room",
      async (trial) => {
        const answer = pending<readonly string[]>();
        trial.names.set("slow.test", () => answer.promise);
        const sink = await openDatagrams(trial);
        const at = { host: "slow.test", port: placeOf(sink).port };
        const socket = await openDatagrams(trial, {}, { outboundLimit: 4000 });
        const results = Array.from({ length: 10 }, (_, index) =>
          socket.sendDatagram(Buffer.alloc(936, `${index}`), at),
        );
        assert.deepEqual(results, [true, true, true, true, false, false, false, false, false, false]);
        assert.equal(socket.counters.dropped, 6);
        await trial.settle();
        assert.ok(!socket.log.includes("drained"), "nothing has left");
        answer.resolve(["127.0.0.1"]);
        await trial.until(() => socket.log.includes("drained") && sink.received.length === 4, "drained");
        await trial.settle();
        assert.deepEqual(
          sink.texts.map((text) => text[0]),
          ["0", "1", "2", "3"],
        );
        assert.equal(socket.log.filter((entry) => entry === "drained").length, 1);
      },
    );

    engine.rule("the names one socket asks for at a time are bounded", async (trial) => {
      const socket = await openDatagrams(trial, {}, { outboundLimit: Number.POSITIVE_INFINITY });
      const answer = pending<readonly string[]>();
      for (let count = 0; count < 1100; count++) trial.names.set(`n${count}.test`, () => answer.promise);
      const results = Array.from({ length: 1100 }, (_, count) =>
        socket.sendDatagram("x", { host: `n${count}.test`, port: 9 }),
      );
      assert.equal(results.filter((each) => each).length, 1024);
      assert.equal(socket.counters.dropped, 76);
      answer.resolve([]);
      await trial.until(() => socket.failures.length === 1024, "all fail");
    });

    engine.rule("closing after writing waits for names, as long as lingerTimeout says", async (trial) => {
      const sink = await openDatagrams(trial);
      for (const name of ["sink.test", "too.sink.test"]) {
        trial.names.set(name, async () => {
          await trial.sleep(20);
          return ["127.0.0.1"];
        });
      }
      trial.names.set("never.test", () => new Promise(() => {}));
      const socket = await openDatagrams(trial);
      socket.sendDatagram("x", { host: "sink.test", port: placeOf(sink).port });
      socket.closeConnectionAfterWriting();
      assert.deepEqual(await socket.closed, { kind: "local-close", lingerExpired: false });
      await trial.until(() => sink.received.length === 1, "it was sent");
      const patient = await openDatagrams(trial, {}, { lingerTimeout: 50 });
      patient.sendDatagram("x", { host: "never.test", port: placeOf(sink).port });
      patient.closeConnectionAfterWriting();
      assert.deepEqual(await patient.closed, { kind: "local-close", lingerExpired: true });
      const unbounded = await openDatagrams(trial, {}, { lingerTimeout: 0 });
      unbounded.sendDatagram("x", { host: "too.sink.test", port: placeOf(sink).port });
      unbounded.closeConnectionAfterWriting();
      assert.deepEqual(await unbounded.closed, { kind: "local-close", lingerExpired: false });
      await trial.until(() => sink.received.length === 2, "it was sent, too");
      const late = await openDatagrams(trial, {}, { lingerTimeout: 0 });
      late.sendDatagram("x", { host: "never.test", port: placeOf(sink).port });
      late.lifetimeTimeout = 20;
      assert.equal((await late.closed).kind, "timeout");
    });

    engine.rule("a socket that ends aborts the resolver and drops what waits", async (trial) => {
      trial.names.set("never.test", () => new Promise(() => {}));
      const socket = await openDatagrams(trial);
      socket.sendDatagram("x", { host: "never.test", port: 9 });
      socket.closeConnection();
      await socket.closed;
      assert.equal(socket.outboundSize, 0);
      assert.deepEqual(socket.failures, []);
    });

    engine.rule("a socket is bound to, and connected to, what a name means", async (trial) => {
      trial.names.set("here.test", async () => ["127.0.0.1"]);
      trial.names.set("both.test", async () => ["::1", "127.0.0.1"]);
      const echo = await openEcho(trial, { host: "here.test" });
      assert.equal(placeOf(echo).host, "127.0.0.1");
      const remote = { host: "both.test", port: placeOf(echo).port };
      const socket = await openDatagrams(trial, {}, { remote });
      socket.sendData("x");
      await trial.until(() => socket.received.length === 1, "the answer");
      assert.deepEqual(socket.remoteAddress, echo.localAddress);
      await assert.rejects(openDatagrams(trial, {}, { host: "nowhere.test" }), { code: "ENOTFOUND" });
      await assert.rejects(openDatagrams(trial, {}, { host: "::1", remote: { host: "here.test", port: 9 } }), {
        code: "EAFNOSUPPORT",
      });
      const local = await trial.reactor.openDatagramSocket({ host: "localhost", port: 0 }, DatagramRecorder);
      assert.ok(["::1", "127.0.0.1"].includes(placeOf(local).host));
    });
  });
});
