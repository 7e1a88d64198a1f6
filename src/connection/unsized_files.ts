import { randomUUID } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LimitError } from "../base/errors.js";
import { MAX_UNSIZED_FILE } from "../base/limits.js";

const PIECE_SIZE = 64 * 1024;

/**
 * Files of /proc, /sys and their like are made while they are read: the kernel says 0 or 4096 of their size, and that they have no
 * blocks. Small files that have none for other reasons (empty, or kept in their inode) are read in vain.
 */
function mayBeUnsized(fd: number): boolean {
  const { blocks, size } = fstatSync(fd);
  return blocks === 0 && size <= PIECE_SIZE;
}

/**
 * The size of an open file and the descriptor to send it from: where the kernel does not know the size, the file is read to its
 * end now, and goes out from a copy without a name. The descriptor that was given is closed then, and where this throws.
 */
export function withKnownSize(fd: number): { fd: number; size: number } {
  let copy: number | undefined;
  try {
    const { size } = fstatSync(fd);
    if (!mayBeUnsized(fd)) return { fd, size };
    const content = readToEnd(fd);
    if (content.length === size) return { fd, size };
    copy = unnamedFile();
    for (let written = 0; written < content.length; ) written += writeSync(copy, content, written);
    closeSync(fd);
    return { fd: copy, size: content.length };
  } catch (error) {
    if (copy !== undefined) closeSync(copy);
    closeSync(fd);
    throw error;
  }
}

/** From where it stands, as some of these files can be read no other way. */
function readToEnd(fd: number): Buffer {
  const pieces: Buffer[] = [];
  let size = 0;
  for (;;) {
    const piece = Buffer.allocUnsafe(PIECE_SIZE);
    const count = readSync(fd, piece, 0, PIECE_SIZE, null);
    if (count === 0) return Buffer.concat(pieces, size);
    size += count;
    if (size > MAX_UNSIZED_FILE) {
      const message = `a file whose size the kernel does not know is sent up to ${MAX_UNSIZED_FILE} bytes, and this one is longer`;
      throw new LimitError("ERR_EM_FILE_TOO_LONG", message, MAX_UNSIZED_FILE);
    }
    pieces.push(piece.subarray(0, count));
  }
}

function unnamedFile(): number {
  const path = join(tmpdir(), `eventmachine-${randomUUID()}`);
  const fd = openSync(path, "wx+", 0o600);
  unlinkSync(path);
  return fd;
}
