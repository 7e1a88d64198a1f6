import assert from "node:assert/strict";
import { test } from "node:test";
import { ownBytes } from "../../../src/engine/node/own_bytes.js";

const READ = 64 * 1024;

test("a chunk with memory of its own is handed on as it is", () => {
  for (const size of [1, 8 * 1024, READ]) {
    const chunk = Buffer.from(new ArrayBuffer(size));
    assert.equal(ownBytes(chunk), chunk);
  }
});

test("a small part of a large read does not pin it", () => {
  for (const size of [1, 100, 5000, READ / 2 - 1]) {
    const chunk = Buffer.from(new ArrayBuffer(READ), 10, size).fill(7);
    const own = ownBytes(chunk);
    assert.deepEqual(own, chunk);
    assert.ok(own.buffer.byteLength <= Math.max(8 * 1024, 2 * size), `${size} bytes pin ${own.buffer.byteLength}`);
  }
});

test("half of a read, or more, is worth the rest of it", () => {
  const chunk = Buffer.from(new ArrayBuffer(READ), 0, READ / 2);
  assert.equal(ownBytes(chunk), chunk);
});
