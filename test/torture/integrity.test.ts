import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { pattern, sameBytes } from "../conformance/bytes.js";
import { onEveryEngine } from "../conformance/harness.js";
import type { Recorder } from "../conformance/recorder.js";
import { LIMIT, tortured } from "./seeds.js";
import { checkEnds, partnerOf, receiver, sender } from "./stream.js";

const KiB = 1024;
const CONNECTIONS = 40;

onEveryEngine("integrity under torture", (engine) => {
  tortured(engine, "an echo of 512 KiB through each of many connections", async (trial, torture) => {
    const size = 512 * KiB;
    const served = await trial.serve({ keep: false, receiveData: (me, data) => me.sendData(data) });
    const clients: Recorder[] = [];
    for (let count = 0; count < CONNECTIONS; count++) {
      const send = sender(size, () => {});
      const { check, take } = receiver();
      const client = trial.dial(served, {
        name: `client ${count}`,
        keep: false,
        connectionCompleted: send,
        drained: send,
        receiveData: (me, data) => {
          take(me, data);
          if (check.count === size) me.closeConnectionAfterWriting();
        },
      });
      clients.push(client);
    }
    await trial.until(() => clients.every(({ isUnbound }) => isUnbound), "all clients have ended", LIMIT);
    await trial.until(() => served.peers.every(({ isUnbound }) => isUnbound), "all servers have ended", LIMIT);
    for (const client of clients) {
      checkEnds(
        torture,
        { who: client, kind: "local-close", bytes: size },
        { who: partnerOf(client, served.peers), kind: "peer-closed", bytes: size },
      );
    }
  });

  tortured(engine, "half-closes: 256 KiB up, the FIN, 256 KiB down", async (trial, torture) => {
    const size = 256 * KiB;
    // One script serves all: each connection's own sender hangs on it.
    const answers = new Map<Recorder, (me: Recorder) => void>();
    const checks = new Map<Recorder, ReturnType<typeof receiver>>();
    const served = await trial.serve(
      {
        keep: false,
        postInit: (me) => {
          answers.set(
            me,
            sender(size, (done) => done.closeConnectionAfterWriting()),
          );
          checks.set(me, receiver());
        },
        receiveData: (me, data) => checks.get(me)?.take(me, data),
        receiveEnd: (me) => answers.get(me)?.(me),
        drained: (me) => answers.get(me)?.(me),
      },
      { allowHalfOpen: true },
    );
    const clients = Array.from({ length: CONNECTIONS }, (_, at) => {
      const send = sender(size, (me) => me.halfClose());
      const { take } = receiver();
      const script = { connectionCompleted: send, drained: send, receiveData: take, keep: false };
      return trial.dial(served, { name: `client ${at}`, ...script });
    });
    await trial.until(() => clients.every(({ isUnbound }) => isUnbound), "all clients have ended", LIMIT);
    await trial.until(() => served.peers.every(({ isUnbound }) => isUnbound), "all servers have ended", LIMIT);
    for (const client of clients) {
      checkEnds(
        torture,
        { who: client, kind: "peer-closed", bytes: size },
        { who: partnerOf(client, served.peers), kind: "local-close", bytes: size },
      );
    }
  });

  tortured(engine, "files with text around them", async (trial, torture) => {
    const file = trial.path("file");
    const content = pattern(768 * KiB);
    writeFileSync(file, content);
    const expected = Buffer.concat([
      Buffer.from("head "),
      content,
      Buffer.from(" middle "),
      content,
      Buffer.from(" tail"),
    ]);
    const served = await trial.serve({
      postInit: (me) => {
        me.sendData("head ");
        void me.sendFileData(file);
        me.sendData(" middle ");
        void me.sendFileData(file);
        me.sendData(" tail");
        me.closeConnectionAfterWriting();
      },
    });
    const clients = Array.from({ length: 12 }, (_, at) => trial.dial(served, { name: `client ${at}` }));
    await trial.until(() => clients.every(({ isUnbound }) => isUnbound), "all clients have ended", LIMIT);
    await trial.until(() => served.peers.every(({ isUnbound }) => isUnbound), "all servers have ended", LIMIT);
    for (const client of clients) {
      const { received } = client;
      sameBytes(received, expected.subarray(0, received.length), `what ${client.label} has got`);
      checkEnds(
        torture,
        { who: client, kind: "peer-closed", bytes: expected.length },
        { who: partnerOf(client, served.peers), kind: "local-close", bytes: 0 },
      );
    }
  });

  tortured(engine, "pauses at random hold back and lose nothing", async (trial, torture) => {
    const size = 256 * KiB;
    const served = await trial.serve({ keep: false, receiveData: (me, data) => me.sendData(data) });
    const clients = Array.from({ length: 20 }, (_, at) => {
      const send = sender(size, () => {});
      const { check, take } = receiver();
      let pieces = 0;
      return trial.dial(served, {
        name: `client ${at}`,
        keep: false,
        connectionCompleted: send,
        drained: send,
        receiveData: (me, data) => {
          take(me, data);
          if (check.count === size) me.closeConnectionAfterWriting();
          else if (pieces++ % 5 === 0) {
            me.pause();
            trial.reactor.addTimer(pieces % 3, () => me.resume());
          }
        },
      });
    });
    await trial.until(() => clients.every(({ isUnbound }) => isUnbound), "all clients have ended", LIMIT);
    await trial.until(() => served.peers.every(({ isUnbound }) => isUnbound), "all servers have ended", LIMIT);
    for (const client of clients) {
      checkEnds(
        torture,
        { who: client, kind: "local-close", bytes: size },
        { who: partnerOf(client, served.peers), kind: "peer-closed", bytes: size },
      );
    }
  });

  for (const [medium, name] of [
    ["unix", "Unix sockets"],
    ["tls", "TLS"],
  ] as const) {
    tortured(engine, `an echo over ${name}`, async (trial, torture) => {
      const size = 256 * KiB;
      const served = await trial.over(medium).serve({ keep: false, receiveData: (me, data) => me.sendData(data) });
      const clients = Array.from({ length: 20 }, (_, at) => {
        const send = sender(size, () => {});
        const { check, take } = receiver();
        return trial.dial(served, {
          name: `client ${at}`,
          keep: false,
          connectionCompleted: send,
          drained: send,
          receiveData: (me, data) => {
            take(me, data);
            if (check.count === size) me.closeConnectionAfterWriting();
          },
        });
      });
      await trial.until(() => clients.every(({ isUnbound }) => isUnbound), "all clients have ended", LIMIT);
      await trial.until(() => served.peers.every(({ isUnbound }) => isUnbound), "all servers have ended", LIMIT);
      const whole = clients.filter(({ bytes, kind }) => bytes === size && kind === "local-close");
      if (!torture.resets) assert.equal(whole.length, clients.length);
      for (const { kind, reason } of [...clients, ...served.peers]) {
        assert.ok(["local-close", "peer-closed", "peer-reset", "tls-error"].includes(kind ?? ""), `${kind}`);
        // A handshake whose peer was reset ends as one that was broken off.
        assert.ok(torture.resets || (reason?.kind !== "peer-reset" && reason?.kind !== "tls-error"), `${kind}`);
      }
    });
  }
});
