import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import type { ServerOptions } from "eventmachine";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Recorder, Script } from "../support/recorder.js";
import { tlsError } from "../support/tls_error.js";
import type { Trial } from "../support/trial.js";

const SERVER = serverContext();
const CLIENT = clientContext();

/** A TLS server, and a client that speaks no TLS of its own accord. */
async function withPlainClient(
  trial: Trial,
  script: Script = {},
  options: ServerOptions = {},
): Promise<{ client: Recorder; server: Recorder }> {
  const served = await trial.serve(script, { tls: SERVER, ...options });
  const client = trial.dial(served);
  await client.opened;
  return { client, server: await served.peer() };
}

/** A TLS client, and a server that speaks none. */
async function withPlainServer(trial: Trial, script: Script = {}): Promise<{ client: Recorder; server: Recorder }> {
  const served = await trial.serve();
  const client = trial.dial(served, script, { tls: CLIENT });
  await client.opened;
  return { client, server: await served.peer() };
}

onEveryEngine("TLS, its ends", (engine) => {
  // In the handshake ---------------------------------------------------------------------------------------------

  engine.rule("a handshake that stalls ends at its deadline, on both sides", async (trial) => {
    const begun = trial.now();
    const patient = await withPlainClient(trial, {}, { tls: serverContext({ handshakeTimeout: 100 }) });
    await trial.allUnbound(patient.server);
    assert.ok(patient.server.reason?.kind === "timeout");
    assert.equal(patient.server.reason.deadline, "handshake");
    assert.equal(patient.server.reason.error.code, "ERR_EM_TIMEOUT");
    assert.ok(trial.now() - begun >= 90);
    const served = await trial.serve();
    const client = trial.dial(served, {}, { tls: clientContext({ handshakeTimeout: 100 }) });
    await assert.rejects(client.secured, { code: "ERR_EM_TIMEOUT" });
    await trial.allUnbound(client);
    assert.ok(client.reason?.kind === "timeout" && client.reason.deadline === "handshake");
    await trial.allUnbound();
  });

  engine.rule("the deadline is over with the handshake", async (trial) => {
    const served = await trial.serve({}, { tls: serverContext({ handshakeTimeout: 400 }) });
    const begun = trial.now();
    const client = trial.dial(served, {}, { tls: clientContext({ handshakeTimeout: 400 }) });
    const server = await served.peer();
    const ends = [client, server];
    await trial.until(
      () => ends.every(({ isSecure }) => isSecure) || ends.some(({ isUnbound }) => isUnbound),
      "secured",
    );
    if (ends.some(({ isUnbound }) => isUnbound)) {
      // A machine that stood still for as long as that.
      assert.ok(trial.now() - begun >= 400, "the deadline passed in the handshake, and not before its time");
      return;
    }
    await trial.sleep(450);
    assert.deepEqual([client.state, server.state], ["open", "open"]);
    client.closeConnection();
  });

  engine.rule("it covers the lookups of names and the judging of certificates", async (trial) => {
    const never = new Promise<never>(() => {});
    const served = await trial.serve({}, { tls: serverContext({ handshakeTimeout: 80, selectContext: () => never }) });
    trial.dial(served, {}, { tls: { context: CLIENT, serverName: "server.test" } });
    const server = await served.peer();
    await trial.allUnbound();
    assert.ok(server.reason?.kind === "timeout" && server.reason.deadline === "handshake");
    const other = await trial.serve({}, { tls: SERVER });
    const client = trial.dial(other, { sslVerifyPeer: () => never }, { tls: clientContext({ handshakeTimeout: 80 }) });
    await trial.allUnbound();
    assert.ok(client.reason?.kind === "timeout" && client.reason.deadline === "handshake");
  });

  engine.rule("a peer that speaks HTTP to a TLS server is told apart, and answered with an alert", async (trial) => {
    const { client, server } = await withPlainClient(trial);
    client.sendData("GET / HTTP/1.1\r\nHost: server.test\r\n\r\n");
    await trial.allUnbound();
    const error = tlsError(server.reason);
    assert.equal(error.code, "ERR_EM_TLS_HANDSHAKE");
    assert.match(error.reason ?? "", /http request/i);
    assert.equal(server.bytes, 0);
  });

  engine.rule("garbage instead of a handshake is a failure, in both roles", async (trial) => {
    const { client, server } = await withPlainClient(trial);
    client.sendData(pattern(1000));
    await trial.allUnbound();
    assert.equal(tlsError(server.reason).code, "ERR_EM_TLS_HANDSHAKE");
    assert.notEqual(tlsError(server.reason).reason, "");
    const other = await withPlainServer(trial);
    other.server.sendData("220 mail.example.test ESMTP\r\n");
    await trial.allUnbound();
    assert.equal(tlsError(other.client.reason).code, "ERR_EM_TLS_HANDSHAKE");
    assert.equal(other.client.bytes, 0);
  });

  engine.rule("a peer that ends in the handshake, and one that resets", async (trial) => {
    const { client, server } = await withPlainClient(trial);
    client.closeConnection();
    await trial.allUnbound();
    assert.equal(tlsError(server.reason).code, "ERR_EM_TLS_HANDSHAKE");
    const second = await withPlainServer(trial);
    second.server.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(tlsError(second.client.reason).code, "ERR_EM_TLS_HANDSHAKE");
    const third = await withPlainClient(trial);
    third.client.abort();
    await trial.allUnbound();
    assert.equal(third.server.kind, "peer-reset");
  });

  for (const how of ["closeConnection", "closeConnectionAfterWriting", "abort", "stall"] as const) {
    engine.rule(`closing in every state of the handshake: ${how}`, async (trial) => {
      const end = (me: Recorder) => {
        if (how !== "stall") me[how]();
      };
      const moments: [string, Script, Script][] = [
        ["client in postInit", { postInit: end }, {}],
        ["client in connectionCompleted", { connectionCompleted: end }, {}],
        ["client while it judges", { sslVerifyPeer: (me) => end(me) }, {}],
        ["client when it is secured", { sslHandshakeCompleted: end }, {}],
        ["server in postInit", {}, { postInit: end }],
        ["server when it is secured", {}, { sslHandshakeCompleted: end }],
        ["server with the first data", { sslHandshakeCompleted: (me) => me.sendData("x") }, { receiveData: end }],
      ];
      for (const [moment, ours, theirs] of moments) {
        const served = await trial.serve(theirs, { tls: SERVER });
        const client = trial.dial(served, ours, { tls: CLIENT });
        if (how === "stall") {
          await trial.turn();
          client.closeConnection();
        }
        await trial.allUnbound();
        for (const each of [client, ...served.peers]) {
          assert.equal(each.reasons.length, 1, `${moment}: ${each.label}`);
          assert.equal(each.kind === "handler-error", false, moment);
        }
        await served.listener.close();
      }
    });
  }

  engine.rule("what is sent before the close after writing is sent, however early that comes", async (trial) => {
    const all = pattern(300_000);
    const { server } = await (async () => {
      const served = await trial.serve({}, { tls: SERVER });
      trial.dial(
        served,
        {
          postInit: (me) => {
            me.sendData(all);
            me.closeConnectionAfterWriting();
          },
        },
        { tls: CLIENT },
      );
      return { server: await served.peer() };
    })();
    await trial.allUnbound();
    sameBytes(server.received, all);
    assert.equal(server.kind, "peer-closed");
  });

  engine.rule("stop and drain reach connections in their handshake", async (trial) => {
    const { client, server } = await withPlainClient(trial);
    const counts = await trial.reactor.drain(30);
    assert.equal(counts.aborted, 2);
    await trial.allUnbound();
    assert.deepEqual([client.kind, server.kind], ["drain-deadline", "drain-deadline"]);
  });

  engine.rule("the inactivity deadline passes in a stalled handshake too", async (trial) => {
    const { server } = await withPlainClient(trial, {}, { commInactivityTimeout: 60 });
    await trial.allUnbound();
    assert.ok(server.reason?.kind === "timeout" && server.reason.deadline === "inactivity");
  });

  // The end of a stream ------------------------------------------------------------------------------------------

  engine.rule("an orderly end is no truncation", async (trial) => {
    for (const end of ["closeConnection", "closeConnectionAfterWriting"] as const) {
      const { client, server } = await trial.over("tls").pair();
      client.sendData("all of it");
      await trial.until(() => server.text === "all of it", "it arrives");
      client[end]();
      await trial.allUnbound();
      assert.ok(server.reason?.kind === "peer-closed");
      assert.equal(server.reason.truncated, engine.has("tlsTruncation") ? false : undefined, end);
    }
  });

  engine.rule("a half-close is no truncation, and both directions are whole", async (trial) => {
    const { client, server } = await trial.over("tls").pair({ connect: { allowHalfOpen: true } });
    server.script.receiveData = (me) => me.sendData(pattern(100_000));
    client.sendData("x");
    client.halfClose();
    await trial.allUnbound();
    sameBytes(client.received, pattern(100_000));
    const truncated = engine.has("tlsTruncation") ? false : undefined;
    assert.deepEqual(server.reason, { kind: "peer-closed", truncated });
    assert.deepEqual(client.reason, { kind: "peer-closed", truncated });
  });

  engine.rule("a close that drops output does not pass for the end of the stream", async (trial) => {
    const { client, server } = await trial.over("tls").pair({ server: { keep: false } });
    server.pause();
    await trial.settle();
    client.sendData(pattern(16_000_000));
    client.closeConnection();
    await trial.allUnbound(client);
    server.resume();
    await trial.allUnbound();
    if (server.reason?.kind === "peer-closed") {
      assert.equal(server.reason.truncated, engine.has("tlsTruncation") ? true : undefined);
    } else assert.match(server.kind ?? "", /^(peer-reset|tls-error)$/);
    assert.ok(server.bytes < 16_000_000);
  });

  engine.rule("a plain connection has no truncated", async (trial) => {
    const { client, server } = await trial.pair();
    client.closeConnection();
    await trial.allUnbound();
    assert.equal("truncated" in (server.reason as object), false);
  });

  // What is carried ----------------------------------------------------------------------------------------------

  engine.rule("a million bytes both ways at once, in pieces of every size", async (trial) => {
    const all = pattern(1_000_000);
    const { client, server } = await trial.over("tls").pair();
    let seed = 42;
    const random = (most: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return 1 + ((seed >>> 8) % most);
    };
    for (let at = 0; at < all.length; ) {
      const size = random(random(4) === 1 ? 60_000 : 500);
      client.sendData(all.subarray(at, at + size));
      server.sendData(all.subarray(at, at + size));
      at += size;
      if (random(40) === 1) await trial.turn();
    }
    await trial.until(() => client.bytes === all.length && server.bytes === all.length, "all of it");
    sameBytes(client.received, all);
    sameBytes(server.received, all);
  });

  engine.rule("files under TLS, with data before, between and behind", async (trial) => {
    const path = trial.path("file");
    const content = pattern(700_000);
    writeFileSync(path, content);
    const { client, server } = await trial.over("tls").pair();
    server.sendData("before");
    const first = server.sendFileData(path);
    server.sendData("between");
    const second = server.sendFileData(path);
    server.sendData("behind");
    assert.deepEqual(await Promise.all([first, second]), [content.length, content.length]);
    const expected = Buffer.concat([
      Buffer.from("before"),
      content,
      Buffer.from("between"),
      content,
      Buffer.from("behind"),
    ]);
    await trial.until(() => client.bytes === expected.length, "all of it");
    sameBytes(client.received, expected);
  });

  engine.rule("a file that is sent in postInit waits for the handshake", async (trial) => {
    const path = trial.path("file");
    const content = pattern(100_000);
    writeFileSync(path, content);
    const served = await trial.serve({ postInit: (me) => void me.sendFileData(path) }, { tls: SERVER });
    const client = trial.dial(served, {}, { tls: CLIENT });
    await trial.until(() => client.bytes === content.length, "the file");
    sameBytes(client.received, content);
  });

  engine.rule("many handshakes at a time starve nobody", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { tls: SERVER });
    const quiet = trial.dial(served, {}, { tls: CLIENT });
    await quiet.secured;
    const storm = Array.from({ length: 60 }, () => trial.dial(served, {}, { tls: CLIENT }));
    for (let count = 1; count <= 5; count++) {
      quiet.sendData("x");
      await trial.until(() => quiet.bytes === count, "the echo");
    }
    await Promise.all(storm.map(({ secured }) => secured));
    for (const each of [quiet, ...storm]) each.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("the counters are those of the data, not of what carries it", async (trial) => {
    const { client, server } = await trial.over("tls").pair();
    client.sendData(pattern(12_345));
    await trial.until(() => server.bytes === 12_345 && client.outboundSize === 0, "it arrives");
    assert.deepEqual([client.bytesOut, server.bytesIn, client.outboundSize], [12_345, 12_345, 0]);
  });
});
