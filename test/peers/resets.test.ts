import assert from "node:assert/strict";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { RawPeer } from "../support/raw_peer.js";
import type { Recorder } from "../support/recorder.js";

/** Linux's numbers. */
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const MiB = 1024 * 1024;

function assertReset(recorder: Recorder): void {
  const { reason } = recorder;
  assert.equal(reason?.kind, "peer-reset");
  assert.ok(reason?.kind === "peer-reset" && ["ECONNRESET", "EPIPE"].includes(reason.error.code));
}

onEveryEngine("resets", (engine) => {
  engine.rule("an idle connection that is reset ends with ECONNRESET", async (trial) => {
    const served = await trial.serve();
    await using peer = new RawPeer();
    await peer.connect(served.at);
    const server = await served.peer();
    await peer.reset();
    await trial.allUnbound(server);
    assert.deepEqual(server.order, ["postInit", "unbind peer-reset"]);
    assert.ok(server.reason?.kind === "peer-reset" && server.reason.error.code === "ECONNRESET");
  });

  engine.rule("a peer that resets in the middle of what we send", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.sendData(pattern(8 * MiB)) });
    await using peer = new RawPeer();
    await peer.connect(served.at, { receiveBuffer: 64 * 1024 });
    assert.equal((await peer.receive(100_000)).bytes, 100_000);
    const server = await served.peer();
    assert.ok(server.outboundSize > 0, "there is more to send");
    await peer.reset();
    await trial.allUnbound(server);
    assertReset(server);
    assert.ok(server.bytesOut >= 100_000 && server.bytesOut < 8 * MiB, `${server.bytesOut} bytes went out`);
  });

  engine.rule("a peer that resets in the middle of what it sends", async (trial) => {
    const served = await trial.serve({ keep: false });
    await using peer = new RawPeer();
    await peer.connect(served.at);
    await peer.send("x".repeat(65_536), { times: 16 });
    const server = await served.peer();
    await trial.until(() => server.bytes > 0, "the first bytes");
    await peer.reset();
    await trial.allUnbound(server);
    // libuv takes a reset that comes together with data for an end, now and then: portable documents it.
    if (engine.name === "portable" && server.kind === "peer-closed") return;
    assertReset(server);
    assert.ok(server.bytes <= MiB);
  });

  engine.rule("a peer that closes with our bytes unread resets what we send", async (trial) => {
    const served = await trial.serve({ receiveData: (me) => me.sendData(pattern(4 * MiB)) });
    await using peer = new RawPeer();
    await peer.connect(served.at, { receiveBuffer: 16 * 1024 });
    await peer.send("go");
    const server = await served.peer();
    await trial.until(() => server.bytesOut > 0, "the first of our bytes are out");
    await peer.close();
    await trial.allUnbound(server);
    assertReset(server);
  });

  engine.rule(
    "what a peer says before it closes with our bytes unread comes, also behind a write that fails",
    async (trial) => {
      const served = await trial.serve({ postInit: (me) => me.sendData("never read") });
      await using peer = new RawPeer();
      await peer.connect(served.at);
      const server = await served.peer();
      await trial.until(() => server.bytesOut > 0, "our bytes are out");
      // The loop is held up until the peer has answered and is gone; what is then written fails before anything is read.
      const words = "too large, ".repeat(3_000);
      const gone = Promise.all([peer.send(words), peer.close()]);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      server.sendData("more");
      await gone;
      await trial.allUnbound(server);
      // libuv may give up on a connection whose write has failed before it reads: portable documents it.
      const isComplete = server.text === words || (engine.name === "portable" && server.text === "");
      assert.ok(isComplete, `${server.text.length} characters came`);
      assertReset(server);
      assert.equal(server.sendData("and more"), false);
    },
  );

  engine.ruleNeeding(
    "bufferSizes",
    "however much that was, over TLS too",
    async (trial) => {
      for (const medium of ["tcp", "tls"] as const) {
        const { client, server } = await trial.over(medium).pair({ listen: { receiveBufferSize: MiB } });
        await trial.settle();
        const words = pattern(300_000);
        // In one go: the words are with the server's kernel, and the client is gone, before the server has read.
        client.sendData(words);
        client.abort();
        server.sendData(pattern(100_000));
        await trial.allUnbound(client, server);
        assertReset(server);
        // A record of which a part was on its way can not be read.
        const least = client.bytesOut - (medium === "tls" ? 16_384 : 0);
        assert.ok(client.bytesOut > 200_000, "the kernel has taken enough to see");
        assert.ok(server.bytes >= least, `${server.bytes} of ${client.bytesOut} bytes came over ${medium}`);
        sameBytes(server.received, words.subarray(0, server.bytes));
      }
    },
    (trial) => trial.serve({}, { receiveBufferSize: MiB }),
  );

  engine.rule("a Unix peer that has only stopped reading ends what writes to it", async (trial) => {
    const served = await trial.over("unix").serve();
    await using peer = new RawPeer();
    await peer.connect(served.at);
    const server = await served.peer();
    await peer.stopReading();
    server.sendData("to nobody");
    await trial.allUnbound(server);
    assertReset(server);
  });

  engine.ruleOnStreams("asking for the socket's error takes nothing from the reason", async (trial) => {
    const { client, server } = await trial.pair();
    await trial.settle();
    client.abort();
    // The reset is there, and nothing was read since.
    const asked = [server.getSocketError(), server.getSocketError()];
    await trial.allUnbound(client, server);
    assertReset(server);
    if (!engine.has("socketOptions")) return;
    for (const error of asked) assert.equal(error?.code, "ECONNRESET");
    const other = await trial.pair();
    await trial.settle();
    other.client.abort();
    assert.notEqual(other.server.getSockOpt(SOL_SOCKET, SO_ERROR).readInt32LE(), 0);
    await trial.allUnbound(other.client, other.server);
    assertReset(other.server);
  });

  engine.ruleOnStreams("nor does it where reading is paused", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    await trial.settle();
    client.abort();
    const error = server.getSocketError();
    if (engine.has("socketOptions")) assert.equal(error?.code, "ECONNRESET");
    if (!engine.has("promptReset")) server.resume();
    await trial.allUnbound(client, server);
    assertReset(server);
  });

  for (const allowHalfOpen of [false, true]) {
    const who = allowHalfOpen ? "half-open connection" : "connection";
    engine.rule(
      `a ${who} whose peer ends and is gone before either is noticed ends, with output left`,
      async (trial) => {
        const served = await trial.serve({ postInit: (me) => me.sendData(pattern(8 * MiB)) }, { allowHalfOpen });
        await using peer = new RawPeer();
        await peer.connect(served.at, { receiveBuffer: 16 * 1024 });
        const server = await served.peer();
        await trial.until(() => server.bytesOut > 0, "the first of our bytes are out");
        await trial.settle(50);
        // The loop is held up until the peer has ended and closed with our bytes unread.
        const gone = Promise.all([peer.shutdown(), peer.close()]);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
        await gone;
        await trial.allUnbound(server);
        assertReset(server);
      },
    );
  }

  engine.rule("a reset while closing after writing ends the wait", async (trial) => {
    const served = await trial.serve({
      postInit: (me) => {
        me.sendData(pattern(8 * MiB));
        me.closeConnectionAfterWriting();
      },
    });
    await using peer = new RawPeer();
    await peer.connect(served.at, { receiveBuffer: 16 * 1024 });
    assert.equal((await peer.receive(10_000)).bytes, 10_000);
    await peer.reset();
    const server = await served.peer();
    await trial.allUnbound(server);
    assertReset(server);
  });

  engine.rule("a reset while paused: at once with promptReset, else when reading goes on", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.pause() });
    await using peer = new RawPeer();
    await peer.connect(served.at);
    await peer.send("held back");
    const server = await served.peer();
    await trial.settle(50);
    await peer.reset();
    if (engine.has("promptReset")) {
      await trial.allUnbound(server);
      assert.equal(server.bytes, 0);
    } else {
      await trial.settle(100);
      assert.equal(server.bytes, 0);
      server.resume();
      await trial.allUnbound(server);
    }
    assertReset(server);
  });

  engine.rule("a hundred resets in one turn are a hundred unbinds", async (trial) => {
    const served = await trial.serve();
    const names = Array.from({ length: 100 }, (_, at) => `peer ${at}`);
    await using peer = new RawPeer();
    await peer.connect(served.at, { names });
    await trial.until(() => served.peers.length === names.length, "all are accepted");
    await peer.reset({ names });
    await trial.allUnbound(...served.peers);
    for (const server of served.peers) assertReset(server);
  });

  engine.rule("abort resets the peer", async (trial) => {
    const served = await trial.serve({ receiveData: (me) => me.abort() });
    await using peer = new RawPeer();
    await peer.connect(served.at);
    await peer.send("go");
    assert.equal((await peer.receive()).end, "ECONNRESET");
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.equal(server.kind, "local-abort");
  });
});
