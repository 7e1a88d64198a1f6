import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { pattern, sameBytes } from "../support/bytes.js";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { until } from "../support/wait.js";

const CLIENTS = 50;
const CHUNK = pattern(16_384);

/** Sends without an end, as fast as the server takes it, and keeps count of what comes back. */
class Talker {
  readonly socket: Socket;
  received = 0;
  ended = false;
  error: string | undefined;
  closed = false;
  #sent = 0;

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    this.socket
      .on("connect", () => this.#send())
      .on("data", (data) => {
        const start = this.received % CHUNK.length;
        this.received += data.length;
        sameBytes(data, Buffer.concat([CHUNK, CHUNK, ...repeats(data.length)]).subarray(start, start + data.length));
      })
      .on("end", () => {
        this.ended = true;
        this.socket.end();
      })
      .on("error", (error: NodeJS.ErrnoException) => {
        this.error = error.code;
      })
      .on("close", () => {
        this.closed = true;
      });
  }

  #send(): void {
    // Two chunks on their way at most, so that the load goes back and forth and not into buffers.
    while (!this.ended && this.#sent - this.received < 2 * CHUNK.length) {
      this.#sent += CHUNK.length;
      this.socket.write(CHUNK);
    }
    if (!this.ended && !this.closed) setImmediate(() => this.#send());
  }
}

function repeats(size: number): Buffer[] {
  return Array.from({ length: Math.ceil(size / CHUNK.length) }, () => CHUNK);
}

onEveryEngine("signals", (engine) => {
  test("SIGTERM under load: what was taken in is sent back, every connection ends in order, exit 0", async () => {
    await using server = new Child(process.execPath, [program(import.meta.url, "./programs/draining.js"), engine.name]);
    const { port } = await server.json<{ port: number }>();
    const talkers = Array.from({ length: CLIENTS }, () => new Talker(port));
    try {
      await until(() => talkers.every(({ received }) => received > 4 * CHUNK.length), "everybody is served");
      server.kill("SIGTERM");
      const figures = await server.json<{ accepted: number; echoed: number; reasons: Record<string, number> }>();
      assert.deepEqual(await server.ended(), { code: 0, signal: null }, server.stderr);
      await until(() => talkers.every(({ closed }) => closed), "everybody is closed");
      assert.deepEqual(figures.reasons, { "local-close": CLIENTS });
      assert.equal(figures.accepted, CLIENTS);
      assert.deepEqual(
        talkers.filter(({ ended, error }) => !ended || error !== undefined).map(({ error }) => error),
        [],
        "every talker got a FIN and no reset",
      );
      assert.equal(
        talkers.reduce((sum, { received }) => sum + received, 0),
        figures.echoed,
        "not one byte that the server sent was lost",
      );
    } finally {
      for (const { socket } of talkers) socket.destroy();
    }
  });

  test("a second SIGTERM does not wait for the drain", async () => {
    await using server = new Child(process.execPath, [program(import.meta.url, "./programs/draining.js"), engine.name]);
    const { port } = await server.json<{ port: number }>();
    // It takes the server's FIN and keeps its own end open, so the drain lasts until the linger deadline.
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    let ended = false;
    socket.on("end", () => {
      ended = true;
    });
    socket.on("error", () => {});
    socket.resume();
    try {
      socket.write("x");
      await until(() => socket.bytesRead === 1, "the echo");
      server.kill("SIGTERM");
      await until(() => ended, "the drain's FIN");
      server.kill("SIGTERM");
      const begun = performance.now();
      assert.deepEqual(await server.ended(), { code: 0, signal: null }, server.stderr);
      assert.ok(performance.now() - begun < 4_000, "it did not wait for the linger deadline");
    } finally {
      socket.destroy();
    }
  });
});
