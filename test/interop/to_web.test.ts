import assert from "node:assert/strict";
import { TransformStream } from "node:stream/web";
import { type Connection, EventMachineError, toDuplex, toWeb } from "eventmachine";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import type { Served, Trial } from "../support/trial.js";

function plain(trial: Trial, served: Served): Connection {
  return trial.reactor.connect(served.at as { host: string; port: number });
}

async function bytesOf(readable: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readable) chunks.push(chunk);
  return Buffer.concat(chunks);
}

onEveryEngine("web streams", (engine) => {
  engine.rule("bytes and text go out, the echo comes in, and both ends end the connection", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    const connection = plain(trial, served);
    const { readable, writable } = toWeb(connection);
    const sent = pattern(3_000_000);
    const writer = writable.getWriter();
    const writing = (async () => {
      await writer.write("text, ");
      for (let at = 0; at < sent.length; at += 100_000) await writer.write(sent.subarray(at, at + 100_000));
      await writer.close();
    })();
    sameBytes(await bytesOf(readable), Buffer.concat([Buffer.from("text, "), sent]));
    await writing;
    assert.equal((await connection.closed).kind, "peer-closed");
    await trial.allUnbound();
  });

  engine.rule("a server's end piped into itself is an echo", async (trial) => {
    const served = await trial.serve({
      postInit: (me) => {
        const { readable, writable } = toWeb(me);
        readable
          .pipeThrough(new TransformStream())
          .pipeTo(writable)
          .catch(() => {});
      },
    });
    const sent = pattern(2_000_000);
    const client = trial.dial(served, {}, { allowHalfOpen: true });
    client.sendData(sent);
    client.halfClose();
    await trial.allUnbound();
    sameBytes(client.received, sent);
  });

  engine.rule("a reader that stops makes the writer wait", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.pause() });
    const connection = plain(trial, served);
    const writer = toWeb(connection).writable.getWriter();
    let written = 0;
    const writing = (async () => {
      for (;;) {
        await writer.write(new Uint8Array(100_000));
        written += 100_000;
      }
    })();
    await trial.settle(300);
    const stood = written;
    await trial.settle(100);
    assert.equal(written, stood, "it waits");
    assert.ok(stood < 50_000_000);
    connection.abort();
    await assert.rejects(writing, (error) => error instanceof EventMachineError && error.code === "ERR_EM_CLOSED");
    // Paused, the portable engine notices no reset.
    served.peers[0]?.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("a failure errors both", async (trial) => {
    const served = await trial.serve();
    const { readable, writable } = toWeb(plain(trial, served));
    const reading = bytesOf(readable);
    const writer = writable.getWriter();
    await writer.write("x");
    (await served.peer()).abort();
    await assert.rejects(reading, { code: "ECONNRESET" });
    await assert.rejects(writer.closed, { code: "ECONNRESET" });
    await trial.allUnbound();
    const refused = toWeb(trial.reactor.connect({ host: "127.0.0.1", port: await trial.deadPort() }));
    await assert.rejects(bytesOf(refused.readable), { code: "ECONNREFUSED" });
    await assert.rejects(refused.writable.getWriter().closed, { code: "ECONNREFUSED" });
  });

  engine.rule("abort resets; cancel discards what still comes", async (trial) => {
    const served = await trial.serve();
    const first = toWeb(plain(trial, served));
    const aborted = await served.peer(0);
    await first.writable.abort();
    await trial.allUnbound(aborted);
    assert.equal(aborted.kind, "peer-reset");
    await assert.rejects(
      bytesOf(first.readable).then(() => Promise.reject({ code: "ended" })),
      { code: "ended" },
    );
    const connection = plain(trial, served);
    const second = toWeb(connection);
    const peer = await served.peer(1);
    await second.readable.cancel();
    peer.sendData(pattern(4_000_000));
    const writer = second.writable.getWriter();
    await writer.write("still writing");
    await trial.until(() => peer.text === "still writing" && peer.outboundSize === 0, "both directions move");
    await writer.close();
    await trial.allUnbound();
    await connection.closed;
  });

  engine.rule("what is no chunk errors the stream, and one taker has the data", async (trial) => {
    const served = await trial.serve();
    const connection = plain(trial, served);
    const { writable } = toWeb(connection);
    assert.throws(() => toWeb(connection), { code: "ERR_EM_CLAIMED" });
    assert.throws(() => toDuplex(connection), { code: "ERR_EM_CLAIMED" });
    assert.throws(() => toWeb({} as Connection), { code: "ERR_EM_INVALID_ARGUMENT" });
    const writer = writable.getWriter();
    await assert.rejects(writer.write(7 as never), { code: "ERR_EM_INVALID_ARGUMENT" });
    writer.closed.catch(() => {});
    connection.closeConnection();
    await connection.closed;
    assert.throws(() => toWeb(connection), { code: "ERR_EM_CLOSED" });
    await trial.allUnbound();
  });
});
