import { tooManyHandles } from "../handle_limit.js";
import { HANDLE_INDEX_MASK, type Handle } from "../streams.js";

const INDEX_BITS = 20;
const GENERATION_MASK = 0x7ff;

/** The table from handles to what they stand for. A slot's next handle has another generation. */
export class HandleTable<T extends { readonly handle: Handle }> {
  readonly #entries: (T | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];

  get isFull(): boolean {
    return this.#free.length === 0 && this.#entries.length > HANDLE_INDEX_MASK;
  }

  /** A handle nobody has; `put` makes it mean something. Throws LimitError when all are taken. */
  reserve(): Handle {
    if (this.isFull) throw tooManyHandles();
    let index = this.#free.pop();
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
    this.#free.push(index);
  }

  *entries(): Generator<T> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry;
  }
}
