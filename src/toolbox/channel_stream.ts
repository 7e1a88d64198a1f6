import { checkCount } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError, LimitError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { CHANNEL_BUFFER_LIMIT } from "../base/limits.js";
import { refusal } from "../base/outcome.js";
import { Fifo } from "./fifo.js";
import { PATIENT, WaitingList, type WaitOptions } from "./waiting_list.js";

/**
 * What an iteration does with an item that its buffer has no room for. `error`: it takes nothing more, and ends with
 * `ERR_EM_CHANNEL_OVERFLOW` after what it holds. `drop-oldest` and `drop-newest`: one item is lost, and counted.
 */
export type Overflow = "error" | "drop-oldest" | "drop-newest";

/** How much an iteration of a channel holds, and what becomes of the rest. */
export interface ChannelStreamOptions {
  /** The most items that wait to be taken. Default 1024. */
  limit?: number;
  /** Default "error". */
  overflow?: Overflow;
}

const OPTIONS: Names<ChannelStreamOptions> = { limit: true, overflow: true };

type Step<T> = IteratorResult<T, undefined>;

/** What `channel.stream()` gives: the channel's items, from then on, for `for await`. Leaving the loop unsubscribes. */
export class ChannelStream<T> implements AsyncIterableIterator<T, undefined>, Disposable {
  readonly #limit: number;
  readonly #overflow: Overflow;
  readonly #left: (stream: ChannelStream<T>) => void;
  readonly #items = new Fifo<T>();
  readonly #takers = new WaitingList<Step<T>>();
  #isEnded = false;
  #error: LimitError | undefined;
  #dropped = 0;

  /** @internal `left` is told when it takes no more items. */
  constructor(options: ChannelStreamOptions, left: (stream: ChannelStream<T>) => void) {
    checkOptions(options, OPTIONS);
    const { limit = CHANNEL_BUFFER_LIMIT, overflow = "error" } = options;
    this.#limit = checkCount(limit, "limit", 1);
    if (overflow !== "error" && overflow !== "drop-oldest" && overflow !== "drop-newest") {
      throw new ArgumentError(`overflow must be error, drop-oldest or drop-newest, not ${describe(overflow)}`);
    }
    this.#overflow = overflow;
    this.#left = left;
  }

  /** Items that wait to be taken. */
  get size(): number {
    return this.#items.size;
  }

  /** Items that were lost for want of room. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @internal An item of the channel. */
  add(item: T): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      taker.accept({ done: false, value: item });
    } else if (this.#items.size < this.#limit) {
      this.#items.push(item);
    } else if (this.#overflow === "error") {
      const message = `${this.#limit} items wait in an iteration of a channel, and another one came`;
      this.#error = new LimitError("ERR_EM_CHANNEL_OVERFLOW", message, this.#limit);
      this.finish();
    } else {
      this.#dropped++;
      if (this.#overflow === "drop-newest") return;
      this.#items.shift();
      this.#items.push(item);
    }
  }

  /**
   * The next item, as soon as there is one; done when the channel has closed, or this iteration has ended, and everything held was
   * taken. Rejects once with `ERR_EM_CHANNEL_OVERFLOW` after the items held, where `overflow` is "error" and one had no room.
   */
  next(): Promise<Step<T>> {
    return this.take(PATIENT);
  }

  /** @internal `next`, for options that have been checked. */
  take(options: WaitOptions): Promise<Step<T>> {
    if (this.#items.size > 0) return Promise.resolve({ done: false, value: this.#items.shift() as T });
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) return refusal(error);
    if (this.#isEnded) return Promise.resolve({ done: true, value: undefined });
    return this.#takers.wait(options, "pop");
  }

  /** Leaves the channel and forgets what is held: what leaving a `for await` loop calls. */
  async return(): Promise<Step<T>> {
    this.end();
    return { done: true, value: undefined };
  }

  /** Leaves the channel, and forgets what it holds. */
  end(): void {
    this.#items.clear();
    this.#error = undefined;
    this.finish();
  }

  /** Leaves the channel; what it holds can still be taken. */
  finish(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#left(this);
    for (let taker = this.#takers.shift(); taker !== undefined; taker = this.#takers.shift()) {
      taker.accept({ done: true, value: undefined });
    }
  }

  /** The iteration itself: `for await (const item of channel.stream())`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as `end`. */
  [Symbol.dispose](): void {
    this.end();
  }
}
