/** Chunks up to this size share a block; larger ones get memory of their own. */
const SHARED_MAX = 2048;

/**
 * Copies lent bytes into memory the receiver may keep for ever. Small chunks are cut from blocks of `Buffer.poolSize`
 * (8 KiB), so that a retained one pins at most that much; a larger one is exactly its own size.
 */
export function ownedCopy(chunk: Buffer, start: number, end: number): Buffer {
  const length = end - start;
  const copy = length <= SHARED_MAX ? Buffer.allocUnsafe(length) : Buffer.allocUnsafeSlow(length);
  chunk.copy(copy, 0, start, end);
  return copy;
}
