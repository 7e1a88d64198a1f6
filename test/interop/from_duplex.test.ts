import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import net, { type AddressInfo } from "node:net";
import { Duplex, PassThrough } from "node:stream";
import { TLSSocket } from "node:tls";
import { Connection, EventMachineError, fromDuplex, toDuplex, UnsupportedError } from "eventmachine";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { Recorder, type Script, type Witness } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";
import { within } from "../support/wait.js";

/** Two streams, each of which gives what is written to the other, at once and within the write. */
function streamPair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const make = (other: () => Duplex) =>
    new Duplex({
      allowHalfOpen: true,
      read() {
        const waiting = this as unknown as { waiting?: () => void };
        const go = waiting.waiting;
        delete waiting.waiting;
        go?.();
      },
      write(chunk, _encoding, callback) {
        const peer = other() as unknown as { waiting?: () => void } & Duplex;
        if (peer.push(chunk)) callback();
        else peer.waiting = callback;
      },
      final(callback) {
        other().push(null);
        callback();
      },
    });
  ends.push(
    make(() => ends[1] as Duplex),
    make(() => ends[0] as Duplex),
  );
  return ends as [Duplex, Duplex];
}

function over(trial: Trial, duplex: Duplex, script: Script = {}, options = {}): Recorder {
  return trial.reactor.fromDuplex({ duplex, ...options }, Recorder, trial as Witness, script);
}

