import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import fc from "fast-check";
import { pattern, sameBytes } from "../support/bytes.js";
import { bridges, sleep } from "./carriers.js";

/** How one side writes: sizes in order, some corked together, some awaiting `drain`. */
const writes = fc.array(
  fc.record({
    size: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 400_000 })),
    cork: fc.boolean(),
    wait: fc.boolean(),
  }),
  { minLength: 1, maxLength: 25 },
);

/** How the other side reads. */
const reading = fc.record({
  highWaterMark: fc.constantFrom(undefined, 1, 1_000, 200_000),
  way: fc.constantFrom("data", "readable", "loop", "pauses"),
});

for (const bridge of bridges()) {
  test(`bytes survive every way to write and to read them, on ${bridge.name}`, { timeout: 120_000 }, async () => {
    await bridge.run(async () => {
      await fc.assert(
        fc.asyncProperty(writes, reading, async (plan, { highWaterMark, way }) => {
          const options = highWaterMark === undefined ? {} : { highWaterMark };
          const served = await bridge.serve(() => {}, options);
          const socket = bridge.dial(served.port, options);
          const peer = await served.socket();
          const expected = pattern(plan.reduce((sum, { size }) => sum + size, 0));
          let most = 0;
          const writing = (async () => {
            let at = 0;
            for (const { size, cork, wait } of plan) {
              if (cork) socket.cork();
              const goOn = socket.write(expected.subarray(at, at + size));
              at += size;
              if (cork) process.nextTick(() => socket.uncork());
              if (wait && !goOn && size > 0) await once(socket, "drain");
            }
            socket.end();
          })();
          const chunks: Buffer[] = [];
          const take = (chunk: Buffer): void => {
            chunks.push(chunk);
            most = Math.max(most, peer.readableLength);
          };
          const ended = once(peer, "end");
          if (way === "loop") {
            for await (const chunk of peer) take(chunk as Buffer);
          } else if (way === "readable") {
            peer.on("readable", () => {
              for (let chunk = peer.read(); chunk !== null; chunk = peer.read()) take(chunk as Buffer);
            });
          } else {
            peer.on("data", (chunk: Buffer) => {
              take(chunk);
              if (way !== "pauses") return;
              peer.pause();
              setImmediate(() => peer.resume());
            });
          }
          if (way !== "loop") await ended;
          await writing;
          sameBytes(Buffer.concat(chunks), expected);
          // Its own mark, and the turn's reading of 64 KiB that passed it.
          assert.ok(most <= peer.readableHighWaterMark + 65_536, `${most} bytes waited in the stream`);
          socket.destroy();
          peer.destroy();
          await served.close();
          await sleep(0);
        }),
        { numRuns: 60 },
      );
    });
  });
}
