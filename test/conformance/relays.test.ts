import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { Connection, type RelayOutcome, relay } from "eventmachine";
import { PatternCheck, pattern, sameBytes } from "../support/bytes.js";
import { pipes, sockets } from "../support/descriptors.js";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Recorder, Script } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

const KiB = 1024;
const BIG = 8_000_000;
const halfOpen = { allowHalfOpen: true };

/** A user, the two connections of a proxy, and the origin: `front` and `back` are ours to relay between. */
async function chain(
  trial: Trial,
  front: Script = {},
  back: Script = {},
  ends: { user?: Script; origin?: Script } = {},
) {
  const [left, right] = [
    await trial.pair({
      client: { name: "user", ...ends.user },
      server: { name: "front", ...front },
      connect: halfOpen,
    }),
    await trial.pair({
      client: { name: "back", ...back },
      server: { name: "origin", ...ends.origin },
      listen: halfOpen,
    }),
  ];
  return { user: left.client, front: left.server, back: right.client, origin: right.server };
}

class Paused extends Connection {
  override postInit(): void {
    this.pause();
  }
}

function refuses(code: string, call: () => unknown): void {
  assert.throws(call, { code });
}

/** Sends all of it, as fast as it is taken. */
function pour(from: Recorder, size: number): Script["drained"] {
  let sent = 0;
  return (me) => {
    while (sent < size && me === from) {
      const piece = Math.min(64 * KiB, size - sent);
      sent += piece;
      if (!me.sendData(pattern(piece, sent - piece))) return;
    }
  };
}

