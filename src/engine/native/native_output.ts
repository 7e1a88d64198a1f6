import { HANDLE_INDEX_MASK, type Handle } from "../streams.js";
import { lowWater } from "./call_arguments.js";
import { Figure, Flag, MAX_PIECES, OUT_SLAB_SIZE, Word } from "./layout.js";
import { NativeLoop } from "./native_loop.js";
import { SMALL_WRITE } from "./ring.js";

/** `buffer.write` looks its encoding up by name each time; these are what it comes down to. */
interface TextBuffer extends Buffer {
  latin1Write(text: string, offset: number, length: number): number;
  utf8Write(text: string, offset: number, length: number): number;
}

/** Bytes that a string may become at most and still be written into the shared memory directly. */
const SMALL_TEXT = 64 * 1024;

/**
 * The output of the native engine. What is small is copied into the memory that is shared, and noted there: the addon takes
 * it over at the flush, without a call for each. What is large goes down directly.
 */
export class NativeOutput extends NativeLoop {
  write(handle: Handle, data: Uint8Array): void {
    const length = data.length;
    const index = handle & HANDLE_INDEX_MASK;
    if (length === 0 || !this.#takesOutput(handle, index)) return;
    if (length > SMALL_WRITE) {
      const { lending } = this;
      if (data === lending.lastView) this.native.writeLent(this.loop, handle, lending.lastStart, length);
      else this.native.write(this.loop, handle, data);
      return;
    }
    const offset = this.#reserve(handle, index, length);
    if (offset < 0) return;
    this.outSlab.set(data, offset);
    this.#queue(handle, index, offset, length);
  }

  /** What the kernel takes at once is copied nowhere anyway. */
  writeOwned(handle: Handle, data: Buffer): void {
    this.write(handle, data);
  }

  writeString(handle: Handle, text: string, encoding: BufferEncoding): number {
    const index = handle & HANDLE_INDEX_MASK;
    if (text.length === 0 || !this.#takesOutput(handle, index)) return 0;
    const most = encoding === "utf8" || encoding === "utf-8" ? text.length * 3 : text.length;
    if (most > SMALL_TEXT || (most === text.length && encoding !== "latin1" && encoding !== "ascii")) {
      const data = Buffer.from(text, encoding);
      this.write(handle, data);
      return data.length;
    }
    const offset = this.#reserve(handle, index, most);
    if (offset < 0) return 0;
    const slab = this.outSlab as TextBuffer;
    const length = most === text.length ? slab.latin1Write(text, offset, most) : slab.utf8Write(text, offset, most);
    this.#queue(handle, index, offset, length);
    return length;
  }

  #takesOutput(handle: Handle, index: number): boolean {
    return this.handles[index] === handle && (this.flags[index]! & Flag.noWrite) === 0;
  }

  /** Where `length` bytes of output can go; -1 where making room has shown that the connection is dead. */
  #reserve(handle: Handle, index: number, length: number): number {
    const words = this.words;
    if (words[Word.outUsed]! + length > OUT_SLAB_SIZE || words[Word.pieceCount]! >= MAX_PIECES) {
      this.native.flush(this.loop);
      if (!this.#takesOutput(handle, index)) return -1;
    }
    return words[Word.outUsed]!;
  }

  #queue(handle: Handle, index: number, offset: number, length: number): void {
    const words = this.words;
    const pieces = this.pieces;
    const count = words[Word.pieceCount]!;
    const last = (count - 1) * 4;
    // Pieces lie one behind the other, so that a connection's next one only lengthens its last.
    if (count > words[Word.absorbed]! && pieces[last] === handle) {
      pieces[last + 2]! += length;
    } else {
      pieces[last + 4] = handle;
      pieces[last + 5] = offset;
      pieces[last + 6] = length;
      words[Word.pieceCount] = count + 1;
    }
    words[Word.outUsed] = offset + length;
    this.outbound[index]! += length;
    this.figures[Figure.totalOutbound]! += length;
  }

  sendFile(handle: Handle, fd: number, offset: number, length: number): void {
    this.native.sendFile(this.loop, handle, fd, offset, length);
  }

  outboundSize(handle: Handle): number {
    const index = handle & HANDLE_INDEX_MASK;
    return this.handles[index] === handle ? this.outbound[index]! : 0;
  }

  totalOutbound(): number {
    return this.figures[Figure.totalOutbound]!;
  }

  awaitWritable(handle: Handle): void {
    this.native.awaitWritable(this.loop, handle);
  }

  setLowWaterMark(handle: Handle, bytes: number): void {
    this.native.setLowWaterMark(this.loop, handle, lowWater(bytes));
  }
}
