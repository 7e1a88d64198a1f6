import assert from "node:assert/strict";

/** A prime, so that the pattern never falls into step with buffer sizes. */
const CYCLE = 65_521;

const cycle = (() => {
  const bytes = Buffer.alloc(CYCLE);
  let state = 12_345;
  for (let at = 0; at < CYCLE; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
})();

/** Bytes `from` to `from + size` of an endless stream in which any loss, swap or repetition shows. */
export function pattern(size: number, from = 0): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; ) {
    const start = (from + at) % CYCLE;
    at += cycle.copy(bytes, at, start, Math.min(CYCLE, start + size - at));
  }
  return bytes;
}

/** Checks a stream of that pattern as it comes in, without keeping it. */
export class PatternCheck {
  count = 0;

  take(chunk: Buffer): void {
    sameBytes(chunk, pattern(chunk.length, this.count), `from byte ${this.count} on`);
    this.count += chunk.length;
  }
}

/** Equal bytes, with a message fit to read where they are not. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, what = "bytes"): void {
  assert.equal(actual.length, expected.length, `${what}: the length`);
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  assert.fail(`${what}: byte ${at} of ${expected.length} is ${actual[at]} instead of ${expected[at]}`);
}
