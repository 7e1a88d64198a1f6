import assert from "node:assert/strict";
import {
  ArgumentError,
  type CloseReason,
  type ConnectAddress,
  LimitError,
  type LineOptions,
  LineText2,
  StateError,
} from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

interface Script {
  options?: LineOptions;
  line?(me: Lines, line: string): unknown;
  binary?(me: Lines, data: Buffer): unknown;
  end?(me: Lines): unknown;
  onError?(error: unknown): boolean;
}

/** Notes what it receives; "[...]" are binary data. */
class Lines extends LineText2 {
  readonly script: Script;
  readonly notes: string[] = [];
  readonly errors: unknown[] = [];
  reason: CloseReason | undefined;
  /** What was `unfinished` in `unbind`. */
  rest = "";

  constructor(script: Script = {}) {
    super(script.options);
    this.script = script;
  }

  override receiveLine(line: string): unknown {
    this.notes.push(line);
    return this.script.line?.(this, line);
  }

  override receiveBinaryData(data: Buffer): unknown {
    this.notes.push(`[${data}]`);
    return this.script.binary?.(this, data);
  }

  override receiveEndOfBinaryData(): unknown {
    this.notes.push("[end]");
    return this.script.end?.(this);
  }

  override onError(error: unknown): boolean {
    this.errors.push(error);
    return this.script.onError?.(error) ?? false;
  }

  override unbind(reason: CloseReason): unknown {
    this.reason = reason;
    this.rest = this.unfinished.toString();
    return super.unbind(reason);
  }
}

interface Talk {
  lines: Lines;
  peer: Recorder;
  /** Waits until so many notes were taken. */
  noted(count: number): Promise<string[]>;
  /** Waits for `unbind`. */
  ended(): Promise<CloseReason>;
}

/** A raw peer, connected to a server of lines. */
async function talk(trial: Trial, script: Script = {}): Promise<Talk> {
  const accepted: Lines[] = [];
  class Accepted extends Lines {
    override postInit(): void {
      accepted.push(this);
    }
  }
  const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Accepted, script);
  const peer = trial.dial({ host: "127.0.0.1", port: listener.port as number });
  await trial.until(() => accepted.length === 1, "the connection is accepted");
  const lines = accepted[0] as Lines;
  return {
    lines,
    peer,
    noted: async (count) => {
      await trial.until(() => lines.notes.length >= count, `${count} notes, not ${JSON.stringify(lines.notes)}`);
      return lines.notes;
    },
    ended: async () => {
      await trial.until(() => lines.reason !== undefined, "it is unbound");
      return lines.reason as CloseReason;
    },
  };
}