onEveryEngine("a connection over a Node stream", (engine) => {
  engine.rule("lives like a client's: completed, data, unbind", async (trial) => {
    const [one, two] = streamPair();
    const connection = over(trial, one, { connectionCompleted: (me) => me.sendData("hello ") });
    connection.sendData("early ");
    assert.equal(connection.state, "connecting");
    assert.equal(trial.reactor.connectionCount, 1);
    let text = "";
    two.on("data", (chunk) => {
      text += chunk;
      if (text === "early hello ") two.end("bye");
    });
    await trial.allUnbound();
    assert.equal(connection.text, "bye");
    assert.equal(connection.kind, "peer-closed");
    assert.deepEqual(connection.order, ["postInit", "connectionCompleted", "receiveData", "unbind peer-closed"]);
    assert.equal(connection.bytesIn, 3);
    assert.equal(connection.bytesOut, 12);
    assert.equal(one.destroyed, true);
  });

  engine.rule("two connections over the two ends: megabytes, never within a command", async (trial) => {
    const [one, two] = streamPair();
    const all = pattern(5_000_000);
    const echo = over(trial, one, { receiveData: (me, data) => me.sendData(data) });
    const client = over(
      trial,
      two,
      {
        connectionCompleted: (me) => {
          me.sendData(all);
          me.halfClose();
        },
      },
      { allowHalfOpen: true },
    );
    await trial.allUnbound();
    sameBytes(client.received, all);
    assert.equal(echo.kind, "peer-closed");
    assert.equal(client.kind, "peer-closed");
  });

  engine.rule("back-pressure: false, then drained; pause holds what comes", async (trial) => {
    const [one, two] = streamPair();
    two.pause();
    const connection = over(trial, one, {
      connectionCompleted: (me) => {
        assert.equal(me.sendData(Buffer.alloc(500_000)), false);
        assert.equal(me.sendData(Buffer.alloc(500_000)), false);
      },
    });
    await connection.opened;
    await trial.settle();
    assert.equal(connection.drains, 0);
    assert.ok(connection.outboundSize > 0);
    connection.pause();
    two.write("held");
    await trial.settle();
    assert.equal(connection.bytes, 0);
    let got = 0;
    two.on("data", (chunk) => {
      got += chunk.length;
    });
    two.resume();
    await trial.until(() => got === 1_000_000, "everything arrives");
    await trial.until(() => connection.drains === 1, "one drained");
    connection.resume();
    await trial.until(() => connection.text === "held", "what was held");
    connection.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("small writes of a turn leave together, in order, around files and large ones", async (trial) => {
    const path = trial.path("middle");
    writeFileSync(path, pattern(1_000));
    const [one, two] = streamPair();
    const chunks: Buffer[] = [];
    two.on("data", (chunk) => chunks.push(chunk));
    const connection = over(trial, one);
    await connection.opened;
    const expected: Buffer[] = [];
    const send = (data: Buffer) => {
      connection.sendData(data);
      expected.push(Buffer.from(data));
      data.fill(0);
    };
    for (let count = 0; count < 300_000; count++) send(Buffer.from([count % 251]));
    connection.sendFileData(path);
    expected.push(pattern(1_000));
    send(pattern(10));
    send(pattern(200_000));
    for (const size of [1, 65_535, 1, 65_536, 2, 255, 256]) send(pattern(size));
    assert.equal(connection.outboundSize, 300_000 + 200_010 + 131_586);
    connection.closeConnectionAfterWriting();
    two.end();
    await trial.allUnbound();
    sameBytes(Buffer.concat(chunks), Buffer.concat(expected));
    assert.ok(chunks.length < 20, `${chunks.length} chunks`);
  });

  engine.rule("half-close both ways", async (trial) => {
    const [one, two] = streamPair();
    const connection = over(trial, one, { receiveEnd: (me) => void me.sendData("answer") }, { allowHalfOpen: true });
    two.end("question");
    await trial.until(() => connection.ends === 1, "the end");
    assert.equal(connection.text, "question");
    connection.halfClose();
    const chunks: Buffer[] = [];
    for await (const chunk of two) chunks.push(chunk as Buffer);
    assert.equal(Buffer.concat(chunks).toString(), "answer");
    await trial.allUnbound();
    assert.equal(connection.kind, "peer-closed");
  });

  engine.rule("a stream that Node would end with the peer's end ends after what is written by then", async (trial) => {
    const chunks: Buffer[] = [];
    const stream = new Duplex({
      allowHalfOpen: false,
      read() {},
      write(chunk, _encoding, done) {
        chunks.push(chunk);
        done();
      },
    });
    const connection = over(trial, stream, {
      receiveData: (me) => {
        me.sendData("answer");
        process.nextTick(() => me.sendData(" and more"));
      },
    });
    stream.push("question");
    stream.push(null);
    await trial.allUnbound();
    assert.equal(connection.text, "question");
    assert.equal(Buffer.concat(chunks).toString(), "answer and more");
    assert.equal(connection.kind, "peer-closed");
  });

  engine.rule(
    "a stream that ends and closes itself after the peer's end leaves no connection behind",
    async (trial) => {
      const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
      const connection = over(trial, stream, { receiveEnd: () => void stream.end() }, { allowHalfOpen: true });
      await connection.opened;
      stream.push("last words");
      stream.push(null);
      await trial.allUnbound();
      assert.equal(connection.text, "last words");
      assert.equal(connection.ends, 1);
      assert.equal(connection.kind, "peer-closed");
    },
  );

  engine.rule("closing after writing sends everything, closing at once destroys", async (trial) => {
    const [one, two] = streamPair();
    const all = pattern(1_000_000);
    const first = over(trial, one);
    first.sendData(all);
    first.closeConnectionAfterWriting();
    const chunks: Buffer[] = [];
    two.on("data", (chunk) => chunks.push(chunk));
    await once(two, "end");
    two.end();
    await trial.allUnbound();
    sameBytes(Buffer.concat(chunks), all);
    assert.equal(first.kind, "local-close");
    const [three] = streamPair();
    const second = over(trial, three);
    await second.opened;
    second.abort();
    await trial.allUnbound();
    assert.equal(second.kind, "local-abort");
    assert.equal(three.destroyed, true);
  });

  engine.rule("a stream that fails or is destroyed is a reason", async (trial) => {
    const reasons = await Promise.all(
      [
        (stream: Duplex) =>
          stream.destroy(
            Object.assign(new Error("read ECONNRESET"), { errno: -104, code: "ECONNRESET", syscall: "read" }),
          ),
        (stream: Duplex) => stream.destroy(new Error("a parser's error")),
        (stream: Duplex) => stream.destroy(),
      ].map(async (end) => {
        const [one] = streamPair();
        const connection = over(trial, one);
        await connection.opened;
        end(one);
        return connection.closed;
      }),
    );
    assert.deepEqual(
      reasons.map(({ kind }) => kind),
      ["peer-reset", "system-error", "peer-reset"],
    );
    const [, failed] = reasons as { error: EventMachineError }[];
    assert.equal(failed?.error.code, "ERR_EM_STREAM_FAILED");
    assert.match(String(failed?.error.cause), /a parser's error/);
  });

  engine.rule("deadlines, the outbound limit and stop reach it", async (trial) => {
    const [one] = streamPair();
    const idle = over(trial, one, {}, { commInactivityTimeout: 40 });
    assert.equal((await idle.closed).kind, "timeout");
    const [two, silent] = streamPair();
    silent.pause();
    const full = over(trial, two, {}, { outboundLimit: 100_000 });
    await full.opened;
    full.sendData(Buffer.alloc(200_000));
    await trial.settle();
    full.sendData("x");
    assert.equal((await full.closed).kind, "outbound-limit");
    const [three] = streamPair();
    const last = over(trial, three);
    await last.opened;
    trial.reactor.stop();
    assert.equal((await last.closed).kind, "stop");
  });

  engine.rule("closed before it is open", async (trial) => {
    const [one] = streamPair();
    const connection = over(trial, one);
    connection.closeConnection();
    assert.equal((await connection.closed).kind, "connect-aborted");
    assert.equal(one.destroyed, true);
  });

  engine.rule("files are sent in their place", async (trial) => {
    const [one, two] = streamPair();
    const content = pattern(300_000);
    const path = trial.path("content");
    writeFileSync(path, content);
    const connection = over(trial, one);
    connection.sendData("before ");
    const sent = connection.sendFileData(path);
    connection.sendData(" behind");
    connection.closeConnectionAfterWriting();
    const chunks: Buffer[] = [];
    two.on("data", (chunk) => chunks.push(chunk));
    await once(two, "end");
    sameBytes(Buffer.concat(chunks), Buffer.concat([Buffer.from("before "), content, Buffer.from(" behind")]));
    assert.equal(await sent, content.length);
    two.end();
    await trial.allUnbound();
  });

  engine.rule("over a net.Socket it knows its addresses, and sets what a socket has", async (trial) => {
    const server = net.createServer((socket) => void socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const connection = over(trial, net.connect(port, "127.0.0.1"));
    connection.sendData("through a socket");
    await trial.until(() => connection.text === "through a socket", "the echo");
    assert.deepEqual(connection.remoteAddress, { family: "IPv4", host: "127.0.0.1", port });
    connection.setNoDelay();
    connection.enableKeepalive({ idle: 5000 });
    assert.throws(() => connection.enableKeepalive({ count: 3 }), UnsupportedError);
    assert.throws(() => connection.getSockOpt(1, 2), UnsupportedError);
    assert.throws(() => connection.startTls({ role: "client", verifyName: "localhost" }), UnsupportedError);
    await assert.rejects(connection.detach(), UnsupportedError);
    connection.closeConnection();
    await trial.allUnbound();
    server.close();
  });

  engine.rule("aborting ends what cannot be reset too: Unix sockets, and TLS on a socket", async (trial) => {
    let closed = 0;
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.on("close", () => closed++);
      socket.resume();
    });
    server.listen(trial.path("socket"));
    await once(server, "listening");
    const first = over(trial, net.connect(trial.path("socket")));
    await first.opened;
    first.abort();
    await trial.until(() => closed === 1, "the Unix socket is closed");
    const tcp = net.connect((await trial.serve()).at as { host: string; port: number });
    await once(tcp, "connect");
    const second = over(trial, new TLSSocket(tcp));
    await second.opened;
    second.abort();
    await trial.until(() => tcp.destroyed, "the socket under TLS is closed");
    await trial.allUnbound();
    server.close();
  });

  engine.rule("a net.Socket's addresses are known until the end", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.closeConnection() });
    const at = served.at as { host: string; port: number };
    let seen: unknown;
    const connection = over(trial, net.connect(at), {
      unbind: (me) => {
        seen = me.remoteAddress;
      },
    });
    await trial.allUnbound();
    assert.equal(connection.kind, "peer-closed");
    assert.deepEqual(seen, { family: "IPv4", host: "127.0.0.1", port: at.port });
  });

  engine.rule("a connect that is refused under it is a reason", async (trial) => {
    const connection = over(trial, net.connect(await trial.deadPort(), "127.0.0.1"));
    const reason = await connection.closed;
    assert.equal(reason.kind, "connect-refused");
    assert.equal((reason as { error: EventMachineError }).error.code, "ECONNREFUSED");
  });

  engine.rule("round and round: a stream over a connection over a stream over a connection", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    const plain = trial.reactor.connect(served.at as { host: string; port: number });
    const inner = trial.reactor.fromDuplex(toDuplex(plain), Connection);
    const outer = toDuplex(inner);
    const all = pattern(2_000_000);
    outer.end(all);
    const chunks: Buffer[] = [];
    for await (const chunk of outer) chunks.push(chunk as Buffer);
    sameBytes(Buffer.concat(chunks), all);
    await inner.closed;
    await plain.closed;
  });

  engine.rule("what it cannot take is refused before anything is made", async (trial) => {
    const ended = new PassThrough();
    ended.end();
    const destroyed = new PassThrough();
    destroyed.destroy();
    const decoding = new PassThrough();
    decoding.setEncoding("utf8");
    const before = trial.recorders.length;
    const refused: [unknown, string][] = [
      [undefined, "ERR_EM_INVALID_ARGUMENT"],
      [7, "ERR_EM_INVALID_ARGUMENT"],
      [{}, "ERR_EM_INVALID_ARGUMENT"],
      [{ duplex: null }, "ERR_EM_INVALID_ARGUMENT"],
      [new PassThrough({ objectMode: true }), "ERR_EM_INVALID_ARGUMENT"],
      [decoding, "ERR_EM_INVALID_ARGUMENT"],
      [ended, "ERR_EM_CLOSED"],
      [destroyed, "ERR_EM_CLOSED"],
      [{ duplex: new PassThrough(), highWaterMark: -1 }, "ERR_EM_INVALID_ARGUMENT"],
    ];
    for (const [duplex, code] of refused) {
      assert.throws(
        () => trial.reactor.fromDuplex(duplex as Duplex, Recorder, trial as Witness),
        (error) => error instanceof EventMachineError && error.code === code,
      );
    }
    const isRefusal = (error: unknown) => error instanceof UnsupportedError && error.capability === "tls";
    const tls = { duplex: new PassThrough(), tls: true } as { duplex: Duplex };
    assert.throws(() => trial.reactor.fromDuplex(tls, Recorder, trial as Witness), isRefusal);
    assert.throws(
      () => trial.reactor.fromDuplex(new PassThrough(), {} as typeof Connection),
      (error) => error instanceof EventMachineError && error.code === "ERR_EM_INVALID_HANDLER",
    );
    assert.equal(trial.recorders.length, before);
    assert.equal(trial.reactor.connectionCount, 0);
  });

  engine.rule("the module's function serves the current reactor; outside of run it is refused", async (trial) => {
    const [one, two] = streamPair();
    const connection = trial.reactor.fromDuplex(one, Connection);
    connection.closeConnection();
    await connection.closed;
    trial.reactor.schedule(() => {
      const second = fromDuplex(two, Recorder, trial as Witness);
      second.closeConnection();
    });
    await trial.until(() => trial.recorders.length === 1, "it is made");
    await trial.allUnbound();
    assert.throws(
      () => trial.makeReactor().fromDuplex(new PassThrough(), Connection),
      (error) => error instanceof EventMachineError && error.code === "ERR_EM_NOT_RUNNING",
    );
  });

  engine.rule("one that ends before it is open holds up neither a stop nor a drain", async (trial) => {
    const ways: Record<string, (connection: Connection, duplex: Duplex) => unknown> = {
      close: (connection) => connection.closeConnection(),
      abort: (connection) => connection.abort(),
      finish: (connection) => connection.closeConnectionAfterWriting(),
      destroy: (_connection, duplex) => duplex.destroy(),
      fail: (_connection, duplex) => duplex.destroy(new Error("boom")),
    };
    for (const [name, end] of Object.entries(ways)) {
      for (const how of ["stop", "drain", "unbind"]) {
        const reactor = trial.makeReactor();
        let unbound = 0;
        class Over extends Connection {
          override unbind(): void {
            unbound++;
            if (how === "unbind") reactor.stop();
          }
        }
        const running = reactor.run(async () => {
          const duplex = new PassThrough();
          end(reactor.fromDuplex(duplex, Over), duplex);
          if (how === "drain") assert.deepEqual(await reactor.drain(5_000), { finished: 1, aborted: 0 });
          if (how !== "unbind") reactor.stop();
        });
        await within(running, `${name}, ${how}: the run ends`);
        assert.equal(unbound, 1, `${name}, ${how}`);
      }
    }
  });
});
