import type { FileRange } from "../node/file_range.js";

/** A joined piece holds up to this much; what is larger is a piece by itself. */
const LARGEST_JOINED = 64 * 1024;
const LEAST_JOINED = 256;

/**
 * What waits for a Node stream, in order: bytes, the small writes of a turn joined to pieces, and ranges of files. However
 * small the writes are, what they hold stays in proportion to their bytes.
 */
export class OutputPieces {
  readonly #pieces: (Buffer | FileRange)[] = [];
  /** The last piece, while there may be more of it: its memory, and how much of that is used. */
  #open: Buffer | undefined;
  #used = 0;

  get isEmpty(): boolean {
    return this.#pieces.length === 0 && this.#open === undefined;
  }

  /** Copies bytes in. */
  append(data: Uint8Array): void {
    const size = this.#used + data.length;
    if (this.#open !== undefined && size > LARGEST_JOINED) this.#close();
    if (data.length > LARGEST_JOINED) {
      this.#pieces.push(Buffer.from(data));
      return;
    }
    if (this.#open === undefined) {
      // Mostly there is no second one: no more memory than this one needs.
      this.#open = Buffer.from(data);
    } else {
      if (size > this.#open.length) this.#grow(size);
      this.#open.set(data, this.#used);
    }
    this.#used += data.length;
  }

  appendFile(range: FileRange): void {
    this.#close();
    this.#pieces.push(range);
  }

  /** Takes the first piece out; undefined when there is none. */
  shift(): Buffer | FileRange | undefined {
    if (this.#pieces.length === 0) this.#close();
    return this.#pieces.shift();
  }

  #grow(size: number): void {
    const room = Math.max(LEAST_JOINED, 2 ** Math.ceil(Math.log2(size)));
    const larger = Buffer.allocUnsafe(Math.min(LARGEST_JOINED, room));
    this.#open?.copy(larger, 0, 0, this.#used);
    this.#open = larger;
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#pieces.push(this.#open.subarray(0, this.#used));
    this.#open = undefined;
    this.#used = 0;
  }
}
