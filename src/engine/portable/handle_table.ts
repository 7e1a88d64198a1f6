import { tooManyHandles } from "../handle_limit.js";
import { HANDLE_INDEX_MASK, type Handle } from "../streams.js";

const INDEX_BITS = 20;
const GENERATION_MASK = 0x7ff;
/** A slot is given out again when so many others are free, so that a stale handle finds nothing for long. */
const LEAST_FREE = 64;

/** The table from handles to what they stand for. A slot's next handle has another generation. */
export class HandleTable<T extends { readonly handle: Handle }> {
  readonly #entries: (T | undefined)[] = [];
  readonly #generations: number[] = [];
  /** Free slots: those to be given out next, the last first, and behind them those freed since, in order. */
  #next: number[] = [];
  #freed: number[] = [];

  get #free(): number {
    return this.#next.length + this.#freed.length;
  }

  get isFull(): boolean {
    return this.#free === 0 && this.#entries.length > HANDLE_INDEX_MASK;
  }

  /** A handle nobody has; `put` makes it mean something. Throws LimitError when all are taken. */
  reserve(): Handle {
    if (this.isFull) throw tooManyHandles();
    const isGrown = this.#entries.length > HANDLE_INDEX_MASK;
    let index = this.#free > LEAST_FREE || isGrown ? this.#oldest() : undefined;
    if (index === undefined) {
      index = this.#entries.push(undefined) - 1;
      this.#generations.push(0);
    }
    return ((this.#generations[index] as number) << INDEX_BITS) | index;
  }

  put(entry: T): void {
    this.#entries[entry.handle & HANDLE_INDEX_MASK] = entry;
  }

  get(handle: Handle): T | undefined {
    const entry = this.#entries[handle & HANDLE_INDEX_MASK];
    return entry !== undefined && entry.handle === handle ? entry : undefined;
  }

  /** Ends the handle's meaning; its slot may be given out again. */
  release(handle: Handle): void {
    const index = handle & HANDLE_INDEX_MASK;
    this.#entries[index] = undefined;
    this.#generations[index] = ((this.#generations[index] as number) + 1) & GENERATION_MASK;
    this.#freed.push(index);
  }

  #oldest(): number | undefined {
    if (this.#next.length === 0) {
      this.#next = this.#freed.reverse();
      this.#freed = [];
    }
    return this.#next.pop();
  }

  *entries(): Generator<T> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry;
  }
}
