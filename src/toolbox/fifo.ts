const LEAST_CAPACITY = 4;
/** The most a block holds: what a drained list keeps is one of these, some 16 KB. */
const MOST_CAPACITY = 2048;

/** A stretch of a list, used in a circle; its capacity is a power of two. */
class Block<T> {
  readonly slots: (T | undefined)[];
  readonly mask: number;
  head = 0;
  size = 0;
  next: Block<T> | undefined;

  constructor(capacity: number) {
    this.slots = new Array<T | undefined>(capacity);
    this.mask = capacity - 1;
  }
}

/**
 * First in, first out, in blocks that follow each other, each twice as long as the last until they are long enough: to grow
 * moves nothing, and what has been taken out is let go block by block.
 */
export class Fifo<T> {
  #first = new Block<T>(LEAST_CAPACITY);
  #last = this.#first;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    let block = this.#last;
    if (block.size > block.mask) {
      block.next = new Block<T>(Math.min(MOST_CAPACITY, 2 * block.size));
      block = block.next;
      this.#last = block;
    }
    block.slots[(block.head + block.size) & block.mask] = item;
    block.size++;
    this.#size++;
  }

  /** Takes the oldest item; undefined when there is none. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const block = this.#first;
    const { head, slots } = block;
    const item = slots[head];
    slots[head] = undefined;
    block.head = (head + 1) & block.mask;
    this.#size--;
    if (--block.size === 0 && block.next !== undefined) this.#first = block.next;
    return item;
  }

  clear(): void {
    this.#first = new Block<T>(LEAST_CAPACITY);
    this.#last = this.#first;
    this.#size = 0;
  }
}
