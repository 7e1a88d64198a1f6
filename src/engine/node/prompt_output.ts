import { Output, type OutputOwner, PIECE_SIZE } from "./output.js";
import { OutputQueue } from "./output_queue.js";
import { Block, type Scratch } from "./scratch.js";
import type { StreamKind } from "./stream_kind.js";

/** Room for text whose size is not measured first: a character of any encoding Node knows makes at most three bytes. */
const BYTES_PER_UNIT = 3;
/** What is smaller is copied, for more may follow it. */
const LEAST_OWNED = 4096;

/**
 * The way out through a socket of node:net's that takes a write while it is made. libuv tries each at once, so the socket
 * normally has nothing left when its `write` returns, and the memory is free again; what the kernel did not take is waited for.
 *
 * Most turns send a connection one run of bytes that fits in a block. That is kept here, without a queue: the fewer
 * objects a connection has, the less of it must be fetched from memory when it is one of a thousand.
 */
export class PromptOutput extends Output {
  readonly #scratch: Scratch;
  /** Bytes `#start` to `#end` of a block, where that is all there is to send. The queue is empty then. */
  #block: Block | undefined;
  #start = 0;
  #end = 0;

  constructor(owner: OutputOwner, kind: StreamKind, scratch: Scratch) {
    super(owner, kind);
    this.#scratch = scratch;
  }

  protected override get queuedBytes(): number {
    return this.#end - this.#start + super.queuedBytes;
  }

  protected override get isEmpty(): boolean {
    return this.#block === undefined && super.isEmpty;
  }

  override write(data: Uint8Array): void {
    const block = this.blockFor(data.length);
    if (block === undefined) {
      this.theQueue().append(data, !this.isBlocked);
    } else {
      block.memory.set(data, this.#end);
      this.#end += data.length;
      block.used = this.#end;
    }
  }

  /** Bytes that nobody changes any more: a run of them alone is sent from where it is. */
  override writeOwned(data: Buffer): void {
    if (data.length < LEAST_OWNED || this.isBlocked || !this.isEmpty) {
      this.write(data);
    } else {
      this.#block = Block.of(data);
      this.#start = 0;
      this.#end = data.length;
    }
  }

  override writeText(text: string, encoding: BufferEncoding): number {
    const block = this.blockFor(text.length * BYTES_PER_UNIT);
    if (block === undefined) return this.theQueue().appendText(text, encoding, !this.isBlocked);
    const made = block.memory.write(text, this.#end, encoding);
    this.#end += made;
    block.used = this.#end;
    // Text can make no bytes at all ("hex" of no digits), and what is queued must be something.
    if (this.#start === this.#end) this.forgetBlock();
    return made;
  }

  /** The block that has this much room behind all there is to send; undefined where it takes a queue. */
  protected blockFor(room: number): Block | undefined {
    const block = this.#block;
    if (block !== undefined) return block.used === this.#end && block.room >= room ? block : undefined;
    if (this.isBlocked || room > PIECE_SIZE || !this.isEmpty) return undefined;
    const fresh = this.#scratch.reserve(room);
    this.#block = fresh;
    this.#start = this.#end = fresh.used;
    return fresh;
  }

  protected forgetBlock(): void {
    this.#block = undefined;
    this.#start = this.#end = 0;
  }

  /** The queue, with what is in `#block` at its head. */
  protected override theQueue(): OutputQueue {
    this.queue ??= new OutputQueue(this.#scratch);
    const queue = this.queue as OutputQueue;
    if (this.#block !== undefined) {
      queue.adopt(this.#block, this.#start, this.#end);
      this.forgetBlock();
    }
    return queue;
  }

  override flush(): void {
    if (this.#block !== undefined && !this.isBlocked) this.handOverBlock(this.#block);
    super.flush();
  }

  protected handOverBlock(block: Block): void {
    const start = this.#start;
    const end = this.#end;
    this.forgetBlock();
    if (this.put(block.memory.subarray(start, end))) {
      if (block.used === end) block.used = start;
      this.owner.wrote(end - start, 0);
    } else {
      block.kept = true;
      this.pending = end - start;
      this.isBlocked = true;
    }
  }
}
