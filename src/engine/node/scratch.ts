/** Memory that output is copied into. `used` is where the free part begins; it only moves over bytes nobody reads. */
export class Block {
  readonly memory: Buffer;
  used = 0;
  /** Somebody still reads it after the turn: it must not be used again. */
  kept = false;

  private constructor(memory: Buffer) {
    this.memory = memory;
  }

  static ofSize(size: number): Block {
    return new Block(Buffer.allocUnsafeSlow(size));
  }

  /** Bytes that are in nobody's way where they are. */
  static of(bytes: Buffer): Block {
    const block = new Block(bytes);
    block.used = bytes.length;
    return block;
  }

  get room(): number {
    return this.memory.length - this.used;
  }
}

const BLOCK_SIZE = 64 * 1024;
/** Blocks that stay for the next turn. */
const BLOCKS_KEPT = 16;

/**
 * The memory of one turn's writes, shared by all connections. The kernel takes nearly every write while it is made, and
 * then its bytes are free again at once: a server that echoes allocates nothing for its output.
 */
export class Scratch {
  #blocks: Block[] = [];
  #current = 0;

  /** A block with this much room. */
  reserve(bytes: number): Block {
    if (bytes > BLOCK_SIZE) return Block.ofSize(bytes);
    for (; this.#current < this.#blocks.length; this.#current++) {
      const block = this.#blocks[this.#current] as Block;
      if (block.room >= bytes) return block;
    }
    const block = Block.ofSize(BLOCK_SIZE);
    this.#blocks.push(block);
    return block;
  }

  /** Every queue has been flushed: what is not kept by a blocked connection is free again. */
  recycle(): void {
    let free = 0;
    for (const block of this.#blocks) {
      if (block.kept || free === BLOCKS_KEPT) continue;
      block.used = 0;
      this.#blocks[free++] = block;
    }
    this.#blocks.length = free;
    this.#current = 0;
  }
}
