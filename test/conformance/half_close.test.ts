import assert from "node:assert/strict";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";

const halfOpen = { allowHalfOpen: true };
const BIG = 4_000_000;

onEveryEngine("half-close", (engine) => {
  engine.ruleOnEach("halfClose ends one direction: the peer may answer afterwards", async (trial) => {
    const { client, server } = await trial.pair({
      connect: halfOpen,
      listen: halfOpen,
      server: {
        receiveEnd: (me) => {
          trial.reactor.addTimer(30, () => {
            me.sendData("the answer");
            me.halfClose();
          });
        },
      },
    });
    client.sendData("the request");
    client.halfClose();
    await trial.allUnbound();
    assert.equal(server.text, "the request");
    assert.equal(client.text, "the answer");
    assert.deepEqual(server.order, ["postInit", "receiveData", "receiveEnd", "unbind peer-closed"]);
    assert.deepEqual(client.order.slice(-2), ["receiveEnd", "unbind peer-closed"]);
  });

  engine.ruleOnEach("with allowHalfOpen nothing ends until the handler decides", async (trial) => {
    const { client, server } = await trial.pair({ listen: halfOpen });
    client.halfClose();
    await trial.until(() => server.ends === 1, "the FIN arrives");
    await trial.settle();
    assert.equal(server.state, "open");
    assert.equal(client.state, "open");
    assert.equal(server.ends, 1, "it is told once");
    server.closeConnection();
    await trial.allUnbound();
    assert.equal(server.kind, "local-close");
    assert.equal(client.kind, "peer-closed");
  });

  engine.ruleOnEach("what sendData takes behind the peer's FIN arrives", async (trial) => {
    const pairs = await Promise.all(Array.from({ length: 20 }, () => trial.pair({ connect: halfOpen })));
    const taken = pairs.map(() => 0);
    for (const { client } of pairs) client.halfClose();
    // As long as it takes what is said, and no longer than the test wants: turns of Node's, between those of the reactor.
    for (let round = 0; round < 200 && pairs.some(({ server }) => server.state === "open"); round++) {
      pairs.forEach(({ server }, at) => {
        if (server.state === "open" && server.sendData("x")) taken[at] = (taken[at] as number) + 1;
      });
      await new Promise(setImmediate);
    }
    await trial.allUnbound();
    assert.deepEqual(
      pairs.map(({ client }) => client.bytes),
      taken,
    );
    for (const { server } of pairs) assert.equal(server.kind, "peer-closed");
  });

  engine.ruleOnEach("without it the peer's FIN ends the connection after everything queued was sent", async (trial) => {
    // More than the kernel's buffers of both ends can grow to on a connection that has been busy before.
    const answer = pattern(6 * BIG);
    const { client, server } = await trial.pair({
      connect: halfOpen,
      server: { receiveData: (me) => void me.sendData(answer) },
    });
    client.pause();
    client.sendData("x");
    client.halfClose();
    await trial.until(() => server.outboundSize > 0, "the answer is under way");
    await trial.settle();
    assert.equal(server.state, "open", "the FIN is here, the output is not out");
    client.resume();
    await trial.allUnbound();
    sameBytes(client.received, answer);
    assert.equal(server.kind, "peer-closed");
    assert.equal(server.ends, 0, "receiveEnd is for half-open connections");
  });

  engine.ruleOnEach(
    "what is sent when the peer has ended and all is out may be too late, and is no error",
    async (trial) => {
      const { client, server } = await trial.pair({
        connect: halfOpen,
        listen: { highWaterMark: 1000, lowWaterMark: 0 },
        server: {
          receiveData: (me) => void me.sendData(pattern(100_000)),
          drained: (me) => void me.sendData(pattern(100_000, me.bytesOut)),
        },
      });
      client.sendData("x");
      client.halfClose();
      await trial.allUnbound();
      sameBytes(client.received, pattern(client.bytes));
      assert.ok(client.bytes >= 100_000, "what was queued when the FIN came");
      assert.deepEqual([client.kind, server.kind], ["peer-closed", "peer-closed"]);
    },
  );

  engine.ruleOnEach("what is answered in the turn of the FIN arrives", async (trial) => {
    const { client } = await trial.pair({
      connect: halfOpen,
      server: { receiveData: (me, data) => me.sendData(data) },
    });
    client.sendData("last words");
    client.halfClose();
    await trial.allUnbound();
    assert.equal(client.text, "last words");
  });

  engine.ruleOnEach("the FIN goes behind all that was sent, however much", async (trial) => {
    const all = pattern(BIG);
    const { client, server } = await trial.pair({ listen: halfOpen });
    server.pause();
    client.sendData(all.subarray(0, 10));
    client.sendData(all.subarray(10));
    client.halfClose();
    await trial.settle();
    server.resume();
    await trial.until(() => server.ends === 1, "the FIN");
    sameBytes(server.received, all);
  });

  engine.ruleOnEach("after halfClose sendData throws, and input goes on", async (trial) => {
    const { client, server } = await trial.pair({ listen: halfOpen });
    client.halfClose();
    client.halfClose();
    assert.throws(() => client.sendData("more"), { name: "StateError", code: "ERR_EM_WRITE_AFTER_END" });
    assert.equal(client.state, "open");
    await trial.until(() => server.ends === 1, "the FIN");
    for (const part of ["a", "b", "c"]) {
      server.sendData(part);
      await trial.settle(5);
    }
    await trial.until(() => client.text === "abc", "the input");
    assert.throws(() => client.sendData("more"), { code: "ERR_EM_WRITE_AFTER_END" });
  });

  engine.ruleOnEach("halfClose before the connection is open", async (trial) => {
    const served = await trial.serve({}, halfOpen);
    const client = trial.dial(served, {
      postInit: (me) => {
        me.sendData("early");
        me.halfClose();
        assert.throws(() => me.sendData("x"), { code: "ERR_EM_WRITE_AFTER_END" });
      },
    });
    const server = await served.peer();
    await trial.until(() => server.ends === 1, "the FIN");
    assert.equal(server.text, "early");
    server.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(client.kind, "peer-closed");
  });

  engine.ruleOnEach("both sides half-close at once", async (trial) => {
    const { client, server } = await trial.pair({ connect: halfOpen, listen: halfOpen });
    client.sendData("from the client");
    server.sendData("from the server");
    client.halfClose();
    server.halfClose();
    await trial.allUnbound();
    assert.equal(client.text, "from the server");
    assert.equal(server.text, "from the client");
    for (const each of [client, server]) {
      assert.equal(each.kind, "peer-closed");
      assert.ok(each.ends <= 1);
    }
  });

  engine.ruleOnEach("the peer's FIN behind our halfClose ends the connection", async (trial) => {
    const { client, server } = await trial.pair({ listen: halfOpen });
    client.halfClose();
    await trial.until(() => server.ends === 1, "the FIN");
    server.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(client.kind, "peer-closed");
    assert.equal(server.kind, "local-close");
  });

  engine.ruleOnEach("bytes and the FIN in one go come in order", async (trial) => {
    const served = await trial.serve({}, halfOpen);
    for (let count = 0; count < 30; count++) {
      trial.dial(served, {
        connectionCompleted: (me) => {
          me.sendData("short");
          me.closeConnectionAfterWriting();
        },
      });
    }
    await trial.until(() => served.peers.filter(({ ends }) => ends === 1).length === 30, "every FIN");
    for (const peer of served.peers) {
      assert.deepEqual(peer.order, ["postInit", "receiveData", "receiveEnd"]);
      assert.equal(peer.text, "short");
      peer.closeConnection();
    }
  });

  engine.ruleOnEach("while paused the FIN waits, and then receiveEnd comes behind the bytes", async (trial) => {
    const { client, server } = await trial.pair({ listen: halfOpen });
    server.pause();
    client.sendData("held");
    client.halfClose();
    await trial.settle();
    assert.deepEqual(server.log, ["postInit"]);
    server.sendData("writing goes on");
    await trial.until(() => client.text === "writing goes on", "output while paused");
    server.resume();
    await trial.until(() => server.ends === 1, "the FIN");
    assert.deepEqual(server.order, ["postInit", "receiveData", "receiveEnd"]);
  });

  engine.ruleOnStreams("a file under way when the FIN comes is sent to its end", async (trial) => {
    const { writeFileSync } = await import("node:fs");
    const path = trial.path("file");
    const content = pattern(BIG);
    writeFileSync(path, content);
    const { client, server } = await trial.pair({
      connect: halfOpen,
      server: { receiveData: (me) => me.sendFileData(path).then((size) => assert.equal(size, BIG)) },
    });
    client.pause();
    client.sendData("x");
    client.halfClose();
    await trial.until(() => server.bytes === 1, "the request");
    await trial.settle();
    client.resume();
    await trial.allUnbound();
    sameBytes(client.received, content);
    assert.equal(server.kind, "peer-closed");
  });

  engine.ruleOnStreams("a reset behind the peer's FIN is noticed", async (trial) => {
    const { client, server } = await trial.pair({ listen: halfOpen });
    client.halfClose();
    await trial.until(() => server.ends === 1, "the FIN");
    client.abort();
    await trial.allUnbound(client);
    const writer = trial.reactor.addPeriodicTimer(1, () => server.sendData("x"));
    await trial.allUnbound();
    writer.cancel();
    assert.equal(server.kind, "peer-reset");
  });
});
