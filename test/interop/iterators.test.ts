import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ConnectError,
  Connection,
  EventMachineError,
  frame,
  frames,
  LimitError,
  lines,
  StateError,
} from "eventmachine";
import fc from "fast-check";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const size = Math.max(1, sizes[index % Math.max(1, sizes.length)] ?? 7);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of source) found.push(each);
  return found;
}

onEveryEngine("loops over a connection", (engine) => {
  engine.rule("for await gives what comes, and ends with the peer's FIN", async (trial) => {
    const sent = pattern(3_000_000);
    const served = await trial.serve({
      receiveData: (me) => {
        me.sendData(sent);
        me.closeConnectionAfterWriting();
      },
    });
    const connection = trial.reactor.connect(served.at as { host: string; port: number });
    connection.sendData("go");
    const chunks = await all(connection);
    sameBytes(Buffer.concat(chunks), sent);
    assert.equal((await connection.closed).kind, "peer-closed");
    await trial.allUnbound();
  });

  engine.rule("an echo written as a loop sends everything before the connection ends", async (trial) => {
    class Echo extends Connection {
      override async postInit(): Promise<void> {
        for await (const chunk of this) this.sendData(chunk);
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Echo);
    const sent = pattern(2_000_000);
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number }, {}, { allowHalfOpen: true });
    client.sendData(sent);
    client.halfClose();
    await trial.allUnbound();
    sameBytes(client.received, sent);
  });

  engine.rule("a slow loop holds a bounded amount and makes the peer wait", async (trial) => {
    const piece = pattern(65_536);
    let sent = 0;
    const served = await trial.serve({
      receiveData: (me) => {
        while (sent < 60_000_000) {
          sent += piece.length;
          if (!me.sendData(piece)) return;
        }
      },
      drained: (me) => me.script.receiveData?.(me, piece),
    });
    const connection = trial.reactor.connect(served.at as { host: string; port: number });
    connection.sendData("go");
    const loop = connection[Symbol.asyncIterator]();
    await loop.next();
    await trial.settle(200);
    assert.ok(sent < 30_000_000, `${sent} bytes were taken from a peer that nobody reads`);
    assert.equal(connection.isPaused, true);
    await loop.return?.();
    await trial.until(() => connection.state === "closed", "leaving the loop closes");
    assert.equal(connection.closeReason?.kind, "local-close");
    for (const peer of served.peers) peer.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("leaving the loop sends what was sent, then closes", async (trial) => {
    const { client, server, served } = await trial.pair();
    client.closeConnection();
    await trial.allUnbound(client, server);
    const connection = trial.reactor.connect(served.at as { host: string; port: number });
    const peer = await served.peer(1);
    peer.sendData("question\nmore\n");
    for await (const line of lines(connection)) {
      assert.equal(line, "question");
      connection.sendData("answer");
      break;
    }
    await trial.allUnbound();
    assert.equal(peer.text, "answer");
    assert.equal((await connection.closed).kind, "local-close");
  });

  engine.rule("the loop throws what the connection fails with, once", async (trial) => {
    const refused = trial.reactor.connect({ host: "127.0.0.1", port: await trial.deadPort() });
    await assert.rejects(all(refused), (error) => error instanceof ConnectError && error.code === "ECONNREFUSED");
    const served = await trial.serve();
    const reset = trial.reactor.connect(served.at as { host: string; port: number });
    const loop = reset[Symbol.asyncIterator]();
    const waiting = loop.next();
    (await served.peer()).abort();
    await assert.rejects(waiting, (error) => error instanceof EventMachineError && error.code === "ECONNRESET");
    assert.deepEqual(await loop.next(), { done: true, value: undefined });
    const stopped = trial.reactor.connect(served.at as { host: string; port: number });
    await stopped.opened;
    const end = assert.rejects(all(stopped), (error) => error instanceof StateError && error.code === "ERR_EM_CLOSED");
    trial.reactor.stop();
    await end;
  });

  engine.rule("the class keeps its other callbacks, and a close of its own ends the loop", async (trial) => {
    const { client } = await trial.pair({ server: { receiveData: (me, data) => me.sendData(data) } });
    const loop = all(client);
    client.sendData("x");
    await trial.until(() => client.bytesIn === 1, "the echo");
    client.closeConnection();
    assert.equal(Buffer.concat(await loop).toString(), "x");
    await trial.allUnbound();
    assert.deepEqual(client.order, ["postInit", "connectionCompleted", "unbind local-close"]);
  });

  engine.rule("with allowHalfOpen the end of the loop leaves the connection open for writing", async (trial) => {
    const { client, server } = await trial.pair({ connect: { allowHalfOpen: true }, listen: { allowHalfOpen: true } });
    const loop = all(client);
    server.halfClose();
    await loop;
    assert.equal(client.state, "open");
    client.sendData("still here");
    client.halfClose();
    await trial.allUnbound();
    assert.equal(server.text, "still here");
  });

  engine.rule("what is sent right behind the loop still leaves", async (trial) => {
    class Count extends Connection {
      override async postInit(): Promise<void> {
        let count = 0;
        for await (const line of lines(this)) count += Number(line);
        this.sendData(`${count}`);
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Count);
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number }, {}, { allowHalfOpen: true });
    client.sendData("1\n20\n300");
    client.halfClose();
    await trial.allUnbound();
    assert.equal(client.text, "321");
  });

  engine.rule("one taker of the data at a time", async (trial) => {
    const { client } = await trial.pair();
    const loop = client[Symbol.asyncIterator]();
    assert.throws(() => client[Symbol.asyncIterator](), { code: "ERR_EM_CLAIMED" });
    await loop.return?.();
    await trial.allUnbound();
    assert.throws(() => client[Symbol.asyncIterator](), { code: "ERR_EM_CLOSED" });
  });

  engine.rule("lines and frames from a connection", async (trial) => {
    const served = await trial.serve({
      receiveData: (me) => {
        me.sendData(["one\r\ntwo\n", frame(Buffer.from("not a line"))]);
        me.closeConnectionAfterWriting();
      },
    });
    const connection = trial.reactor.connect(served.at as { host: string; port: number });
    connection.sendData("go");
    assert.deepEqual(
      await all(lines(connection)),
      ["one", "two", "\0\0\0\nnot a line"].flatMap((text) => text.split("\n")),
    );
    await trial.allUnbound();
  });
});

