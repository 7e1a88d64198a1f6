import { FileRange } from "./file_range.js";
import type { Waiting } from "./output.js";
import { Block, type Scratch } from "./scratch.js";

/** Bytes `start` to `end` of a block. */
interface Segment {
  readonly block: Block;
  start: number;
  end: number;
}

/** The first block of a connection whose peer does not keep up; each further one is twice as large, up to the largest. */
const FIRST_BLOCK = 4 * 1024;
const LARGEST_BLOCK = 64 * 1024;

/** A character of any encoding Node knows makes at most this many bytes. */
const BYTES_PER_UNIT = 3;

/** What waits for a socket that takes a write while it is made: in memory that is free again then, as far as it goes. */
export class OutputQueue implements Waiting {
  readonly #scratch: Scratch;
  readonly #entries: (Segment | FileRange)[] = [];
  readonly #taken: Block[] = [];
  /** Where in its block the last view taken lies. */
  #takenStart = 0;
  #takenEnd = 0;
  #nextBlock = FIRST_BLOCK;
  bytes = 0;

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  get file(): FileRange | undefined {
    const head = this.#entries[0];
    return head instanceof FileRange ? head : undefined;
  }

  /** Bytes that are in a block already become the head of an empty queue. */
  adopt(block: Block, start: number, end: number): void {
    this.#entries.push({ block, start, end });
    this.bytes += end - start;
  }

  /** What is `brief` has scratch memory. */
  append(data: Uint8Array, brief: boolean): void {
    const segment = this.#tail(data.length, brief);
    segment.block.memory.set(data, segment.end);
    this.#extend(segment, data.length);
  }

  appendText(text: string, encoding: BufferEncoding, brief: boolean): number {
    const most = text.length * BYTES_PER_UNIT;
    // What might not fit in a block is measured first.
    const segment = this.#tail(most <= LARGEST_BLOCK ? most : Buffer.byteLength(text, encoding), brief);
    const made = segment.block.memory.write(text, segment.end, encoding);
    this.#extend(segment, made);
    // Text can make no bytes at all ("hex" of no digits), and what is queued must be something.
    if (segment.start === segment.end) this.#entries.pop();
    return made;
  }

  appendFile(range: FileRange): void {
    this.#entries.push(range);
  }

  shiftFile(): void {
    this.#entries.shift();
  }

  take(limit: number): Buffer | Buffer[] {
    const head = this.#entries[0] as Segment;
    const next = this.#entries[1];
    if (next === undefined || next instanceof FileRange || head.end - head.start >= limit)
      return this.#cut(head, limit);
    const views: Buffer[] = [];
    let size = 0;
    for (let entry = this.#entries[0]; size < limit; entry = this.#entries[0]) {
      if (entry === undefined || entry instanceof FileRange) break;
      const view = this.#cut(entry, limit - size);
      size += view.length;
      views.push(view);
    }
    return views;
  }

  #cut(segment: Segment, limit: number): Buffer {
    const { block, start } = segment;
    const end = Math.min(segment.end, start + limit);
    if (end === segment.end) this.#entries.shift();
    else segment.start = end;
    this.bytes -= end - start;
    this.#taken.push(block);
    this.#takenStart = start;
    this.#takenEnd = end;
    return block.memory.subarray(start, end);
  }

  /** The last of what was taken is free memory at once, the rest when the turn has ended. */
  release(): void {
    const last = this.#taken.pop();
    if (last !== undefined && last.used === this.#takenEnd) last.used = this.#takenStart;
    this.#forgetTaken();
  }

  keep(): void {
    for (const block of this.#taken) block.kept = true;
    for (const entry of this.#entries) if (!(entry instanceof FileRange)) entry.block.kept = true;
    this.#forgetTaken();
  }

  /** One by one: an array whose length is set to 0 gives up its memory, and this one is filled again for every write. */
  #forgetTaken(): void {
    while (this.#taken.length > 0) this.#taken.pop();
  }

  /** The segment at the end of the queue with this much room behind it; a new one where there is none. */
  #tail(room: number, brief: boolean): Segment {
    const last = this.#entries[this.#entries.length - 1];
    if (last !== undefined && !(last instanceof FileRange)) {
      const { block, end } = last;
      if (block.used === end && block.room >= room) return last;
    }
    const block = brief ? this.#scratch.reserve(room) : this.#lastingBlock(room);
    const segment = { block, start: block.used, end: block.used };
    this.#entries.push(segment);
    return segment;
  }

  #lastingBlock(room: number): Block {
    if (this.isEmpty) this.#nextBlock = FIRST_BLOCK;
    const block = Block.ofSize(Math.max(room, this.#nextBlock));
    this.#nextBlock = Math.min(this.#nextBlock * 2, LARGEST_BLOCK);
    return block;
  }

  #extend(segment: Segment, bytes: number): void {
    segment.end += bytes;
    segment.block.used = segment.end;
    this.bytes += bytes;
  }
}
