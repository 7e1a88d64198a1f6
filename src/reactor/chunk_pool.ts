/** Chunks up to this size share blocks of 8 KiB. */
const SMALL_MAX = 2048;
const SMALL_BLOCK = 8 * 1024;
/** Up to here a loop over words beats a call into a copy routine, which needs a view of its own on the bytes. */
const WORDS_MAX = 64;

/** What `Buffer.subarray` makes, without its arithmetic. */
const View = (Buffer as unknown as Record<symbol, unknown>)[Symbol.species] as new (
  memory: ArrayBufferLike,
  offset: number,
  length: number,
) => Buffer;

let small = Buffer.allocUnsafeSlow(SMALL_BLOCK);
let smallWords = new Int32Array(small.buffer);
let smallUsed = 0;

/** Words of the memory that chunks are lent from: an engine's slab, in practice always the same. */
let lentFrom: ArrayBufferLike = small.buffer;
let lentWords: Int32Array = smallWords;

/**
 * Copies lent bytes into memory the receiver may keep for ever. Small chunks are cut from blocks of 8 KiB, so that a
 * retained one pins no more than that; a larger one has memory of exactly its size.
 */
export function ownedCopy(chunk: Buffer, start: number, end: number): Buffer {
  const length = end - start;
  return length <= SMALL_MAX ? smallCopy(chunk, start, length) : largeCopy(chunk, start, length);
}

function smallCopy(chunk: Buffer, start: number, length: number): Buffer {
  if (smallUsed + length > SMALL_BLOCK) {
    small = Buffer.allocUnsafeSlow(SMALL_BLOCK);
    smallWords = new Int32Array(small.buffer);
    smallUsed = 0;
  }
  const at = smallUsed;
  smallUsed = (at + length + 7) & ~7;
  const from = chunk.byteOffset + start;
  if (length > WORDS_MAX || (from & 3) !== 0 || !isReadableInWords(chunk.buffer, from + length)) {
    chunk.copy(small, at, start, start + length);
  } else {
    const count = (length + 3) >> 2;
    for (let word = 0; word < count; word++) smallWords[(at >> 2) + word] = lentWords[(from >> 2) + word] as number;
  }
  return new View(small.buffer, at, length);
}

function isReadableInWords(memory: ArrayBufferLike, end: number): boolean {
  if (memory !== lentFrom) {
    lentFrom = memory;
    lentWords = new Int32Array(memory, 0, memory.byteLength >> 2);
  }
  return (end + 3) >> 2 <= lentWords.length;
}

function largeCopy(chunk: Buffer, start: number, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  chunk.copy(copy, 0, start, start + length);
  return copy;
}
