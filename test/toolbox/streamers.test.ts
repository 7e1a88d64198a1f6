import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  ArgumentError,
  Connection,
  connect,
  FileStreamer,
  IOStreamer,
  run,
  startServer,
  stop,
  sync,
} from "eventmachine";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Takes one piece, then wants to be drained. */
class Sink {
  readonly pieces: string[] = [];
  drains = 0;
  readonly closed: Promise<void>;
  close = () => {};

  constructor() {
    this.closed = new Promise((resolve) => {
      this.close = resolve;
    });
  }

  sendData(data: Uint8Array | string): boolean {
    this.pieces.push(Buffer.from(data as string).toString());
    return false;
  }

  drained(): void {
    this.drains++;
  }
}

describe("IOStreamer", () => {
  it("sends a piece for each drained, and says how much it was", async () => {
    const sink = new Sink();
    let taken = 0;
    function* source() {
      for (const piece of ["ab", Buffer.from("c"), "", "d"]) {
        taken++;
        yield piece;
      }
    }
    const streamer = new IOStreamer(sink, source());
    for (const expected of [["ab"], ["ab", "c"], ["ab", "c", "d"]]) {
      await turn();
      assert.deepEqual(sink.pieces, expected);
      assert.ok(taken <= expected.length + 1, "it takes nothing that it cannot send");
      sink.drained();
    }
    assert.equal(await streamer, 4);
    assert.equal(streamer.bytesSent, 4);
    assert.equal(sink.drains, 3, "the sink's own drained is called, too");
    assert.ok(!Object.hasOwn(sink, "drained"), "and given back");
  });

  it("frames pieces as HTTP chunks", async () => {
    let sent = "";
    const sink = {
      sendData: (data: Uint8Array | string) => {
        sent += Buffer.from(data as string).toString();
        return true;
      },
    };
    await new IOStreamer(sink, ["é".repeat(8), "x"], { httpChunks: true });
    assert.equal(sent, `10\r\n${"é".repeat(8)}\r\n1\r\nx\r\n0\r\n\r\n`);
  });

  it("fails with what the source throws", async () => {
    async function* source() {
      yield "a";
      throw new Error("torn");
    }
    const streamer = new IOStreamer({ sendData: () => true }, source());
    await assert.rejects(async () => await streamer, /torn/);
  });

  it("fails when the sink closes or it is stopped, and closes the source", async () => {
    for (const way of ["close", "stop"] as const) {
      const sink = new Sink();
      let isClosed = false;
      async function* source() {
        try {
          for (;;) yield "a";
        } finally {
          isClosed = true;
        }
      }
      const streamer = new IOStreamer(sink, source());
      await turn();
      if (way === "close") sink.close();
      else streamer.stop();
      await assert.rejects(async () => await streamer, { code: "ERR_EM_CLOSED" });
      await turn();
      assert.deepEqual([sink.pieces, isClosed], [["a"], true]);
      assert.ok(!Object.hasOwn(sink, "drained"));
    }
  });

  it("gives back a `drained` that was the sink's own property, also behind a failure", async () => {
    for (const fails of [false, true]) {
      const drained = () => {};
      const sink = { sendData: () => true, drained };
      const source = (function* () {
        yield "a";
        if (fails) throw new Error("torn");
      })();
      const streamer = new IOStreamer(sink, source);
      assert.notEqual(sink.drained, drained);
      await sync(streamer).catch(() => {});
      assert.equal(sink.drained, drained);
    }
  });

  it("lets go of the sink at once when it is stopped, however long the source takes", async () => {
    const sink = new Sink();
    const streamer = new IOStreamer(sink, { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) });
    await turn();
    streamer.stop();
    await assert.rejects(sync(streamer), { code: "ERR_EM_CLOSED" });
    assert.ok(!Object.hasOwn(sink, "drained"));
    const next = new IOStreamer(sink, ["b"]);
    await turn();
    sink.drained();
    assert.equal(await next, 1);
  });

  it("sends nothing behind its end, and ends once", async () => {
    const sink = new Sink();
    let give = (_: IteratorResult<string>) => {};
    const next = () =>
      new Promise<IteratorResult<string>>((resolve) => {
        give = resolve;
      });
    const errors: unknown[] = [];
    const streamer = new IOStreamer(sink, { [Symbol.asyncIterator]: () => ({ next }) }, { httpChunks: true });
    streamer.errback((error) => errors.push((error as Error).message));
    for (const end of [() => streamer.stop(), () => sink.close(), () => streamer.stop()]) {
      end();
      await turn();
    }
    give({ done: false, value: "late" });
    await turn();
    give({ done: true, value: undefined });
    await turn();
    assert.deepEqual([sink.pieces, errors, streamer.status], [[], ["the streamer was stopped"], "failed"]);
    const other = new Sink();
    const sent = new IOStreamer(other, []);
    assert.equal(await sent, 0);
    sent.stop();
    other.close();
    await turn();
    assert.equal(sent.status, "succeeded");
  });

  it("stays failed when the source has", async () => {
    const source = (function* () {
      yield "a";
      throw new Error("torn");
    })();
    const streamer = new IOStreamer({ sendData: () => true }, source);
    await turn();
    assert.equal(streamer.status, "failed");
  });

  it("fails all the same when the source cannot be closed", async () => {
    const rejections: unknown[] = [];
    const note = (reason: unknown) => rejections.push(reason);
    process.on("unhandledRejection", note);
    const fail = () => {
      throw new Error("cannot close");
    };
    for (const closing of [fail, async () => fail()]) {
      const source = { next: () => ({ done: false, value: "a" }), return: closing };
      const streamer = new IOStreamer(new Sink(), { [Symbol.iterator]: () => source as never });
      await turn();
      streamer.stop();
      await assert.rejects(sync(streamer), { code: "ERR_EM_CLOSED" });
    }
    await turn();
    process.off("unhandledRejection", note);
    assert.deepEqual(rejections, []);
  });

  it("fails with what the sink throws, and closes the source", async () => {
    let isClosed = false;
    const source = (function* () {
      try {
        yield "a";
      } finally {
        isClosed = true;
      }
    })();
    const sink = {
      sendData: () => {
        throw new Error("full");
      },
    };
    await assert.rejects(sync(new IOStreamer(sink, source)), /full/);
    assert.ok(isClosed);
  });

  it("refuses a second streamer, what is no sink and what is no source", async () => {
    const sink = new Sink();
    const streamer = new IOStreamer(sink, ["a"]);
    assert.throws(() => new IOStreamer(sink, []), { code: "ERR_EM_ALREADY_STARTED" });
    assert.throws(() => new IOStreamer({} as never, []), ArgumentError);
    for (const source of [5, null, {}, "text"]) {
      assert.throws(() => new IOStreamer(new Sink(), source as never), ArgumentError);
    }
    assert.throws(() => new IOStreamer(new Sink(), [], { httpChunks: 1 as never }), ArgumentError);
    await turn();
    sink.drained();
    await streamer;
    await new IOStreamer(sink, []);
  });

  it("streams into a Connection as fast as its peer reads", async () => {
    const PIECE = Buffer.alloc(50_000, 7);
    const COUNT = 100;
    let most = 0;
    class Server extends Connection {
      override postInit(): void {
        const pieces = function* (connection: Connection) {
          for (let n = 0; n < COUNT; n++) {
            most = Math.max(most, connection.outboundSize);
            yield PIECE;
          }
        };
        new IOStreamer(this, pieces(this)).callback(() => this.closeConnectionAfterWriting());
      }
    }
    let got = 0;
    class Client extends Connection {
      override receiveData(data: Buffer): void {
        got += data.length;
      }
      override unbind(): void {
        stop();
      }
    }
    await run(async () => {
      const server = await startServer({ host: "127.0.0.1", port: 0 }, Server);
      connect({ host: "127.0.0.1", port: server.port as number }, Client);
    });
    assert.equal(got, COUNT * PIECE.length);
    assert.ok(most <= 65_536 + PIECE.length, `${most} bytes were queued`);
  });

  it("fails when the Connection ends under it", async () => {
    let failure: unknown;
    class Server extends Connection {
      override postInit(): void {
        const endless = (function* () {
          for (;;) yield Buffer.alloc(65_536);
        })();
        new IOStreamer(this, endless).errback((error) => {
          failure = error;
          stop();
        });
      }
    }
    class Client extends Connection {
      override receiveData(): void {
        this.abort();
      }
    }
    await run(async () => {
      const server = await startServer({ host: "127.0.0.1", port: 0 }, Server);
      connect({ host: "127.0.0.1", port: server.port as number }, Client);
    });
    assert.equal((failure as { code: string }).code, "ERR_EM_CLOSED");
  });
});

describe("FileStreamer", () => {
  it("sends a file in pieces, and fails where there is none", async () => {
    const folder = mkdtempSync(join(tmpdir(), "toolbox-"));
    try {
      const content = Buffer.from(Array.from({ length: 150_000 }, (_, at) => at % 251));
      writeFileSync(join(folder, "file"), content);
      const pieces: Uint8Array[] = [];
      const sink = { sendData: (data: Uint8Array | string) => pieces.push(data as Uint8Array) > 0 };
      assert.equal(await new FileStreamer(sink, join(folder, "file")), content.length);
      assert.deepEqual(Buffer.concat(pieces), content);
      assert.equal(pieces.length, 3);
      await assert.rejects(async () => await new FileStreamer(sink, join(folder, "none")), { code: "ENOENT" });
      assert.throws(() => new FileStreamer(sink, 1 as never), ArgumentError);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
