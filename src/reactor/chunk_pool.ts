/** Chunks up to this size share blocks of `Buffer.poolSize`, 8 KiB; Node keeps those. */
const SMALL_MAX = 2048;

/** The block that larger chunks are cut from, and how much of it is used. */
let block = Buffer.alloc(0);
let used = 0;

/**
 * Copies lent bytes into memory the receiver may keep for ever. A retained chunk pins at most 8 KiB or twice its size:
 * small chunks share blocks of 8 KiB, a larger one shares a block with others no smaller than half of it. In a stream of
 * pieces of one size that is one allocation for two, and allocating is most of what a large piece costs.
 */
export function ownedCopy(chunk: Buffer, start: number, end: number): Buffer {
  const length = end - start;
  if (length <= SMALL_MAX) {
    const copy = Buffer.allocUnsafe(length);
    chunk.copy(copy, 0, start, end);
    return copy;
  }
  if (used + length > block.length || 2 * length < block.length) {
    block = Buffer.allocUnsafeSlow(2 * length);
    used = 0;
  }
  const at = used;
  used += length;
  chunk.copy(block, at, start, end);
  return block.subarray(at, used);
}