onEveryEngine("LineText2", (engine) => {
  engine.rule("delivers lines, blocks and their ends in the order of the bytes", async (trial) => {
    const { peer, noted } = await talk(trial, {
      line: (me, line) => {
        if (line.startsWith("block ")) me.setBinaryMode(Number(line.slice(6)));
        if (line === "bars") me.setDelimiter("|");
        if (line === "raw") me.setTextMode();
      },
    });
    peer.sendData("one\r\n\nblock 5\na\nb\n");
    await trial.settle(5);
    peer.sendData("ctwo\nbars\nthree|four\n|raw|five|\n");
    const notes = await noted(10);
    const ordered = ["one", "", "block 5", "[a\nb\nc]", "[end]", "two", "bars", "three", "four\n", "raw"];
    assert.deepEqual(notes.slice(0, 10), ordered);
    await trial.until(() => notes.slice(10).join("") === "[five|\n]", "what is raw came as it was");
  });

  engine.rule("puts lines together from single bytes", async (trial) => {
    const { peer, noted } = await talk(trial, { options: { delimiter: "\r\n" } });
    for (const byte of Buffer.from("ab\r\rc\r\nd\r\n")) {
      peer.sendData(Uint8Array.of(byte));
      await trial.turn();
    }
    assert.deepEqual(await noted(2), ["ab\r\rc", "d"]);
  });

  engine.rule("many lines in one piece are answered in order", async (trial) => {
    const { peer } = await talk(trial, { line: (me, line) => me.sendData(`${line}!\n`) && undefined });
    const sent = Array.from({ length: 5000 }, (_, index) => `line ${index}`);
    peer.sendData(`${sent.join("\n")}\n`);
    const expected = sent.map((line) => `${line}!\n`).join("");
    await trial.until(() => peer.bytes >= expected.length, "all answers are there");
    assert.equal(Buffer.concat(peer.chunks).toString(), expected);
  });

  engine.rule(
    "a pause within a line holds back those behind it; resume delivers them in a later turn",
    async (trial) => {
      const { lines, peer, noted, ended } = await talk(trial, {
        line: (me, line) => {
          if (line.startsWith("pause")) me.pause();
        },
      });
      peer.sendData("a\npause 1\nb\npause 2\nc\nd");
      assert.deepEqual(await noted(2), ["a", "pause 1"]);
      peer.sendData("d\npause 3\n");
      peer.closeConnectionAfterWriting();
      await trial.settle();
      assert.equal(lines.isPaused, true);
      assert.equal(lines.notes.length, 2);
      lines.resume();
      assert.equal(lines.isPaused, false);
      assert.equal(lines.notes.length, 2, "not within resume");
      assert.deepEqual((await noted(4)).slice(2), ["b", "pause 2"]);
      await trial.settle();
      assert.equal(lines.notes.length, 4);
      lines.resume();
      lines.pause();
      await trial.settle();
      assert.equal(lines.notes.length, 4, "paused again in the same turn");
      lines.resume();
      lines.resume();
      assert.deepEqual((await noted(7)).slice(4), ["c", "dd", "pause 3"]);
      assert.equal(lines.reason, undefined, "the peer's FIN waits behind the pause");
      lines.resume();
      assert.equal((await ended()).kind, "peer-closed");
    },
  );

  engine.rule("after a pause with nothing held back, resume goes on as ever", async (trial) => {
    const { lines, peer, noted } = await talk(trial, { line: (me) => me.pause() });
    for (const line of ["a", "b", "c"]) {
      peer.sendData(`${line}\n`);
      await trial.until(() => lines.notes.includes(line), `${line} came`);
      lines.resume();
    }
    assert.deepEqual(await noted(3), ["a", "b", "c"]);
  });

  for (const how of ["closeConnection", "closeConnectionAfterWriting", "abort"] as const) {
    engine.rule(`no line comes after ${how}; those it cut off are unfinished`, async (trial) => {
      const { lines, peer, ended } = await talk(trial, {
        line: (me, line) => {
          if (line === "quit") me[how]();
        },
      });
      peer.sendData("a\nquit\nb\nc");
      await ended();
      assert.deepEqual(lines.notes, ["a", "quit"]);
      assert.equal(lines.rest, "b\nc");
      lines.setDelimiter("|");
      lines.setLineMode("d|");
      assert.deepEqual(lines.notes, ["a", "quit"]);
    });
  }

  engine.rule(
    "a block that the close cut off is given without an end; a line is not, but unfinished",
    async (trial) => {
      const first = await talk(trial);
      first.lines.setBinaryMode(10);
      first.peer.sendData("123");
      first.peer.closeConnectionAfterWriting();
      await first.ended();
      assert.deepEqual(first.lines.notes, ["[123]"]);
      const second = await talk(trial);
      second.peer.sendData("whole\nhal");
      second.peer.closeConnectionAfterWriting();
      await second.ended();
      assert.deepEqual(second.lines.notes, ["whole"]);
      assert.equal(second.lines.rest, "hal");
    },
  );

  engine.rule("a line that throws ends the connection, and none follows", async (trial) => {
    const reported: unknown[] = [];
    trial.reactor.onError((error) => reported.push(error));
    const bad = new RangeError("on purpose");
    const { lines, peer, ended } = await talk(trial, {
      line: (_, line) => {
        if (line === "bad") throw bad;
      },
    });
    peer.sendData("a\nbad\nb\n");
    assert.deepEqual(await ended(), { kind: "handler-error", error: bad });
    assert.deepEqual(lines.notes, ["a", "bad"]);
    assert.deepEqual(lines.errors, [bad]);
    assert.deepEqual(reported, [bad]);
  });

  engine.rule("where onError takes what callbacks throw or reject with, the next follows", async (trial) => {
    const { lines, peer, noted } = await talk(trial, {
      onError: () => true,
      line: async (me, line) => {
        if (line === "block") me.setBinaryMode(2);
        throw new RangeError(line);
      },
      binary: () => {
        throw new RangeError("binary");
      },
      end: () => {
        throw new RangeError("end");
      },
    });
    peer.sendData("a\nblock\nxyb\n");
    assert.deepEqual(await noted(5), ["a", "block", "[xy]", "[end]", "b"]);
    await trial.until(() => lines.errors.length === 5, "all errors were seen");
    const names = lines.errors.map((error) => (error as Error).message);
    assert.deepEqual(names.sort(), ["a", "b", "binary", "block", "end"]);
  });

  engine.rule("a line over the limit ends the connection with its error", async (trial) => {
    const reported: unknown[] = [];
    trial.reactor.onError((error) => reported.push(error));
    const { lines, peer, ended } = await talk(trial);
    assert.equal(lines.maxLineLength, 64 * 1024);
    peer.sendData(`ok\n${"x".repeat(64 * 1024)}\n${"x".repeat(64 * 1024 + 1)}\nnever\n`);
    const reason = await ended();
    assert.equal(reason.kind, "handler-error");
    const [error] = lines.errors;
    assert.ok(error instanceof LimitError);
    assert.equal(error.code, "ERR_EM_LINE_TOO_LONG");
    assert.equal(error.limit, 64 * 1024);
    assert.deepEqual(reported, [error]);
    assert.deepEqual(
      lines.notes.map((line) => line.length),
      [2, 64 * 1024],
    );
  });

  engine.rule("where onError takes that error, the line is dropped and the next one read", async (trial) => {
    const { lines, peer, noted } = await talk(trial, { options: { maxLineLength: 10 }, onError: () => true });
    peer.sendData(`one\n${"x".repeat(200_000)}`);
    await trial.until(() => lines.errors.length === 1, "the error came before the line's end");
    assert.equal(lines.unfinished.length, 0);
    peer.sendData("xxx\ntwo\n");
    assert.deepEqual(await noted(2), ["one", "two"]);
    assert.equal(lines.errors.length, 1);
  });

  engine.rule("a block over the limit is refused where it is asked for", async (trial) => {
    trial.reactor.onError(() => {});
    const { lines, peer, ended } = await talk(trial, { line: (me, line) => me.setBinaryMode(Number(line)) });
    peer.sendData(`${32 * 1024 * 1024 + 1}\nrest`);
    assert.equal((await ended()).kind, "handler-error");
    const [error] = lines.errors;
    assert.ok(error instanceof LimitError);
    assert.equal(error.code, "ERR_EM_BINARY_TOO_LONG");
    assert.equal(lines.maxBinaryLength, 32 * 1024 * 1024);
  });

  engine.rule("what is thrown back is read at once, first and in order", async (trial) => {
    const { lines, peer, noted } = await talk(trial, {
      line: (me, line) => {
        if (line === "again") me.setLineMode("x\ny");
      },
    });
    peer.sendData("again\nz\nhal");
    assert.deepEqual(await noted(3), ["again", "x", "yz"]);
    await trial.until(() => lines.unfinished.length === 3, "the half line is there");
    lines.setLineMode(Buffer.from("s\nw"));
    assert.deepEqual(lines.notes.slice(3), ["s"]);
    peer.sendData("f\n");
    assert.deepEqual((await noted(5)).slice(4), ["whalf"]);
  });

  engine.rule("binary data is the receiver's to keep", async (trial) => {
    const kept: Buffer[] = [];
    const { lines, peer } = await talk(trial, {
      binary: (_, data) => {
        kept.push(data);
      },
    });
    lines.setBinaryMode();
    for (let index = 0; index < 20; index++) {
      peer.sendData(Buffer.alloc(1000, index));
      await trial.turn();
    }
    await trial.until(() => kept.reduce((sum, data) => sum + data.length, 0) === 20_000, "all came");
    const whole = Buffer.concat(kept);
    for (let index = 0; index < 20_000; index++) assert.equal(whole[index], Math.floor(index / 1000));
  });

  engine.rule("a new life begins with lines and without the old one's rest", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.sendData("hello|hal") && undefined });
    const address = served.at as ConnectAddress;
    const lines = trial.reactor.connect(address, Lines, { options: { delimiter: "|" } });
    await trial.until(() => lines.notes.length === 1 && lines.unfinished.length === 3, "the first life's bytes");
    lines.setBinaryMode(100);
    lines.closeConnection();
    await trial.until(() => lines.reason !== undefined, "the first life ended");
    lines.reconnect(address);
    await trial.until(() => lines.notes.length === 3, "the second life's line");
    assert.deepEqual(lines.notes, ["hello", "[hal]", "hello"]);
    assert.equal(lines.isPaused, false);
    lines.closeConnection();
    await lines.closed;
  });

  engine.rule("a reconnect while lines are held back begins unpaused", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.sendData("a\nb\n") && undefined });
    const address = served.at as ConnectAddress;
    let paused = 0;
    const lines = trial.reactor.connect(address, Lines, { line: (me: Lines) => void (paused++ === 0 && me.pause()) });
    await trial.until(() => lines.notes.length === 1, "the first line");
    lines.resume();
    lines.abort();
    await trial.until(() => lines.reason !== undefined, "the first life ended");
    assert.deepEqual(lines.notes, ["a"]);
    lines.reconnect(address);
    await trial.until(() => lines.notes.length === 3, "the second life's lines");
    assert.deepEqual(lines.notes, ["a", "a", "b"]);
    lines.closeConnection();
    await lines.closed;
  });

  engine.rule("settings are legal in the constructor, what would deliver is not", async (trial) => {
    class Early extends LineText2 {
      constructor() {
        super({ maxLineLength: 5 });
        this.setDelimiter(";");
        this.maxLineLength = 7;
        this.maxBinaryLength = 9;
        this.setBinaryMode(9);
        assert.throws(
          () => this.setLineMode("line;"),
          (error) => error instanceof StateError && error.code === "ERR_EM_NOT_ATTACHED",
        );
        assert.equal(this.unfinished.length, 0);
      }
    }
    assert.equal(new Early().maxLineLength, 7);
    const bad: [LineOptions, RegExp][] = [
      [{ delimiter: "" }, /^delimiter must/],
      [{ maxLineLength: 0 }, /^maxLineLength must/],
      [{ maxBinaryLength: -1 }, /^maxBinaryLength must/],
      [{ encoding: "utf16le" as "utf8" }, /^encoding must/],
      [5 as LineOptions, /^options must/],
      [null as unknown as LineOptions, /^options must/],
    ];
    for (const [options, message] of bad) {
      assert.throws(() => new LineText2(options), { name: "ArgumentError", message });
      assert.throws(
        () => trial.reactor.connect({ host: "127.0.0.1", port: 1 }, LineText2, options),
        (error) => error instanceof ArgumentError && message.test(error.message),
      );
    }
  });
});
