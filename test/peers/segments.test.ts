import assert from "node:assert/strict";
import { onEveryEngine } from "../support/harness.js";
import { RawPeer } from "../support/raw_peer.js";

onEveryEngine("segments", (engine) => {
  engine.rule("a request in segments of one byte is the same request", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    await using peer = new RawPeer();
    await peer.connect(served.at);
    const text = Array.from({ length: 100 }, (_, at) => `${at} `).join("");
    await peer.sendBytes(text);
    assert.equal((await peer.receive(text.length)).text, text);
    await peer.close();
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.equal(server.text, text);
    assert.equal(server.kind, "peer-closed");
  });

  engine.rule("the last bytes come before the FIN that rides on them", async (trial) => {
    const served = await trial.serve();
    await using peer = new RawPeer();
    await peer.connect(served.at);
    await peer.sendWithFin("last words");
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.deepEqual(server.order, ["postInit", "receiveData", "unbind peer-closed"]);
    assert.equal(server.text, "last words");
  });

  engine.rule("bytes and FIN of a peer that was gone before it was accepted still come", async (trial) => {
    const served = await trial.serve();
    await using peer = new RawPeer();
    const done = peer
      .connect(served.at)
      .then(() => peer.send("was here"))
      .then(() => peer.close());
    // Busy meanwhile: the kernel alone deals with the peer.
    trial.block(150);
    await done;
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.deepEqual(server.order, ["postInit", "receiveData", "unbind peer-closed"]);
    assert.equal(server.text, "was here");
  });

  engine.rule("a pause between the data and its FIN changes nothing", async (trial) => {
    const served = await trial.serve({}, { allowHalfOpen: true });
    await using peer = new RawPeer();
    await peer.connect(served.at);
    await peer.send("data");
    const server = await served.peer();
    await trial.until(() => server.text === "data", "the data");
    assert.equal(server.ends, 0);
    await peer.shutdown();
    await trial.until(() => server.ends === 1, "the FIN");
    server.closeConnection();
    await trial.allUnbound(server);
  });

  engine.rule("urgent data does no harm, and the bytes around it arrive", async (trial) => {
    const served = await trial.serve();
    await using peer = new RawPeer();
    await peer.connect(served.at);
    await peer.send("before");
    const server = await served.peer();
    await trial.until(() => server.text === "before", "what was sent before");
    const cpu = process.cpuUsage();
    await peer.urgent("!");
    await trial.settle(300);
    const { user, system } = process.cpuUsage(cpu);
    assert.ok(
      user + system < 200_000,
      `${(user + system) / 1000} ms of CPU in 300 ms: urgent data makes the loop spin`,
    );
    await peer.send("after");
    await trial.until(() => server.text.endsWith("after"), "what was sent behind");
    // Whether the urgent byte itself is in the stream is the kernel's affair (SO_OOBINLINE is off: it is not).
    assert.equal(server.text, "beforeafter");
    await peer.close();
    await trial.allUnbound(server);
  });

  engine.rule("tiny receive windows slow the answer down and lose nothing", async (trial) => {
    const text = "0123456789".repeat(30_000);
    const served = await trial.serve({
      postInit: (me) => {
        me.sendData(text);
        me.closeConnectionAfterWriting();
      },
    });
    await using peer = new RawPeer();
    await peer.connect(served.at, { receiveBuffer: 2048 });
    const answer = await peer.receive();
    assert.equal(answer.bytes, text.length);
    assert.equal(answer.end, "fin");
    await peer.close();
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: false });
  });
});
