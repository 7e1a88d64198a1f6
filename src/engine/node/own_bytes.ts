/** What a chunk may pin whatever its size. */
const FREE = 8 * 1024;

/**
 * The chunk, or a copy of it where it would pin more than 8 KiB and twice its size. node:net gives each chunk memory of its size, and
 * so does node:tls up to Node 24; later its small ones lie in larger memory, as does what `Buffer.from` copies.
 */
export function ownBytes(chunk: Buffer): Buffer {
  const pinned = chunk.buffer.byteLength;
  if (pinned <= FREE || pinned <= 2 * chunk.length) return chunk;
  const copy = Buffer.allocUnsafeSlow(chunk.length);
  chunk.copy(copy);
  return copy;
}
