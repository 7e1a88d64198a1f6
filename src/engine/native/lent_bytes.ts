import type { Lending } from "../engine.js";

/** Chunks up to this size share a block; larger ones get memory of their own. */
const SHARED_MAX = 2048;
/** The size of the blocks, and with it what a retained small chunk pins at most. */
const BLOCK_SIZE = 8192;
/** Up to this size a loop over 32-bit words is faster than a call to copy. */
const WORDWISE_MAX = 256;

/** For finding whoever reads beyond a view through its `buffer`: each is memory of its own then. */
const OWN_VIEWS = process.env.EVENTMACHINE_DEBUG === "1";

/** Buffer's own constructor: `Buffer.from` and `subarray` come down to it after checks that cost more than the view. */
const View = (Buffer as unknown as { [Symbol.species]: unknown })[Symbol.species] as new (
  memory: ArrayBufferLike,
  offset: number,
  length: number,
) => Buffer;

/**
 * The slab that the addon reads into, and how its bytes reach a connection: as views, which are made once for each place
 * and length, or as copies. Small copies are cut from shared blocks, so that a retained one pins at most 8 KiB; a larger
 * one is exactly its own size.
 */
export class LentBytes implements Lending {
  slab: Buffer = Buffer.alloc(0);
  /** The view handed out last, and where it begins: what is sent on unchanged is sent from where it lies. */
  lastView: Buffer | undefined;
  lastStart = 0;
  #slabWords = new Int32Array(0);
  readonly #places: number;
  #views: (Buffer | undefined)[] = [];
  #block = new ArrayBuffer(0);
  #blockWords = new Int32Array(0);
  /** There is no block yet: not even no bytes fit. */
  #blockUsed = BLOCK_SIZE + 1;

  /** `places`: how many views are kept for when they are asked for again; a power of two. */
  constructor(places = 512) {
    this.#places = places;
  }

  /** Takes the slab, or nothing: what was handed out of an earlier one keeps it alive no longer through this. */
  use(slab: ArrayBuffer): void {
    this.slab = Buffer.from(slab);
    this.#slabWords = new Int32Array(slab);
    this.#views = new Array<Buffer | undefined>(this.#places).fill(undefined);
    this.lastView = undefined;
  }

  view(start: number, end: number): Buffer {
    if (OWN_VIEWS) return this.#copyAlone(start, end - start);
    const view = this.#viewOf(start, end - start);
    this.lastView = view;
    this.lastStart = start;
    return view;
  }

  #copyAlone(start: number, length: number): Buffer {
    const copy = Buffer.allocUnsafeSlow(length);
    copy.set(this.#viewOf(start, length));
    return copy;
  }

  #viewOf(start: number, length: number): Buffer {
    // By where it begins: most starts are multiples of 16, those of large reads of 1024.
    const place = ((start >>> 4) ^ (start >>> 10)) & (this.#places - 1);
    const known = this.#views[place];
    if (known !== undefined && known.byteOffset === start && known.length === length) return known;
    const view = new View(this.slab.buffer, start, length);
    this.#views[place] = view;
    return view;
  }

  copy(start: number, end: number): Buffer {
    const length = end - start;
    if (length > SHARED_MAX) return this.#copyAlone(start, length);
    let offset = this.#blockUsed;
    if (offset + length > BLOCK_SIZE) {
      this.#block = Buffer.allocUnsafeSlow(BLOCK_SIZE).buffer as ArrayBuffer;
      this.#blockWords = new Int32Array(this.#block);
      offset = 0;
    }
    // Whole words on both sides: reads begin at multiples of 16, but for datagrams that came as one, and what lies behind
    // the last byte is read and not used.
    this.#blockUsed = offset + ((length + 7) & ~7);
    const copy = new View(this.#block, offset, length);
    if (length > WORDWISE_MAX || (start & 3) !== 0) {
      copy.set(this.#viewOf(start, length));
      return copy;
    }
    const from = this.#slabWords;
    const to = this.#blockWords;
    let at = start >> 2;
    for (let i = offset >> 2, last = (offset + length + 3) >> 2; i < last; i++) to[i] = from[at++]!;
    return copy;
  }
}
