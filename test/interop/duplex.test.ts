import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { finished, pipeline } from "node:stream/promises";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryCarrier, readToEnd, sleep, until } from "./carriers.js";

const halfOpen = { allowHalfOpen: true };
const BIG = 8_000_000;

onEveryCarrier("a socket", ({ test, carrier }) => {
  test("echoes megabytes through a pipe, in bounded memory, to a slow reader", async () => {
    const { port, close } = await carrier.serve((socket) => void socket.pipe(socket));
    const socket = carrier.dial(port);
    const sent = pattern(BIG);
    const writing = (async () => {
      for (let at = 0; at < sent.length; at += 50_000) {
        if (!socket.write(sent.subarray(at, at + 50_000))) await once(socket, "drain");
      }
      socket.end();
    })();
    const received: Buffer[] = [];
    for await (const chunk of socket) {
      received.push(chunk as Buffer);
      if (received.length % 10 === 0) await sleep(1);
    }
    await writing;
    sameBytes(Buffer.concat(received), sent);
    await close();
  });

  test("a writer that ignores `drain` loses nothing", async () => {
    const { port, close, socket: accepted } = await carrier.serve();
    const socket = carrier.dial(port);
    const piece = pattern(1_000_000);
    for (let count = 0; count < 40; count++) socket.write(piece);
    socket.end();
    const peer = await accepted();
    await sleep(50);
    let bytes = 0;
    for await (const chunk of peer) {
      sameBytes(chunk as Buffer, wrapped(piece, bytes, (chunk as Buffer).length));
      bytes += (chunk as Buffer).length;
    }
    assert.equal(bytes, 40_000_000);
    await close();
  });

  test("one write larger than the connection's outbound limit arrives", async () => {
    const { port, close, socket: accepted } = await carrier.serve();
    const socket = carrier.dial(port);
    const all = pattern(40_000_000);
    socket.end(all);
    const peer = await accepted();
    await sleep(50);
    sameBytes(await readToEnd(peer), all);
    await close();
  });

  test("text in every encoding, small and large", async () => {
    const { port, close, socket: accepted } = await carrier.serve();
    const socket = carrier.dial(port);
    const expected: Buffer[] = [];
    const text = "Grüße, 世界 ";
    for (const encoding of ["utf8", "latin1", "ascii", "utf16le"] as const) {
      for (const piece of [text, text.repeat(30_000)]) {
        expected.push(Buffer.from(piece, encoding));
        socket.write(piece, encoding);
      }
    }
    for (const encoding of ["hex", "base64"] as const) {
      expected.push(Buffer.from("00ff17", "hex"));
      socket.write(Buffer.from("00ff17", "hex").toString(encoding), encoding);
    }
    socket.end("");
    sameBytes(await readToEnd(await accepted()), Buffer.concat(expected));
    await close();
  });

  test("half-close: the peer answers behind the FIN", async () => {
    const { port, close } = await carrier.serve(async (socket) => {
      const question = await readToEnd(socket);
      await sleep(20);
      socket.end(`${question} is answered`);
    }, halfOpen);
    const socket = carrier.dial(port, halfOpen);
    socket.end("the question");
    assert.equal(String(await readToEnd(socket)), "the question is answered");
    await close();
  });

  test("without allowHalfOpen the peer's FIN ends the stream behind what was written", async () => {
    const all = pattern(BIG);
    const { port, close } = await carrier.serve((socket) => {
      socket.once("data", () => {
        for (let at = 0; at < all.length; at += 100_000) socket.write(all.subarray(at, at + 100_000));
      });
    });
    const socket = carrier.dial(port, halfOpen);
    socket.end("go");
    await sleep(30);
    sameBytes(await readToEnd(socket), all);
    await close();
  });

  test("a reader that stops makes the writer stop", async () => {
    const { port, close, socket: accepted } = await carrier.serve((socket) => void socket.pause());
    const socket = carrier.dial(port);
    const piece = Buffer.alloc(100_000);
    let written = 0;
    while (written < 200_000_000) {
      const goOn = socket.write(piece);
      written += piece.length;
      if (!goOn && !(await drainsWithin(socket, 300))) break;
    }
    assert.ok(written < 50_000_000, `${written} bytes were taken from a writer nobody reads`);
    const peer = await accepted();
    assert.ok(peer.readableLength <= 200_000, `${peer.readableLength} bytes wait in the stream`);
    socket.destroy();
    peer.destroy();
    await close();
  });

  test("pause and resume", async () => {
    const { port, close, socket: accepted } = await carrier.serve();
    const socket = carrier.dial(port);
    const peer = await accepted();
    let text = "";
    peer.on("data", (chunk: Buffer) => {
      text += chunk;
      peer.pause();
    });
    socket.write("one");
    await until(() => text === "one", "the first");
    socket.write("two");
    await sleep(30);
    assert.equal(text, "one");
    peer.resume();
    await until(() => text === "onetwo", "the second");
    peer.setEncoding("utf8");
    peer.resume();
    socket.end("thr€e");
    await until(() => text === "onetwothr€e", "the third, decoded");
    await until(() => peer.destroyed, "the end needs no reader where nothing is left");
    await close();
  });

  test("what a socket is asked", async () => {
    const { port, close, socket: accepted } = await carrier.serve();
    const socket = carrier.dial(port);
    assert.equal(socket.connecting, true);
    assert.equal(socket.pending, true);
    assert.equal(socket.readyState, "opening");
    let ready = 0;
    socket.on("ready", () => ready++);
    await once(socket, "connect");
    assert.equal(socket.connecting, false);
    assert.equal(socket.pending, false);
    assert.equal(socket.readyState, "open");
    const peer = await accepted();
    assert.equal(peer.readyState, "open");
    assert.equal(socket.remoteAddress, "127.0.0.1");
    assert.equal(socket.remotePort, port);
    assert.equal(socket.remoteFamily, "IPv4");
    assert.equal(peer.remotePort, socket.localPort);
    assert.equal(peer.localPort, port);
    assert.equal(peer.localAddress, "127.0.0.1");
    assert.deepEqual(peer.address(), { address: "127.0.0.1", family: "IPv4", port });
    socket.write("12345");
    socket.write("ü");
    assert.equal(socket.bytesWritten, 7);
    await until(() => peer.bytesRead === 7, "they arrive");
    assert.equal(socket.setNoDelay().setNoDelay(false).setKeepAlive(true, 5000).setKeepAlive().ref().unref(), socket);
    assert.equal(ready, 1);
    socket.end();
    peer.resume();
    await once(peer, "close");
    await until(() => socket.destroyed, "both end");
    assert.equal(peer.readyState, "closed");
    assert.equal(peer.bytesRead, 7);
    assert.equal(socket.bytesWritten, 7);
    await close();
  });

  test("a timeout comes once for each silence, and not while bytes move", async () => {
    const { port, close, socket: accepted } = await carrier.serve();
    const socket = carrier.dial(port);
    const peer = await accepted();
    let passed = 0;
    const pass = () => passed++;
    let longest = 0;
    let last = performance.now();
    const moved = () => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    };
    peer.on("data", moved);
    peer.setTimeout(80, pass);
    peer.on("timeout", pass);
    assert.equal(peer.timeout, 80);
    for (let count = 0; count < 8; count++) {
      socket.write("x");
      await sleep(20);
    }
    moved();
    // On a machine that stands still bytes do, too.
    assert.ok(passed === 0 || longest >= 75, `${passed} passed, with bytes at least every ${longest} ms`);
    peer.off("timeout", pass).off("timeout", pass).setTimeout(0);
    passed = 0;
    peer.setTimeout(80, pass);
    peer.on("timeout", pass);
    await until(() => passed > 0, "the timeout");
    await sleep(200);
    assert.equal(passed, 2, "once for the callback and once for the listener");
    assert.equal(peer.destroyed, false, "it closes nothing by itself");
    socket.write("x");
    await until(() => passed > 2, "the next silence");
    assert.equal(passed, 3, "the callback was for one time");
    peer.setTimeout(0);
    socket.write("x");
    await sleep(120);
    assert.equal(passed, 3);
    peer.destroy();
    await once(socket, "close");
    await close();
  });

  // node:net has no such deadline.
  if (carrier.isBridge) {
    test("a write deadline of the connection destroys the stream with ETIMEDOUT", async () => {
      const { port, close, socket: accepted } = await carrier.serve(undefined, { writeTimeout: 60 });
      const socket = carrier.dial(port);
      const peer = await accepted();
      const failed = once(peer, "error");
      // Nobody reads at the other end.
      peer.write(pattern(BIG));
      const [error] = (await failed) as [NodeJS.ErrnoException];
      assert.equal(error.code, "ETIMEDOUT");
      assert.ok(peer.destroyed);
      socket.destroy();
      await close();
    });
  }

  test("destroySoon sends everything first", async () => {
    const all = pattern(BIG);
    const { port, close } = await carrier.serve((socket) => {
      socket.write(all);
      socket.destroySoon();
    });
    const socket = carrier.dial(port);
    await sleep(20);
    sameBytes(await readToEnd(socket), all);
    await close();
  });

  test("what the callback of a write has confirmed arrives although the stream is destroyed", async () => {
    const piece = pattern(10_000);
    const { port, close } = await carrier.serve((socket) => {
      socket.write(piece, () => socket.destroy());
    });
    sameBytes(await readToEnd(carrier.dial(port)), piece);
    await close();
  });

  test("works under pipeline and finished", async () => {
    const all = pattern(BIG);
    const {
      port,
      close,
      socket: accepted,
    } = await carrier.serve((socket) => {
      pipeline(socket, socket).catch(() => {});
    });
    const socket = carrier.dial(port);
    const ended = finished(socket);
    socket.end(all);
    sameBytes(await readToEnd(socket), all);
    await ended;
    await until(() => accepted !== undefined, "it is there");
    await close();
  });
});

async function drainsWithin(socket: Socket, ms: number): Promise<boolean> {
  const abort = new AbortController();
  const drained = once(socket, "drain", { signal: abort.signal }).then(
    () => true,
    () => false,
  );
  const timer = setTimeout(() => abort.abort(), ms);
  const result = await drained;
  clearTimeout(timer);
  return result;
}

function wrapped(piece: Buffer, from: number, length: number): Buffer {
  const start = from % piece.length;
  if (start + length <= piece.length) return piece.subarray(start, start + length);
  return Buffer.concat([piece.subarray(start), piece.subarray(0, length - (piece.length - start))]);
}
