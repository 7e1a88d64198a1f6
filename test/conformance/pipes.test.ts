import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync } from "node:fs";
import { type ConnectError, Connection } from "eventmachine";
import { PatternCheck, pattern } from "../support/bytes.js";
import type { Fifo } from "../support/fifo.js";
import { onEveryEngine } from "../support/harness.js";
import { Recorder, type Script } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

/** The file that a number stands for; undefined for none. Numbers are used again, also by Node itself. */
function fileOf(fd: number): string | undefined {
  try {
    const { dev, ino } = fstatSync(fd);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

onEveryEngine("pipes", (engine) => {
  function rule(name: string, body: (trial: Trial, fifo: Fifo) => unknown): void {
    engine.ruleNeeding(
      "adoptStream",
      name,
      (trial) => body(trial, trial.fifo()),
      (trial) => trial.reactor.attach({ fd: trial.fifo().reader }, Connection),
    );
  }

  function attach(trial: Trial, fifo: Fifo, end: "reader" | "writer", script: Script = {}): Recorder {
    const fd = fifo[end];
    fifo.gaveAway(fd);
    return trial.reactor.attach({ fd }, Recorder, trial, { name: end, ...script });
  }

  rule("what is written into one end comes out of the other, and its end is the peer's", async (trial, fifo) => {
    const check = new PatternCheck();
    const file = fileOf(fifo.reader);
    const reader = attach(trial, fifo, "reader", { keep: false, receiveData: (_, data) => check.take(data) });
    const writer = attach(trial, fifo, "writer");
    await Promise.all([reader.opened, writer.opened]);
    assert.deepEqual([reader.remoteAddress, writer.localAddress], [undefined, undefined]);
    assert.equal(writer.sendData(pattern(3_000_000)), false, "the pipe takes less");
    writer.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(check.count, 3_000_000);
    assert.deepEqual([reader.kind, writer.kind], ["peer-closed", "local-close"]);
    for (const fd of [fifo.reader, fifo.writer]) assert.notEqual(fileOf(fd), file, "it is closed");
  });

  rule("the writer is told when there is room again", async (trial, fifo) => {
    const writer = attach(trial, fifo, "writer");
    await writer.opened;
    assert.equal(writer.sendData(Buffer.alloc(200_000)), false);
    await trial.settle();
    assert.equal(writer.drains, 0);
    for (let read = 0; read < 200_000; ) {
      read += fifo.read()?.length ?? 0;
      await trial.turn();
    }
    await trial.until(() => writer.drains === 1, "drained");
  });

  rule("nothing can be sent into the end that is read", async (trial, fifo) => {
    const refused = { name: "StateError", code: "ERR_EM_NOT_WRITABLE" };
    const reader = attach(trial, fifo, "reader", {
      postInit: (me) => assert.throws(() => me.sendData("early"), refused),
    });
    assert.throws(() => reader.sendData("x"), refused);
    await reader.opened;
    assert.throws(() => reader.sendData("x"), refused);
    assert.throws(() => reader.sendData(Buffer.from("x")), refused);
    const other = attach(trial, trial.fifo(), "reader");
    await other.opened;
    assert.throws(() => other.proxyIncomingTo(reader), refused);
    other.closeConnection();
    reader.halfClose();
    fifo.write("in");
    await trial.until(() => reader.text === "in", "it is read all the same");
    reader.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(reader.kind, "local-close");
  });

  rule("a relay goes from a pipe into another", async (trial, fifo) => {
    const second = trial.fifo();
    const [reader, writer] = [attach(trial, fifo, "reader"), attach(trial, second, "writer")];
    await Promise.all([reader.opened, writer.opened]);
    reader.proxyIncomingTo(writer);
    let got = "";
    for (const word of ["one ", "two ", "three"]) {
      fifo.write(word);
      await trial.until(() => {
        got += second.read() ?? "";
        return got.endsWith(word);
      }, word);
    }
    assert.equal(got, "one two three");
    assert.equal(reader.bytes, 0, "receiveData was not called");
  });

  rule("the end that is written learns that its reader has gone", async (trial, fifo) => {
    const idle = attach(trial, fifo, "writer");
    const busyFifo = trial.fifo();
    const busy = attach(trial, busyFifo, "writer");
    await Promise.all([idle.opened, busy.opened]);
    busy.sendData(Buffer.alloc(1_000_000));
    await trial.settle(10);
    fifo.closeReader();
    busyFifo.closeReader();
    if (!engine.has("promptReset")) {
      await trial.settle();
      idle.sendData("x");
    }
    await trial.allUnbound();
    assert.deepEqual([idle.kind, busy.kind], [engine.has("promptReset") ? "peer-closed" : "peer-reset", "peer-reset"]);
  });

  rule("a half-closed writer ends, and a paused reader is told its end when it reads on", async (trial, fifo) => {
    const reader = attach(trial, fifo, "reader");
    const writer = attach(trial, fifo, "writer");
    await Promise.all([reader.opened, writer.opened]);
    reader.pause();
    writer.sendData("last words");
    writer.halfClose();
    await trial.allUnbound(writer);
    assert.equal(writer.kind, "local-close");
    await trial.settle();
    assert.deepEqual([reader.bytes, reader.isUnbound], [0, false]);
    reader.resume();
    await trial.allUnbound();
    assert.deepEqual([reader.text, reader.kind], ["last words", "peer-closed"]);
  });

  rule("half-open, the end of a pipe is told first", async (trial, fifo) => {
    const { reader: fd } = fifo;
    fifo.gaveAway(fd);
    const reader = trial.reactor.attach({ fd, allowHalfOpen: true }, Recorder, trial, { name: "reader" });
    await reader.opened;
    fifo.write("x");
    fifo.closeWriter();
    await trial.allUnbound();
    assert.deepEqual([reader.text, reader.ends, reader.kind], ["x", 1, "peer-closed"]);
  });

  rule("closing and aborting close the descriptor", async (trial, fifo) => {
    const reader = attach(trial, fifo, "reader");
    const writer = attach(trial, fifo, "writer");
    await Promise.all([reader.opened, writer.opened]);
    const file = fileOf(fifo.reader);
    reader.closeConnection();
    writer.abort();
    await trial.allUnbound();
    assert.deepEqual([reader.kind, writer.kind], ["local-close", "local-abort"]);
    await trial.settle(5);
    for (const each of [fifo.reader, fifo.writer]) assert.notEqual(fileOf(each), file, "it is closed");
  });

  rule("a file that is always ready is a typed error, and stays its owner's", async (trial) => {
    for (const path of ["/dev/null", trial.path("file")]) {
      const fd = openSync(path, "w");
      const refused = trial.reactor.attach({ fd }, Recorder, trial, { name: path });
      await assert.rejects(refused.opened, ({ code }: ConnectError) => code === "ERR_EM_NOT_POLLABLE");
      assert.deepEqual(refused.log, ["postInit", "unbind connect-failed"]);
      closeSync(fd);
    }
  });

  rule("one end that is attached cannot be attached again, and the other can", async (trial, fifo) => {
    const reader = attach(trial, fifo, "reader");
    await reader.opened;
    const again = trial.reactor.attach({ fd: fifo.reader }, Recorder, trial, { name: "again" });
    await assert.rejects(again.opened, ({ code }: ConnectError) => code === "ERR_EM_DESCRIPTOR_OWNED");
    const writer = attach(trial, fifo, "writer");
    writer.sendData("both");
    await trial.until(() => reader.text === "both", "both ends");
  });
});
