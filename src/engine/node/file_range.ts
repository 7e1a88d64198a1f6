import { read } from "node:fs";
import { FILE_PART } from "../../base/limits.js";

/** Told what a read gave: a piece, the end of the file before the end of the range, or a failure. */
export type PieceRead = (piece: Buffer | "truncated" | NodeJS.ErrnoException) => void;

/**
 * The part of an open file that is still to be sent. It has one buffer, which its owner hands back by reading on, or a new
 * one for each piece where pieces are kept by whoever gets them. One piece
 * of it goes out in a turn, and a piece is less than `FILE_QUOTA`.
 */
export class FileRange {
  readonly #fd: number;
  #offset: number;
  #remaining: number;
  #buffer: Buffer | undefined;
  readonly #keepsPieces: boolean;

  constructor(fd: number, offset: number, length: number, keepsPieces: boolean) {
    this.#fd = fd;
    this.#offset = offset;
    this.#remaining = length;
    this.#keepsPieces = keepsPieces;
  }

  get isDone(): boolean {
    return this.#remaining === 0;
  }

  /** Reads the next piece off the loop; `done` is called in a later turn. */
  read(done: PieceRead): void {
    const buffer = this.#buffer ?? Buffer.allocUnsafeSlow(Math.min(FILE_PART, this.#remaining));
    if (!this.#keepsPieces) this.#buffer = buffer;
    const wanted = Math.min(buffer.length, this.#remaining);
    read(this.#fd, buffer, 0, wanted, this.#offset, (error, count) => {
      if (error !== null) return done(error);
      if (count === 0) return done("truncated");
      this.#offset += count;
      this.#remaining -= count;
      done(count === buffer.length ? buffer : buffer.subarray(0, count));
    });
  }
}
