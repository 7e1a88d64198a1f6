import assert from "node:assert/strict";
import { Connection } from "eventmachine";
import { PatternCheck, pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { Recorder } from "../support/recorder.js";

const KiB = 1024;

onEveryEngine("write", (engine) => {
  engine.ruleOnEach("all 256 values of a byte survive", async (trial) => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    const { client, server } = await trial.pair();
    client.sendData(all);
    client.sendData(new Uint8Array(all));
    client.sendData(all.toString("latin1"), "latin1");
    await trial.until(() => server.bytes === 768, "they arrive");
    sameBytes(server.received, Buffer.concat([all, all, all]));
  });

  engine.ruleOnEach("text in every encoding", async (trial) => {
    const text = "Grüße, 世界 🌍 \0";
    const encoded: [string, BufferEncoding][] = [
      [text, "utf8"],
      [text, "utf-8"],
      [text, "utf16le"],
      [text, "ucs2"],
      ["Gr\u00fc\u00dfe", "latin1"],
      ["Gr\u00fc\u00dfe", "binary"],
      ["plain", "ascii"],
      ["00ff7f", "hex"],
      ["AAECAw==", "base64"],
      ["_-8", "base64url"],
      ["\ud800 alone", "utf8"],
      ["x".repeat(5000), "utf8"],
      ["ü".repeat(100_000), "utf8"],
      ["ab".repeat(50_000), "hex"],
      ["世".repeat(3000), "utf16le"],
      ["", "utf8"],
    ];
    const { client, server } = await trial.pair();
    for (const [data, encoding] of encoded) client.sendData(data, encoding);
    const expected = Buffer.concat(encoded.map(([data, encoding]) => Buffer.from(data, encoding)));
    await trial.until(() => server.bytes >= expected.length, "they arrive");
    sameBytes(server.received, expected);
    assert.equal(client.bytesOut, expected.length);
  });

  engine.ruleOnStreams("arrays leave as one, views send their own part", async (trial) => {
    const { client, server } = await trial.pair();
    const bytes = pattern(100);
    client.sendData(["text ", bytes.subarray(10, 20), new Uint8Array(bytes.buffer, bytes.byteOffset + 50, 3), "", "ü"]);
    client.sendData([]);
    client.sendData(["ff", "00"], "hex");
    const expected = Buffer.concat([
      Buffer.from("text "),
      bytes.subarray(10, 20),
      bytes.subarray(50, 53),
      Buffer.from("ü"),
      Buffer.from([255, 0]),
    ]);
    await trial.until(() => server.bytes === expected.length, "they arrive");
    sameBytes(server.received, expected);
  });

  engine.ruleOnStreams("nothing is sent for empty data", async (trial) => {
    const { client, server } = await trial.pair();
    for (const empty of [Buffer.alloc(0), "", [], [""], new Uint8Array(0)]) assert.equal(client.sendData(empty), true);
    await trial.settle();
    assert.equal(server.bytes, 0);
    assert.equal(client.bytesOut, 0);
    assert.equal(client.drains, 0);
  });

  engine.ruleOnStreams("what is no data throws, and sends nothing", async (trial) => {
    const { client, server } = await trial.pair();
    const wrong = [undefined, null, 7, 7n, true, {}, () => {}, Symbol("s"), new ArrayBuffer(3), new Uint16Array(2)];
    for (const data of wrong) {
      assert.throws(() => client.sendData(data as never), { name: "ArgumentError", code: "ERR_EM_INVALID_ARGUMENT" });
      assert.throws(() => client.sendData(["fine", data] as never), { name: "ArgumentError" });
    }
    for (const encoding of ["utf-9", "", 7, null]) {
      assert.throws(() => client.sendData("x", encoding as never), { name: "ArgumentError" });
    }
    client.sendData("ok");
    await trial.until(() => server.bytes > 0, "what is data");
    assert.equal(server.text, "ok");
  });

  engine.ruleOnEach("a hundred thousand writes of one byte", async (trial) => {
    const count = 100_000;
    const { client, server } = await trial.pair();
    const all = pattern(count);
    for (let at = 0; at < count; at++) client.sendData(all.subarray(at, at + 1));
    await trial.until(() => server.bytes === count, "they arrive");
    sameBytes(server.received, all);
  });

  engine.ruleOnStreams("writes of one turn are joined: the receiver gets them in few pieces", async (trial) => {
    const { client, server } = await trial.pair();
    await trial.turn();
    const before = trial.reactor.stats().systemCalls;
    for (let at = 0; at < 1000; at++) client.sendData("x");
    await trial.until(() => server.bytes === 1000, "they arrive");
    assert.ok(server.chunks.length <= 2, `in ${server.chunks.length} pieces`);
    const calls = trial.reactor.stats().systemCalls - before;
    if (before > 0) assert.ok(calls < 100, `${calls} system calls`);
  });

  engine.ruleOnEach("small and large writes of one turn keep their order", async (trial) => {
    const sizes = [1, 5000, 3, 70_000, 100, 200_000, 1, 1, 4096, 4097, 65_536, 10];
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const { client, server } = await trial.pair();
    let at = 0;
    for (const [index, size] of sizes.entries()) {
      const piece = pattern(size, at);
      client.sendData(index % 3 === 0 ? [piece] : index % 3 === 1 ? piece : piece.toString("latin1"), "latin1");
      at += size;
    }
    client.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(server.bytes, total);
    sameBytes(server.received, pattern(total));
  });

  engine.ruleOnEach("order holds across turns, closes and half-closes", async (trial) => {
    for (const end of ["closeConnectionAfterWriting", "halfClose"] as const) {
      const { client, server } = await trial.pair();
      client.sendData("one ");
      trial.reactor.nextTick(() => client.sendData("two "));
      await trial.turn();
      await Promise.resolve();
      client.sendData("three ");
      client.sendData("four");
      client[end]();
      await trial.allUnbound(client, server);
      assert.equal(server.text, "one two three four");
    }
  });

  engine.ruleOnEach("the caller may reuse its buffer as soon as sendData returns", async (trial) => {
    const { client, server } = await trial.pair();
    server.pause();
    const buffer = Buffer.alloc(1_000_000);
    const expected: Buffer[] = [];
    for (const [round, size] of [10, 5000, 100_000, 1_000_000, 1_000_000, 64, 1_000_000].entries()) {
      buffer.fill(round + 1);
      client.sendData(buffer.subarray(0, size));
      expected.push(Buffer.alloc(size, round + 1));
      buffer.fill(0xee);
    }
    await trial.settle();
    server.resume();
    const all = Buffer.concat(expected);
    await trial.until(() => server.bytes === all.length, "all of it");
    sameBytes(server.received, all);
  });

  engine.ruleOnStreams("the same before the connection is open", async (trial) => {
    const served = await trial.serve();
    const buffer = Buffer.from("early");
    trial.dial(served, {
      postInit: (me) => {
        me.sendData(buffer);
        buffer.fill(0);
      },
    });
    const server = await served.peer();
    await trial.until(() => server.bytes === 5, "it arrives");
    assert.equal(server.text, "early");
  });

  engine.ruleOnStreams(
    "writes from anywhere are flushed: timers, immediates, ticks and promises of Node's own",
    async (trial) => {
      const { client, server } = await trial.pair();
      const ways: ((send: () => void) => void)[] = [
        (send) => void setTimeout(send, 1),
        (send) => void setImmediate(send),
        (send) => process.nextTick(send),
        (send) => queueMicrotask(send),
        (send) =>
          void Promise.resolve()
            .then(() => Promise.resolve())
            .then(send),
        (send) => void new Promise((resolve) => setTimeout(resolve, 1)).then(send),
        (send) => trial.reactor.nextTick(send),
        (send) => void trial.reactor.addTimer(1, send),
        (send) => trial.reactor.schedule(send),
      ];
      for (const [at, way] of ways.entries()) {
        // Waiting for this, unlike `until`, gives the loop nothing to wake for.
        const arrived = new Promise<string>((resolve) => {
          server.script.receiveData = (_, data) => resolve(data.toString());
        });
        way(() => client.sendData(`${at}`));
        assert.equal(await arrived, `${at}`);
      }
    },
  );

  engine.ruleOnStreams("sendData inside receiveData does not come back inside the call", async (trial) => {
    const rounds = 500;
    const { client } = await trial.pair({
      client: { receiveData: (me) => (me.bytes < rounds ? me.sendData("x") : undefined) },
      server: { receiveData: (me, data) => me.sendData(data) },
    });
    client.sendData("x");
    await trial.until(() => client.bytes === rounds, "ping-pong");
  });

  engine.ruleOnEach("a hundred megabytes through one connection in bounded memory", async (trial) => {
    const size = 100_000_000;
    const piece = 256 * KiB;
    const check = new PatternCheck();
    const { client, server } = await trial.pair({
      server: { keep: false, receiveData: (_, data) => check.take(data) },
    });
    let sent = 0;
    let most = 0;
    const produce = () => {
      while (sent < size) {
        const length = Math.min(piece, size - sent);
        sent += length;
        const went = client.sendData(pattern(length, sent - length));
        most = Math.max(most, client.outboundSize);
        if (!went) return;
      }
      client.closeConnectionAfterWriting();
    };
    client.script.drained = produce;
    produce();
    await trial.allUnbound();
    assert.equal(check.count, size);
    assert.equal(server.bytes, size);
    assert.ok(most <= client.highWaterMark + piece, `at most ${most} bytes were queued`);
  });

  // What is received ---------------------------------------------------------------------------------------------

  engine.ruleOnEach("what receiveData got stays valid for ever", async (trial) => {
    const { client, server } = await trial.pair();
    const all = pattern(3_000_000);
    for (let at = 0, size = 1; at < all.length; at += size, size = (size * 7) % 9973) {
      client.sendData(all.subarray(at, at + size));
      if (size % 3 === 0) await trial.turn();
    }
    await trial.until(() => server.bytes === all.length, "all of it");
    // More traffic writes over whatever memory was only lent.
    client.sendData(Buffer.alloc(3_000_000, 0xee));
    await trial.until(() => server.bytes === 2 * all.length, "and more");
    sameBytes(server.received.subarray(0, all.length), all);
  });

  engine.ruleOnEach("a retained chunk pins at most 8 KiB or twice its size", async (trial) => {
    const { client, server } = await trial.pair();
    let count = 0;
    for (const size of [1, 10, 100, 1000, 2000, 2048, 2049, 3000, 5000, 9000, 20_000, 65_536, 300_000]) {
      for (let round = 0; round < 3; round++) {
        client.sendData(pattern(size));
        count += size;
        await trial.until(() => server.bytes === count, "it arrives");
      }
    }
    for (const chunk of server.chunks) {
      const pinned = chunk.buffer.byteLength;
      assert.ok(pinned <= Math.max(8 * KiB, 2 * chunk.length), `${chunk.length} bytes pin ${pinned}`);
    }
  });

  engine.ruleOnStreams("the receiver may write into its chunk without harm to others", async (trial) => {
    const { client, server } = await trial.pair({ server: { receiveData: (_, data) => void data.fill(0x21) } });
    for (let count = 1; count <= 50; count++) {
      client.sendData(`${count % 10}`);
      await trial.until(() => server.bytes === count, "it arrives");
    }
    assert.equal(server.text, "!".repeat(50));
  });

  engine.ruleOnStreams("a class may ask for borrowed views, valid until the callback returns", async (trial) => {
    const check = new PatternCheck();
    let kept: Buffer | undefined;
    class Borrower extends Connection {
      static override readonly borrowsData = true;
      override receiveData(data: Buffer): void {
        check.take(data);
        kept = data;
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0, ...trial.serverTls }, Borrower);
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number });
    client.sendData(pattern(5_000_000));
    await trial.until(() => check.count === 5_000_000, "all of it");
    // Reading what was only lent gives nothing to rely on, and does no harm.
    assert.equal(typeof (kept as Buffer)[0], "number");
    client.closeConnection();
    await trial.until(() => trial.reactor.connectionCount === 0, "the end");
    assert.ok((kept as Buffer).length > 0);
  });

  engine.rule("a borrowed view that is sent on, whole or in part, leaves as it was at that moment", async (trial) => {
    class Relay extends Connection {
      static override readonly borrowsData = true;
      override receiveData(data: Buffer): void {
        if (this.bytesIn % 2 === 0) {
          this.sendData(data);
        } else {
          this.sendData(data.subarray(0, 1));
          this.sendData(data.subarray(1));
        }
        data.fill(0);
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Relay);
    const clients = [new PatternCheck(), new PatternCheck(), new PatternCheck()].map((check) =>
      trial.dial(
        { host: "127.0.0.1", port: listener.port as number },
        { keep: false, receiveData: (_me, data) => check.take(data) },
      ),
    );
    // Sizes on both sides of every threshold between the ways that bytes can take.
    let sent = 0;
    for (const size of [1, 64, 255, 256, 257, 2047, 2048, 2049, 4095, 4096, 4097, 16_384, 65_536, 1_000_000]) {
      for (const client of clients) client.sendData(pattern(size, sent));
      sent += size;
      await trial.until(() => clients.every((client) => client.bytes === sent), `the echo of ${size} bytes more`);
    }
  });

  engine.rule("a subclass of a Recorder, a Buffer subclass and a frozen array are as good", async (trial) => {
    class Sub extends Recorder {}
    class Bytes extends Uint8Array {}
    const { server, served } = await trial.pair();
    server.closeConnection();
    const client = trial.reactor.connect(served.at as { host: string; port: number }, Sub, trial, {});
    client.sendData(Bytes.from([104, 105]));
    client.sendData(Object.freeze(["!", Bytes.from([33])]));
    const peer = await served.peer(1);
    await trial.until(() => peer.bytes === 4, "it arrives");
    assert.equal(peer.text, "hi!!");
  });
});
