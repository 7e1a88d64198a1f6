import assert from "node:assert/strict";
import { Connection, DatagramSocket, relay } from "eventmachine";
import { DatagramRecorder, type DatagramScript, datagramRules, openDatagrams, placeOf } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

/** A socket that clients send to, and one that is connected to a service. */
async function chain(trial: Trial, script: DatagramScript = {}) {
  const service = await openDatagrams(trial);
  const front = await openDatagrams(trial, script);
  const back = await openDatagrams(trial, {}, { remote: placeOf(service) });
  const client = await openDatagrams(trial, {}, { remote: placeOf(front) });
  return { client, front, back, service };
}

class Gone extends DatagramRecorder {
  readonly targets: string[] = [];

  override proxyTargetUnbound(reason: { kind: string }): void {
    this.targets.push(reason.kind);
  }
}

onEveryEngine("relays of datagrams", (engine: EngineSuite) => {
  datagramRules(engine, () => {
    engine.rule("each is passed on whole, empty ones too, until the relay is stopped", async (trial) => {
      const { client, front, back, service } = await chain(trial);
      front.proxyIncomingTo(back);
      const big = "x".repeat(40_000);
      for (const text of ["one", "", big]) client.sendData(text);
      await trial.until(() => service.received.length === 3, "three datagrams");
      assert.deepEqual(service.texts, ["one", "", big]);
      assert.deepEqual(service.senders[0], back.localAddress);
      assert.equal(front.proxiedBytes, 40_003);
      assert.equal(front.bytesIn, 40_003);
      assert.deepEqual(front.received, []);
      front.stopProxying();
      assert.equal(front.proxiedBytes, 0);
      client.sendData("mine");
      await trial.until(() => front.received.length === 1, "the handler's own again");
      assert.deepEqual(front.texts, ["mine"]);
      front.stopProxying();
    });

    engine.rule("several sockets may feed one, which sends for itself as well", async (trial) => {
      const { client, front, back, service } = await chain(trial);
      const second = await openDatagrams(trial);
      front.proxyIncomingTo(back);
      second.proxyIncomingTo(back);
      client.sendData("a");
      await trial.until(() => service.received.length === 1, "the first");
      (await openDatagrams(trial)).sendDatagram("b", placeOf(second));
      await trial.until(() => service.received.length === 2, "the second");
      back.sendData("c");
      await trial.until(() => service.received.length === 3, "its own");
      assert.deepEqual(service.texts, ["a", "b", "c"]);
    });

    engine.rule("relay goes both ways, and ends with either socket", async (trial) => {
      const service = await openDatagrams(trial, { receiveData: (me, data) => me.sendData(`re: ${data}`) });
      const client = await openDatagrams(trial);
      const front = await openDatagrams(trial, {}, { remote: placeOf(client) });
      const back = await openDatagrams(trial, {}, { remote: placeOf(service) });
      const outcome = relay(front, back, { received: Buffer.from("zero") });
      client.sendDatagram("one", placeOf(front));
      await trial.until(() => client.received.length === 2, "both answers");
      assert.deepEqual(client.texts, ["re: zero", "re: one"]);
      back.closeConnection();
      const { aToB, bToA } = await outcome;
      assert.deepEqual([aToB.bytes, bToA.bytes], [7, 15]);
      for (const { end } of [aToB, bToA]) assert.ok(typeof end === "object" && end.kind === "local-close");
      await trial.until(() => front.reasons.length === 1, "the other follows");
    });

    engine.rule("relay ends where nothing moves, and where both directions are stopped", async (trial) => {
      const [left, right] = [await openDatagrams(trial), await openDatagrams(trial)];
      const ends = [
        await openDatagrams(trial, {}, { remote: placeOf(left) }),
        await openDatagrams(trial, {}, { remote: placeOf(right) }),
      ] as const;
      const outcome = relay(...ends);
      for (const end of ends) end.stopProxying();
      assert.deepEqual(await outcome, { aToB: { bytes: 0, end: "stopped" }, bToA: { bytes: 0, end: "stopped" } });
      const { aToB } = await relay(...ends, { idleTimeout: 40 });
      assert.ok(typeof aToB.end === "object" && aToB.end.kind === "timeout");
    });

    engine.rule("when the target ends the input is the handler's own again", async (trial) => {
      const { client, back } = await chain(trial);
      const front = await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, Gone);
      front.proxyIncomingTo(back);
      back.closeConnectionAfterWriting();
      await back.closed;
      assert.deepEqual(front.targets, ["local-close"]);
      client.closeConnection();
      (await openDatagrams(trial)).sendDatagram("mine", placeOf(front));
      await trial.until(() => front.received.length === 1, "what comes now");
      front.proxyIncomingTo(await openDatagrams(trial, {}, { remote: placeOf(front) }));
      front.closeConnection();
      await front.closed;
    });

    engine.rule("pause on the source holds as ever", async (trial) => {
      const { client, front, back, service } = await chain(trial);
      front.proxyIncomingTo(back);
      front.pause();
      client.sendData("later");
      await trial.settle();
      assert.deepEqual(service.received, []);
      front.resume();
      await trial.until(() => service.received.length === 1, "after resume");
    });

    engine.ruleNeeding(
      "unixDatagrams",
      "while the target is full the source is not read, and nothing is lost",
      async (trial) => {
        const service = await openDatagrams(trial, {}, { path: trial.path() });
        const front = await openDatagrams(trial, {}, { path: trial.path() });
        const remote = { path: (service.localAddress as { path: string }).path };
        const back = await openDatagrams(trial, {}, { path: trial.path(), remote });
        front.proxyIncomingTo(back, { bufferSize: 20_000 });
        service.pause();
        const client = await openDatagrams(trial, {}, { path: "" });
        const texts = Array.from({ length: 400 }, (_, i) => `${i}`.padStart(1000));
        const to = { path: (front.localAddress as { path: string }).path };
        for (const text of texts) client.sendDatagram(text, to);
        await trial.until(() => back.outboundSize >= 20_000, "a full target");
        await trial.settle();
        assert.ok(back.outboundSize < 20_000 + 64 * 1000, `${back.outboundSize} bytes wait`);
        service.resume();
        await trial.until(() => service.received.length === 400, "all of them");
        assert.deepEqual(service.texts, texts);
        assert.equal(back.counters.dropped, 0);
      },
      (trial) => openDatagrams(trial, {}, { path: trial.path() }),
    );

    engine.rule("what cannot be relayed is refused", async (trial) => {
      const { front, back } = await chain(trial);
      const { client } = await trial.pair({});
      assert.throws(() => front.proxyIncomingTo(client), {
        code: "ERR_EM_INVALID_ARGUMENT",
        message: /datagram socket/,
      });
      assert.throws(() => client.proxyIncomingTo(front), { code: "ERR_EM_INVALID_ARGUMENT", message: /stream/ });
      assert.throws(() => front.proxyIncomingTo(front), { code: "ERR_EM_INVALID_ARGUMENT" });
      assert.throws(() => back.proxyIncomingTo(front), { code: "ERR_EM_NO_DESTINATION" });
      assert.throws(() => front.proxyIncomingTo(back, { length: 3 }), {
        code: "ERR_EM_INVALID_ARGUMENT",
        message: /length/,
      });
      assert.throws(() => front.proxyIncomingTo(back, { bufferSize: 0 }), { code: "ERR_EM_INVALID_ARGUMENT" });
      await assert.rejects(relay(front, back), { code: "ERR_EM_NO_DESTINATION" });
      assert.equal(front.proxiedBytes, 0);
      front.proxyIncomingTo(back);
      assert.throws(() => front.proxyIncomingTo(back), { code: "ERR_EM_RELAYING" });
      back.closeConnection();
      front.stopProxying();
      assert.throws(() => front.proxyIncomingTo(back), { code: "ERR_EM_CLOSED" });
    });

    engine.rule("one class may do so for streams and datagrams", async (trial) => {
      const { client, back, service } = await chain(trial);
      const front = await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, Connection);
      front.proxyIncomingTo(back);
      client.closeConnection();
      (await openDatagrams(trial)).sendDatagram("x", placeOf(front));
      await trial.until(() => service.received.length === 1, "the datagram");
      assert.ok(!(front instanceof DatagramSocket));
    });
  });
});
