const LEAST_CAPACITY = 16;

/** First in, first out, in one array that is used in a circle: grows by doubling, shrinks to a quarter when seven eighths are empty. */
export class Ring<T> {
  #slots: (T | undefined)[] = [];
  #mask = -1;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    if (this.#size > this.#mask) this.#resize(Math.max(LEAST_CAPACITY, this.#size * 2));
    this.#slots[(this.#head + this.#size) & this.#mask] = item;
    this.#size++;
  }

  /** Takes the oldest item; undefined when there is none. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const head = this.#head;
    const item = this.#slots[head];
    this.#slots[head] = undefined;
    this.#head = (head + 1) & this.#mask;
    this.#size--;
    if (this.#mask >= 4 * LEAST_CAPACITY && this.#size < this.#mask >> 3) this.#resize((this.#mask + 1) >> 2);
    return item;
  }

  clear(): void {
    this.#slots = [];
    this.#mask = -1;
    this.#head = 0;
    this.#size = 0;
  }

  #resize(capacity: number): void {
    const slots = new Array<T | undefined>(capacity);
    for (let at = 0; at < this.#size; at++) slots[at] = this.#slots[(this.#head + at) & this.#mask];
    this.#slots = slots;
    this.#mask = capacity - 1;
    this.#head = 0;
  }
}