onEveryEngine("relays", (engine) => {
  engine.ruleOnEach("what comes in goes to the target, and not to the handler", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    front.proxyIncomingTo(back);
    back.proxyIncomingTo(front);
    user.sendData("a question");
    await trial.until(() => origin.text === "a question", "the question arrives");
    origin.sendData("an answer");
    await trial.until(() => user.text === "an answer", "the answer arrives");
    assert.equal(front.bytes + back.bytes, 0, "receiveData was not called");
    assert.equal(front.proxiedBytes, 10);
    assert.equal(back.proxiedBytes, 9);
    assert.deepEqual([front.bytesIn, front.bytesOut, back.bytesIn, back.bytesOut], [10, 9, 9, 10]);
    user.closeConnection();
    await trial.allUnbound(front);
    assert.equal(front.bytesIn, 10);
    back.closeConnection();
    origin.closeConnection();
    await trial.allUnbound();
    assert.deepEqual([back.bytesIn, back.bytesOut], [9, 10]);
  });

  engine.ruleOnEach("in bulk every byte arrives once, in order, both ways", async (trial) => {
    const there = new PatternCheck();
    const back_ = new PatternCheck();
    const { user, front, back, origin } = await chain(
      trial,
      {},
      {},
      {
        user: { keep: false, receiveData: (_, data) => back_.take(data), drained: (me) => toOrigin(me) },
        origin: { keep: false, receiveData: (_, data) => there.take(data), drained: (me) => toUser(me) },
      },
    );
    const toOrigin = pour(user, BIG) as (me: Recorder) => void;
    const toUser = pour(origin, BIG) as (me: Recorder) => void;
    front.proxyIncomingTo(back);
    back.proxyIncomingTo(front);
    toOrigin(user);
    toUser(origin);
    await trial.until(() => there.count === BIG && back_.count === BIG, "all of it");
    assert.equal(front.proxiedBytes, BIG);
    assert.equal(back.proxiedBytes, BIG);
  });

  engine.ruleOnEach("of exactly so many bytes, then proxyCompleted, then the rest is received", async (trial) => {
    const seen: string[] = [];
    const { user, front, back, origin } = await chain(trial, {
      receiveData: (_, data) => seen.push(`data ${data}`),
    });
    front.proxyCompleted = () => seen.push("completed");
    front.proxyIncomingTo(back, { length: 7 });
    user.sendData("12345");
    await trial.until(() => origin.text === "12345", "the first part");
    user.sendData("67surplus");
    await trial.until(() => seen.length === 2, "the surplus");
    await trial.until(() => origin.text === "1234567", "the length");
    assert.deepEqual(seen, ["completed", "data surplus"]);
    assert.equal(front.proxiedBytes, 0, "there is no relay any more");
    back.sendData("by hand again");
    await trial.until(() => origin.text === "1234567by hand again", "the target is its program's again");
    user.sendData("!");
    await trial.until(() => front.text === "surplus!", "and so is the source");
  });

  engine.ruleOnEach("of a length in bulk", async (trial) => {
    const check = new PatternCheck();
    const { user, front, back } = await chain(
      trial,
      {},
      {},
      { user: { drained: (me) => more(me) }, origin: { keep: false, receiveData: (_, data) => check.take(data) } },
    );
    const more = pour(user, BIG) as (me: Recorder) => void;
    let completed = 0;
    front.proxyCompleted = () => completed++;
    front.proxyIncomingTo(back, { length: BIG - 1234 });
    more(user);
    await trial.until(() => front.bytes === 1234, "what is beyond it");
    await trial.until(() => check.count === BIG - 1234, "the length");
    assert.equal(completed, 1);
    sameBytes(front.received, pattern(1234, BIG - 1234));
  });

  engine.ruleOnEach("it may begin before the target is connected, and behind what was sent to it", async (trial) => {
    const origin = await trial.serve({ name: "origin" });
    const front = await trial.serve({
      name: "front",
      postInit: (me) => {
        const back = trial.dial(origin, { name: "back" });
        back.sendData("head, ");
        me.proxyIncomingTo(back);
        back.proxyIncomingTo(me);
      },
    });
    const user = trial.dial(front, { name: "user" });
    user.sendData("body");
    const peer = await origin.peer();
    await trial.until(() => peer.text === "head, body", "in order");
    peer.sendData("reply");
    await trial.until(() => user.text === "reply", "the reply");
  });

  engine.ruleOnEach("it may begin inside receiveData, behind what was looked at and sent by hand", async (trial) => {
    const { user, origin } = await chain(trial, {
      receiveData: (me, data) => {
        const { back } = me as Recorder & { back: Recorder };
        back.sendData(`[${data}]`);
        me.proxyIncomingTo(back);
      },
    }).then((all) => {
      Object.assign(all.front, { back: all.back });
      return all;
    });
    user.sendData("first");
    await trial.until(() => origin.text === "[first]", "what was sent by hand");
    user.sendData("second");
    await trial.until(() => origin.text === "[first]second", "what was relayed");
  });

  engine.ruleOnEach("input that was held back goes first", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    front.pause();
    user.sendData("early, ");
    await trial.settle();
    front.proxyIncomingTo(back);
    await trial.settle();
    assert.equal(origin.bytes, 0, "a paused source is not read");
    front.resume();
    user.sendData("late");
    await trial.until(() => origin.text === "early, late", "in order");
    front.pause();
    await trial.settle();
    user.sendData("!");
    await trial.settle();
    assert.equal(origin.text, "early, late");
    front.resume();
    await trial.until(() => origin.text === "early, late!", "after resume");
  });

  engine.ruleOnEach("a target that is not read bounds the relay", async (trial) => {
    const check = new PatternCheck();
    const { user, front, back, origin } = await chain(
      trial,
      {},
      {},
      {
        user: { drained: (me) => more(me) },
        origin: { keep: false, receiveData: (_, data) => check.take(data) },
      },
    );
    const size = 40_000_000;
    const more = pour(user, size) as (me: Recorder) => void;
    origin.pause();
    front.proxyIncomingTo(back, { bufferSize: 32 * KiB });
    more(user);
    let before = -1;
    for (let idle = 0; idle < 5; ) {
      await trial.sleep(5);
      idle = front.proxiedBytes === before ? idle + 1 : 0;
      before = front.proxiedBytes;
      // One read more than the buffer may be on its way, and the records of it.
      assert.ok(back.outboundSize <= 32 * KiB + 128 * KiB, `${back.outboundSize} bytes wait`);
    }
    assert.ok(front.proxiedBytes < size, "it stands still");
    origin.resume();
    await trial.until(() => check.count === size, "all of it arrives");
  });

  engine.ruleOnEach("meanwhile nothing else is sent to the target, and nobody takes its data", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    front.proxyIncomingTo(back);
    refuses("ERR_EM_RELAYING", () => back.sendData("x"));
    await assert.rejects(back.sendFileData(import.meta.filename), { code: "ERR_EM_RELAYING" });
    refuses("ERR_EM_RELAYING", () => front.proxyIncomingTo(back));
    refuses("ERR_EM_RELAYING", () => front[Symbol.asyncIterator]());
    front.sendData("the other way");
    await trial.until(() => user.text === "the other way", "the other direction is free");
    front.stopProxying();
    back.sendData("x");
    await trial.until(() => origin.text === "x", "after the end");
  });

  engine.ruleOnEach("stopProxying gives the input back, and nothing is lost", async (trial) => {
    const size = 3_000_000;
    const check = new PatternCheck();
    const late = new PatternCheck();
    let stopped = -1;
    const { user, front, back, origin } = await chain(
      trial,
      { keep: false, receiveData: (me, data) => (stopped < 0 ? assert.fail() : me === front && late.take(data)) },
      {},
      {
        user: { drained: (me) => more(me) },
        origin: {
          keep: false,
          receiveData: (_, data) => {
            check.take(data);
            if (stopped >= 0 || check.count < size / 3) return;
            stopped = front.proxiedBytes;
            late.count = stopped;
            front.stopProxying();
          },
        },
      },
    );
    const more = pour(user, size) as (me: Recorder) => void;
    front.proxyIncomingTo(back);
    more(user);
    await trial.until(() => stopped >= 0 && front.bytes === size - stopped, "the rest comes to the source");
    await trial.until(() => check.count === stopped, "and what was taken arrives");
    assert.equal(origin.bytes, stopped);
  });

  engine.ruleOnEach("a target that ends first is reported, and the source goes on", async (trial) => {
    const seen: string[] = [];
    const { user, front, back, origin } = await chain(trial);
    front.proxyTargetUnbound = (reason) => seen.push(reason.kind);
    front.proxyIncomingTo(back);
    user.sendData("one");
    await trial.until(() => origin.text === "one", "it relays");
    origin.closeConnection();
    await trial.allUnbound(back);
    await trial.until(() => seen.length === 1, "the source hears of it");
    assert.deepEqual(seen, [back.kind]);
    user.sendData("two");
    await trial.until(() => front.text === "two", "what comes then is the source's own");
    assert.equal(front.state, "open");
  });

  engine.ruleOnEach("a target that the program closes, too", async (trial) => {
    const seen: string[] = [];
    const { user, front, back } = await chain(trial);
    front.proxyTargetUnbound = (reason) => seen.push(reason.kind);
    front.proxyIncomingTo(back);
    back.closeConnection();
    user.sendData("two");
    await trial.until(() => front.text === "two", "what comes then is the source's own");
    assert.deepEqual(seen, ["local-close"]);
  });

  engine.ruleOnEach("the peer's end comes behind all that it sent", async (trial) => {
    const check = new PatternCheck();
    const { user, front, back, origin } = await chain(
      trial,
      { unbind: (me) => (me as Recorder & { back: Recorder }).back.closeConnectionAfterWriting() },
      {},
      { origin: { keep: false, receiveData: (_, data) => check.take(data) } },
    );
    Object.assign(front, { back });
    front.proxyIncomingTo(back);
    for (let sent = 0; sent < BIG; sent += 250_000) user.sendData(pattern(250_000, sent));
    user.closeConnectionAfterWriting();
    await trial.until(() => origin.ends === 1, "the origin sees the end");
    origin.closeConnection();
    await trial.allUnbound(front, back);
    assert.equal(check.count, BIG);
    assert.equal(front.kind, "peer-closed");
    assert.equal(front.bytesIn, BIG);
    assert.equal(back.bytesOut, BIG);
  });

  engine.ruleOnEach("half-closing the target ends the relay, behind what it took", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    front.proxyIncomingTo(back);
    user.sendData("one");
    await trial.until(() => front.proxiedBytes === 3, "it is taken");
    back.halfClose();
    await trial.until(() => origin.ends === 1 && origin.text === "one", "it is sent, then the FIN");
    assert.equal(front.proxiedBytes, 0);
    user.sendData("two");
    await trial.until(() => front.text === "two", "what comes then is the source's own");
    origin.halfClose();
  });

  /** Has the user send until nothing moves any more; the origin does not read. */
  async function stuffed(trial: Trial, all: { user: Recorder; front: Recorder; origin: Recorder }, size: number) {
    all.origin.pause();
    for (let sent = 0; sent < size; sent += 250_000) all.user.sendData(pattern(Math.min(250_000, size - sent), sent));
    for (let idle = 0, before = -1; idle < 5; ) {
      await trial.sleep(5);
      idle = all.front.proxiedBytes === before ? idle + 1 : 0;
      before = all.front.proxiedBytes;
    }
  }

  engine.ruleOnEach(
    "a connection without a handler is as good as any, and keeps its input afterwards",
    async (trial) => {
      const { at, peer } = await trial.serve({ name: "origin" });
      const front = await trial.serve({ name: "front" });
      const user = trial.dial(front, { name: "user" });
      const ours = await front.peer();
      const back = trial.reactor.connect({ ...at, ...trial.clientTls }, Connection);
      ours.proxyIncomingTo(back);
      back.proxyIncomingTo(ours);
      user.sendData("ask");
      const origin = await peer();
      await trial.until(() => origin.text === "ask", "the question");
      origin.sendData("answer");
      await trial.until(() => user.text === "answer", "the answer");
      back.stopProxying();
      assert.equal(back.isPaused, true);
      origin.sendData("more");
      await trial.settle();
      assert.equal(back.bytesDiscarded, 0);
      back.proxyIncomingTo(ours);
      await trial.until(() => user.text === "answermore", "what came in between");
      back.closeConnection();
    },
  );

  engine.ruleOnEach("what waits in the target counts as unsent", async (trial) => {
    const all = await chain(trial);
    all.front.proxyIncomingTo(all.back);
    await stuffed(trial, all, 12_000_000);
    const { front, back } = all;
    assert.ok(back.outboundSize > 0);
    assert.equal(back.bytesOut, front.proxiedBytes - back.outboundSize);
    const sent = back.bytesOut;
    front.stopProxying();
    assert.ok(back.bytesOut >= sent && back.bytesOut + back.outboundSize === front.bytesIn, "nor after the relay");
    back.closeConnection();
    all.origin.closeConnection();
  });

  engine.ruleOnEach("a length that passes while the target is full is complete", async (trial) => {
    let completed = 0;
    const all = await chain(trial);
    all.front.proxyCompleted = () => completed++;
    all.front.proxyIncomingTo(all.back, { length: 7_000_000 });
    await stuffed(trial, all, 7_000_000);
    all.origin.resume();
    await trial.until(() => all.origin.bytes === 7_000_000, "all of it");
    await trial.until(() => completed === 1, "nothing more is asked of the source");
    sameBytes(all.origin.received, pattern(7_000_000));
  });

  engine.rule("TLS on a full target begins after the bytes in clear", async (trial) => {
    const all = await chain(trial);
    const { user, front, back, origin } = all;
    front.proxyIncomingTo(back, { length: 5_000_000 });
    await stuffed(trial, all, 5_000_000);
    front.stopProxying();
    const taken = back.bytesOut + back.outboundSize;
    front.proxyIncomingTo(back);
    back.startTls(clientContext());
    const check = new PatternCheck();
    origin.script.receiveData = (me, data) => {
      const own = me.isSecure ? data : data.subarray(0, taken - check.count);
      check.take(own);
      if (!me.isSecure && check.count === taken) {
        me.startTls({ context: serverContext(), received: data.subarray(own.length) });
      }
    };
    origin.resume();
    user.sendData(pattern(1, 5_000_000));
    await trial.until(() => check.count === 5_000_001, "in clear, then under TLS");
    assert.ok(origin.isSecure);
  });

  engine.ruleOnEach("proxyCompleted may begin another relay, pause, or close", async (trial) => {
    const all = await chain(trial);
    const second = await chain(trial);
    all.front.proxyCompleted = () => all.front.proxyIncomingTo(second.back, { length: 5 });
    all.front.proxyIncomingTo(all.back, { length: 5 });
    all.user.sendData("12345");
    await trial.until(() => all.origin.text === "12345", "the first");
    second.front.proxyCompleted = () => second.front.pause();
    second.front.proxyIncomingTo(all.back, { length: 3 });
    second.user.sendData("abcdef");
    await trial.until(() => all.origin.text === "12345abc", "three bytes");
    await trial.settle();
    assert.equal(second.front.bytes, 0, "it is paused");
    second.front.resume();
    await trial.until(() => second.front.text === "def", "the rest after resume");
    all.front.proxyCompleted = () => all.front.closeConnection();
    all.user.sendData("67890rest");
    await trial.until(() => second.origin.text === "67890", "the second");
    await trial.allUnbound(all.front);
    assert.equal(all.front.bytes, 0, "nothing is received by one that was closed");
  });

  engine.rule("the write deadline of a target holds in a relay, and the first byte is not missed", async (trial) => {
    const all = await chain(trial);
    all.back.writeTimeout = 100;
    all.front.firstByteTimeout = 60;
    all.front.proxyIncomingTo(all.back);
    all.user.sendData("x");
    await trial.sleep(150);
    assert.equal(all.front.state, "open", "a byte has come");
    assert.equal(all.back.state, "open", "nothing waits");
    void stuffed(trial, all, 12_000_000).catch(() => {});
    await trial.until(() => all.back.isUnbound, "the deadline");
    assert.ok(all.back.reason?.kind === "timeout" && all.back.reason.deadline === "write");
    all.origin.closeConnection();
  });

  engine.rule("where an engine cannot detach, trying to ends no relay", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    front.proxyIncomingTo(back);
    const gone = await front.detach().then(
      ({ fd }) => fd,
      () => undefined,
    );
    if (gone !== undefined) return closeSync(gone);
    user.sendData("on");
    await trial.until(() => origin.text === "on", "it goes on");
  });

  engine.rule("a stop in the middle of a relay leaves no pipe and no socket behind", async (trial) => {
    let before: number[] = [];
    for (let round = 0; round < 4; round++) {
      // The first run of a process makes what stays: libuv's own pipe.
      if (round === 1) before = [pipes().size, sockets().size];
      const reactor = trial.makeReactor();
      await reactor.run(async () => {
        const origin = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Paused);
        const front = await reactor.startServer(
          { host: "127.0.0.1", port: 0 },
          class extends Connection {
            override postInit(): void {
              this.proxyIncomingTo(reactor.connect({ host: "127.0.0.1", port: origin.port }, Connection));
            }
          },
        );
        const user = reactor.connect({ host: "127.0.0.1", port: front.port }, Connection);
        user.sendData(pattern(15_000_000));
        let left = -1;
        for (let idle = 0; idle < 3; ) {
          await trial.sleep(5);
          idle = user.outboundSize === left ? idle + 1 : 0;
          left = user.outboundSize;
        }
        assert.ok(left > 0, "it is in the middle of it");
        reactor.stop();
      });
    }
    assert.deepEqual([pipes().size, sockets().size], before);
  });

  engine.rule("bad ends and options are refused", async (trial) => {
    const { front, back } = await chain(trial);
    refuses("ERR_EM_INVALID_ARGUMENT", () => front.proxyIncomingTo(front));
    refuses("ERR_EM_INVALID_ARGUMENT", () => front.proxyIncomingTo({} as Connection));
    for (const bufferSize of [0, -1, 1.5, Number.NaN, "64" as unknown as number]) {
      refuses("ERR_EM_INVALID_ARGUMENT", () => front.proxyIncomingTo(back, { bufferSize }));
    }
    for (const length of [0, -1, 1.5, Number.POSITIVE_INFINITY]) {
      refuses("ERR_EM_INVALID_ARGUMENT", () => front.proxyIncomingTo(back, { length }));
    }
    refuses("ERR_EM_INVALID_ARGUMENT", () => front.proxyIncomingTo(back, { buffersize: 1 } as object));
    const { at } = await trial.serve();
    const other = trial.makeReactor();
    await other.run(() => {
      const elsewhere = other.connect(at, Connection);
      refuses("ERR_EM_OTHER_REACTOR", () => front.proxyIncomingTo(elsewhere));
      other.stop();
    });
    back.halfClose();
    refuses("ERR_EM_WRITE_AFTER_END", () => front.proxyIncomingTo(back));
    back.closeConnection();
    refuses("ERR_EM_CLOSED", () => front.proxyIncomingTo(back));
    assert.equal(front.proxiedBytes, 0);
    front.stopProxying();
  });

  // Both ways ------------------------------------------------------------------------------------------------------

  engine.ruleOnEach("relay carries a half-close across, and the other direction goes on", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    const outcome = relay(front, back);
    user.sendData("the request");
    user.halfClose();
    await trial.until(() => origin.ends === 1, "the FIN arrives");
    assert.equal(origin.text, "the request");
    const answer = pattern(BIG);
    origin.sendData(answer);
    origin.closeConnectionAfterWriting();
    await trial.allUnbound();
    sameBytes(user.received, answer);
    assert.deepEqual(await outcome, {
      aToB: { bytes: 11, end: "finished" },
      bToA: { bytes: BIG, end: "finished" },
    });
    assert.equal(front.ends + back.ends, 2);
  });

  engine.ruleOnEach("relay passes on first what the handler took", async (trial) => {
    const origin = await trial.serve({ name: "origin" });
    let outcome: Promise<RelayOutcome> | undefined;
    const front = await trial.serve({
      name: "front",
      receiveData: (me, data) => {
        outcome = relay(me, trial.dial(origin, { name: "back" }), { received: data });
      },
    });
    const user = trial.dial(front, { name: "user" });
    user.sendData("one, ");
    const peer = await origin.peer();
    await trial.until(() => peer.text === "one, ", "what was taken");
    user.sendData("two");
    await trial.until(() => peer.text === "one, two", "what comes then");
    peer.sendData("bye");
    peer.closeConnectionAfterWriting();
    await trial.until(() => user.text === "bye" && user.isUnbound, "the answer and the end");
    const { aToB, bToA } = (await outcome) as RelayOutcome;
    assert.deepEqual([aToB.bytes, bToA.bytes, bToA.end], [8, 3, "finished"]);
  });

  engine.ruleOnStreams("relay passes a reset on, and says who failed", async (trial, medium) => {
    for (const side of ["user", "origin"] as const) {
      const all = await chain(trial);
      const outcome = relay(all.front, all.back);
      all.user.sendData("x");
      await trial.until(() => all.origin.text === "x", "it relays");
      all[side].abort();
      await trial.allUnbound(all.front, all.back);
      const { aToB, bToA } = await outcome;
      assert.equal(aToB.bytes, 1);
      for (const { end } of [aToB, bToA]) assert.notEqual(end, undefined);
      if (medium !== "tcp") {
        for (const end of [all.user, all.origin]) end.closeConnection();
        continue;
      }
      await trial.allUnbound(all.user, all.origin);
      assert.equal(all[side === "user" ? "origin" : "user"].kind, "peer-reset", `${side} was reset`);
    }
  });

  engine.rule("relay that is refused changes nothing", async (trial) => {
    const other = await chain(trial);
    const pair = await trial.pair({ client: { name: "peer" }, server: { name: "free" } });
    other.front.proxyIncomingTo(other.back);
    await assert.rejects(relay(other.front, pair.server), { code: "ERR_EM_RELAYING" });
    pair.client.closeConnectionAfterWriting();
    await trial.allUnbound(pair.server, pair.client);
    assert.equal(pair.server.kind, "peer-closed", "it ends with its peer, as ever");
    other.front.sendData("still");
    await trial.until(() => other.user.text === "still", "and the other one may send");
  });

  engine.rule("relay that the program stops resolves, and leaves connections as they were", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    const outcome = relay(front, back);
    user.sendData("x");
    await trial.until(() => origin.text === "x", "it relays");
    front.stopProxying();
    back.stopProxying();
    assert.deepEqual(await outcome, { aToB: { bytes: 1, end: "stopped" }, bToA: { bytes: 0, end: "stopped" } });
    user.closeConnection();
    await trial.allUnbound(front);
    assert.equal(front.kind, "peer-closed");
    assert.equal(front.ends, 0, "it is not half-open");
    back.closeConnection();
    origin.closeConnection();
  });

  engine.rule("relay ends where nothing moves", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    const outcome = relay(front, back, { idleTimeout: 50 });
    user.sendData("x");
    await trial.until(() => front.isUnbound && back.isUnbound, "both end");
    assert.ok([front.kind, back.kind].includes("timeout"));
    const { aToB } = await outcome;
    assert.ok(aToB.bytes === 1 && aToB.end !== "finished");
    for (const end of [user, origin]) end.closeConnection();
  });

  engine.rule("relay refuses what proxyIncomingTo refuses, and has begun nothing then", async (trial) => {
    const { user, front, back, origin } = await chain(trial);
    front.proxyIncomingTo(back);
    await assert.rejects(relay(front, back), { code: "ERR_EM_RELAYING" });
    front.stopProxying();
    for (const options of [{ idleTimeout: -1 }, { received: "x" }, { bufferSize: 0 }, { length: 1 }]) {
      await assert.rejects(relay(front, back, options as object), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
    await assert.rejects(relay(front, {} as Connection), { code: "ERR_EM_INVALID_ARGUMENT" });
    await assert.rejects(relay({} as Connection, back), { code: "ERR_EM_INVALID_ARGUMENT" });
    user.sendData("x");
    origin.sendData("y");
    await trial.until(() => front.text === "x" && back.text === "y", "each has its own data");
  });
});