test("lines: every cut of the same bytes gives the same lines", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ maxLength: 20 }).map((text) => text.replace(/[\r\n]/g, "."))),
      fc.string({ maxLength: 10 }).map((text) => text.replace(/[\r\n]/g, ".")),
      fc.array(fc.integer({ min: 1, max: 30 })),
      async (whole, rest, sizes) => {
        const bytes = Buffer.from(whole.map((text) => `${text}\n`).join("") + rest);
        const expected = rest === "" ? whole : [...whole, rest];
        assert.deepEqual(await all(lines(inPieces(bytes, sizes))), expected);
      },
    ),
  );
});

test("frames: every cut of the same bytes gives the same frames", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 200 })),
      fc.array(fc.integer({ min: 1, max: 90 })),
      fc.constantFrom(1 as const, 2 as const, 4 as const),
      fc.boolean(),
      async (payloads, sizes, headerSize, littleEndian) => {
        const options = { headerSize, littleEndian };
        const bytes = Buffer.concat(payloads.map((payload) => frame(payload, options)));
        const found = await all(frames(inPieces(bytes, sizes), options));
        assert.deepEqual(
          found,
          payloads.map((payload) => Buffer.from(payload)),
        );
      },
    ),
  );
});

test("a line or frame over its limit, and a stream that ends inside a frame", async () => {
  await assert.rejects(
    all(lines(inPieces(Buffer.alloc(100, "x"), [10]), { maxLineLength: 50 })),
    (error) => error instanceof LimitError && error.code === "ERR_EM_LINE_TOO_LONG" && error.limit === 50,
  );
  const framed = frame(Buffer.alloc(100));
  await assert.rejects(
    all(frames(inPieces(framed, [9]), { maxFrameLength: 99 })),
    (error) => error instanceof LimitError && error.code === "ERR_EM_FRAME_TOO_LONG" && error.limit === 99,
  );
  for (const length of [3, 4, 50, 103]) {
    await assert.rejects(all(frames(inPieces(framed.subarray(0, length), [9]))), { code: "ERR_EM_FRAME_TRUNCATED" });
  }
  // A peer that announces much and sends nothing costs nothing.
  const announced = Buffer.from([0x01, 0xff, 0xff, 0xff]);
  await assert.rejects(all(frames(inPieces(announced, [4]))), { code: "ERR_EM_FRAME_TRUNCATED" });
});

test("what lines, frames and frame cannot take", () => {
  const source = inPieces(Buffer.alloc(0), []);
  const wrong: [() => unknown, string?][] = [
    [() => lines(undefined as never)],
    [() => lines("text" as never)],
    [() => lines(source, null as never)],
    [() => lines(source, { delimiter: "" })],
    [() => lines(source, { maxLineLength: 0 })],
    [() => frames([] as never)],
    [() => frames(source, null as never)],
    [() => frames(source, { headerSize: 3 as never })],
    [() => frames(source, { littleEndian: "yes" as never })],
    [() => frames(source, { headerSize: 1, maxFrameLength: 256 })],
    [() => frames(source, { maxFrameLength: -1 })],
    [() => frame("text" as never)],
    [() => frame(Buffer.alloc(256), { headerSize: 1 }), "ERR_EM_FRAME_TOO_LONG"],
  ];
  for (const [action, code = "ERR_EM_INVALID_ARGUMENT"] of wrong) {
    assert.throws(action, (error) => error instanceof EventMachineError && error.code === code, String(action));
  }
});
