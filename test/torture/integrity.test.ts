import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import type { CloseReasonKind } from "eventmachine";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder, Script } from "../support/recorder.js";
import type { Served, Trial } from "../support/trial.js";
import { LIMIT, type Torture, tortured } from "./seeds.js";
import { checkEnds, partnerOf, receiver, sender } from "./stream.js";

const KiB = 1024;
const CONNECTIONS = 40;

const ECHO: Script = { keep: false, receiveData: (me, data) => me.sendData(data) };

/** A client that sends so much to an echo and closes when all of it is back; `whenSome` comes with what is not the last. */
function echoed(
  trial: Trial,
  served: Served,
  name: string,
  size: number,
  whenSome: (me: Recorder) => void = () => {},
): Recorder {
  const send = sender(size, () => {});
  const { check, take } = receiver();
  return trial.dial(served, {
    name,
    keep: false,
    connectionCompleted: send,
    drained: send,
    receiveData: (me, data) => {
      take(me, data);
      if (check.count === size) me.closeConnectionAfterWriting();
      else whenSome(me);
    },
  });
}

async function allEnd(trial: Trial, clients: readonly Recorder[], { peers }: Served): Promise<void> {
  await trial.until(() => clients.every(({ isUnbound }) => isUnbound), "all clients have ended", LIMIT);
  await trial.until(() => peers.every(({ isUnbound }) => isUnbound), "all servers have ended", LIMIT);
}

/** Both ends of a client's connection have got so much, and ended like this. */
function checkPair(
  torture: Torture,
  client: Recorder,
  { peers }: Served,
  ours: CloseReasonKind,
  theirs: CloseReasonKind,
  bytes: number,
): void {
  checkEnds(torture, { who: client, kind: ours, bytes }, { who: partnerOf(client, peers), kind: theirs, bytes });
}

onEveryEngine("integrity under torture", (engine) => {
  tortured(engine, "an echo of 512 KiB through each of many connections", async (trial, torture) => {
    const size = 512 * KiB;
    const served = await trial.serve(ECHO);
    const clients = Array.from({ length: CONNECTIONS }, (_, at) => echoed(trial, served, `client ${at}`, size));
    await allEnd(trial, clients, served);
    for (const client of clients) checkPair(torture, client, served, "local-close", "peer-closed", size);
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
    await allEnd(trial, clients, served);
    for (const client of clients) checkPair(torture, client, served, "peer-closed", "local-close", size);
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
    await allEnd(trial, clients, served);
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
    const served = await trial.serve(ECHO);
    const clients = Array.from({ length: 20 }, (_, at) => {
      let pieces = 0;
      return echoed(trial, served, `client ${at}`, size, (me) => {
        if (pieces++ % 5 !== 0) return;
        me.pause();
        trial.reactor.addTimer(pieces % 3, () => me.resume());
      });
    });
    await allEnd(trial, clients, served);
    for (const client of clients) checkPair(torture, client, served, "local-close", "peer-closed", size);
  });

  for (const [medium, name] of [
    ["unix", "Unix sockets"],
    ["tls", "TLS"],
  ] as const) {
    tortured(engine, `an echo over ${name}`, async (trial, torture) => {
      const size = 256 * KiB;
      const served = await trial.over(medium).serve(ECHO);
      const clients = Array.from({ length: 20 }, (_, at) => echoed(trial, served, `client ${at}`, size));
      await allEnd(trial, clients, served);
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
