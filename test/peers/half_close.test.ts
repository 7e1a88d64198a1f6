import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { RawPeer } from "../support/raw_peer.js";
import { within } from "../support/wait.js";

const MiB = 1024 * 1024;
const ANSWER = pattern(8 * MiB);
const ANSWER_SHA256 = createHash("sha256").update(ANSWER).digest("hex");

onEveryEngine("half-closed peers", (engine) => {
  engine.rule("a peer whose FIN rides on its request gets the whole 8 MiB answer", async (trial) => {
    const served = await trial.serve({ receiveData: (me) => me.sendData(ANSWER) });
    await using peer = new RawPeer();
    await peer.connect(served.at);
    await peer.sendWithFin("GET it\n");
    const answer = await peer.receive();
    assert.deepEqual(
      { bytes: answer.bytes, sha256: answer.sha256, end: answer.end },
      { bytes: ANSWER.length, sha256: ANSWER_SHA256, end: "fin" },
    );
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.deepEqual(server.reason, { kind: "peer-closed" });
  });

  engine.rule("so does one that reads only long after its FIN", async (trial) => {
    const served = await trial.serve({ receiveData: (me) => me.sendData(ANSWER) });
    await using peer = new RawPeer();
    await peer.connect(served.at, { receiveBuffer: 16 * 1024 });
    await peer.sendWithFin("GET it\n");
    const server = await served.peer();
    await trial.until(() => server.bytes > 0, "the request");
    await trial.settle(100);
    assert.ok(server.outboundSize > 0, "most of the answer waits");
    const answer = await peer.receive();
    assert.equal(answer.sha256, ANSWER_SHA256);
    assert.equal(answer.end, "fin");
    await trial.allUnbound(server);
    assert.equal(server.kind, "peer-closed");
  });

  engine.rule("with allowHalfOpen the answer may come long after the FIN", async (trial) => {
    const served = await trial.serve(
      {
        receiveEnd: (me) => {
          trial.reactor.addTimer(50, () => {
            me.sendData(ANSWER);
            me.closeConnectionAfterWriting();
          });
        },
      },
      { allowHalfOpen: true },
    );
    await using peer = new RawPeer();
    await peer.connect(served.at);
    await peer.send("question");
    await peer.shutdown();
    const answer = await peer.receive();
    assert.equal(answer.sha256, ANSWER_SHA256);
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.deepEqual(server.order, ["postInit", "receiveData", "receiveEnd", "unbind local-close"]);
    assert.equal(server.text, "question");
  });

  engine.rule("our FIN reaches a peer that goes on sending", async (trial) => {
    await using peer = new RawPeer();
    const { port } = await peer.listen();
    const client = trial.dial(
      { host: "127.0.0.1", port },
      {
        connectionCompleted: (me) => {
          me.sendData("all I have to say");
          me.halfClose();
        },
      },
    );
    await peer.accept();
    const heard = await peer.receive();
    assert.equal(heard.text, "all I have to say");
    assert.equal(heard.end, "fin");
    for (let part = 0; part < 3; part++) {
      await peer.send(`part ${part};`);
      await trial.until(() => client.text.endsWith(`part ${part};`), `part ${part}`);
    }
    await peer.shutdown();
    await trial.allUnbound(client);
    assert.equal(client.text, "part 0;part 1;part 2;");
    assert.equal(client.kind, "peer-closed");
  });

  engine.rule(
    "node:net with allowHalfOpen sends 8 MiB behind our FIN, and reads 8 MiB in front of it",
    async (trial) => {
      const served = await trial.serve({
        postInit: (me) => {
          me.sendData(ANSWER);
          me.halfClose();
        },
      });
      const socket = connect({ host: "127.0.0.1", port: served.listener.port as number, allowHalfOpen: true });
      const chunks: Buffer[] = [];
      socket.on("data", (chunk) => chunks.push(chunk));
      await within(once(socket, "end"), "our FIN");
      sameBytes(Buffer.concat(chunks), ANSWER);
      socket.end(ANSWER);
      const server = await served.peer();
      await trial.allUnbound(server);
      sameBytes(server.received, ANSWER);
      assert.equal(server.kind, "peer-closed");
    },
  );
});
