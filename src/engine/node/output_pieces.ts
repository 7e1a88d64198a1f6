import { FileRange } from "./file_range.js";
import type { Waiting } from "./output.js";

/** A joined piece holds up to this much; what is larger is a piece by itself. */
const LARGEST_JOINED = 64 * 1024;
const LEAST_JOINED = 256;

/**
 * What waits for a stream that may keep what it is given: the small writes of a turn joined to pieces, in memory that is
 * used once. However small the writes are, what they hold stays in proportion to their bytes.
 */
export class OutputPieces implements Waiting {
  readonly #pieces: (Buffer | FileRange)[] = [];
  /** The last piece, while there may be more of it: its memory, and how much of that is used. */
  #open: Buffer | undefined;
  #used = 0;
  bytes = 0;

  get isEmpty(): boolean {
    return this.#pieces.length === 0 && this.#open === undefined;
  }

  get file(): FileRange | undefined {
    const head = this.#pieces[0];
    return head instanceof FileRange ? head : undefined;
  }

  append(data: Uint8Array): void {
    if (!this.#join(data)) this.#begin(Buffer.from(data));
  }

  appendText(text: string, encoding: BufferEncoding): number {
    const data = Buffer.from(text, encoding);
    if (data.length > 0 && !this.#join(data)) this.#begin(data);
    return data.length;
  }

  appendFile(range: FileRange): void {
    this.#close();
    this.#pieces.push(range);
  }

  shiftFile(): void {
    this.#pieces.shift();
  }

  take(limit: number): Buffer | Buffer[] {
    if (this.#pieces.length === 0 || this.bytes <= limit) this.#close();
    const views: Buffer[] = [];
    let room = limit;
    for (let head = this.#pieces[0]; room > 0 && Buffer.isBuffer(head); head = this.#pieces[0]) {
      const view = head.subarray(0, room);
      if (view.length === head.length) this.#pieces.shift();
      else this.#pieces[0] = head.subarray(room);
      views.push(view);
      room -= view.length;
    }
    this.bytes -= limit - room;
    return views.length === 1 ? (views[0] as Buffer) : views;
  }

  release(): void {}
  keep(): void {}

  /** Copies bytes to the end of the open piece; false where there is none, or they are too many. */
  #join(data: Uint8Array): boolean {
    const open = this.#open;
    const size = this.#used + data.length;
    if (open === undefined || size > LARGEST_JOINED) return false;
    if (size > open.length) this.#grow(open, size);
    this.#open?.set(data, this.#used);
    this.#used = size;
    this.bytes += data.length;
    return true;
  }

  /** Mostly there is no second write: no more memory than this one needs. */
  #begin(piece: Buffer): void {
    this.#close();
    this.bytes += piece.length;
    if (piece.length > LARGEST_JOINED) {
      this.#pieces.push(piece);
      return;
    }
    this.#open = piece;
    this.#used = piece.length;
  }

  #grow(open: Buffer, size: number): void {
    const room = Math.max(LEAST_JOINED, 2 ** Math.ceil(Math.log2(size)));
    const larger = Buffer.allocUnsafe(Math.min(LARGEST_JOINED, room));
    open.copy(larger, 0, 0, this.#used);
    this.#open = larger;
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#pieces.push(this.#open.subarray(0, this.#used));
    this.#open = undefined;
    this.#used = 0;
  }
}
