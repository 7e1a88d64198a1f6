import { checkCount, checkFunction } from "../base/checks.js";
import { StateError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { refusal } from "../base/outcome.js";
import { Failures } from "./failures.js";
import { Fifo } from "./fifo.js";
import { PATIENT, refusedWait, WaitingList, type WaitOptions } from "./waiting_list.js";

/** What a `Queue` may be given. */
export interface QueueOptions {
  /** The most items it holds; whoever pushes more awaits room. Default: no bound. */
  limit?: number;
}

const OPTIONS: Names<QueueOptions> = { limit: true };

/** Given whenever there is nothing to wait for, so that a push into an open queue makes no promise. */
const ROOM = Promise.resolve();

/**
 * Items from those who push to those who pop, first in, first out, on both sides. Callbacks run inside the `push` or `pop`
 * that brought item and taker together; what they push and pop in turn is served when they have returned. A callback that
 * throws keeps the others from nothing: that `push` or `pop` throws what it threw when all are served. (EventMachine's
 * Queue, with a bound, promises and an end.)
 *
 * ```ts
 * const jobs = new Queue<string>({ limit: 100 });
 * await jobs.push("first");
 * for await (const job of jobs) console.log(job);
 * ```
 */
export class Queue<T> implements AsyncIterable<T>, Disposable {
  readonly #limit: number;
  readonly #items = new Fifo<T>();
  readonly #takers = new WaitingList<T>();
  /** Those that wait for room, each with its item. */
  readonly #pushers = new WaitingList<void>();
  readonly #outside = new Fifo<T>();
  #isServing = false;
  #isClosed = false;

  constructor(options: QueueOptions = {}) {
    checkOptions(options, OPTIONS);
    this.#limit = checkCount(options.limit ?? Number.POSITIVE_INFINITY, "limit", 1);
  }

  /** Items that have been taken in and not been popped. */
  get size(): number {
    return this.#items.size;
  }

  /** Whether there is no item to pop. (empty?) */
  get isEmpty(): boolean {
    return this.#items.size === 0;
  }

  /** Poppers that wait for an item. (num_waiting.) */
  get numWaiting(): number {
    return this.#takers.size;
  }

  /** Items that wait for room, which is only where there is a `limit`. */
  get numWaitingForRoom(): number {
    return this.#pushers.size;
  }

  /** Whether `close` has been called. Items may be left. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Adds items, and resolves when all are in: at once as long as there is room. What has to wait keeps its place in the
   * order. Rejects with `ERR_EM_CLOSED` after `close`, and takes nothing then.
   */
  push(item: T, ...more: T[]): Promise<void> {
    if (this.#isClosed) return refusal(new StateError("ERR_EM_CLOSED", "push: the queue is closed"));
    let room = ROOM;
    if (this.#items.size < this.#limit) this.#items.push(item);
    else room = this.#waitForRoom(item);
    for (let at = 0; at < more.length; at++) {
      if (this.#items.size < this.#limit) this.#items.push(more[at] as T);
      else room = this.#waitForRoom(more[at] as T);
    }
    if (this.#takers.size > 0) this.#serve();
    return room;
  }

  /** Takes the next item: calls back with it, at once if there is one, or resolves with it. */
  pop(callback: (item: T) => unknown): void;
  /**
   * Rejects with `ERR_EM_CLOSED` when the queue is closed and empty, and when it gives up waiting: with the signal's
   * reason, or with `ERR_EM_TIMEOUT`.
   */
  pop(options?: WaitOptions): Promise<T>;
  pop(taker: ((item: T) => unknown) | WaitOptions = PATIENT): Promise<T> | undefined {
    if (typeof taker === "object") return this.#popLater(taker);
    checkFunction(taker, "callback");
    if (this.#isServing || this.#items.size === 0) {
      if (!this.#isClosed || this.#items.size > 0) this.#takers.add(taker);
      return undefined;
    }
    this.#isServing = true;
    let failures: Failures | undefined;
    try {
      taker(this.#take());
    } catch (error) {
      failures = new Failures().add(error);
    }
    this.#isServing = false;
    if (this.#takers.size > 0) this.#serve(failures);
    else failures?.rethrow();
    return undefined;
  }

  /**
   * Takes no more items. What is in is still given out, what waits for room still comes in; then poppers that wait get
   * `ERR_EM_CLOSED`, iterations end, and callbacks are dropped.
   */
  close(): void {
    this.#isClosed = true;
    this.#refuseTakers();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Takes items until the queue is closed and empty. Several iterations share the items. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    const end = { done: true, value: undefined } as const;
    return {
      next: () => {
        if (this.#isOver) return Promise.resolve(end);
        const step = new Promise<IteratorResult<T, undefined>>((resolve) => {
          this.#takers.add(
            (value) => resolve({ done: false, value }),
            () => resolve(end),
          );
        });
        if (this.#items.size > 0) this.#serve();
        return step;
      },
      return: async () => end,
    };
  }

  get #isOver(): boolean {
    return this.#isClosed && this.#items.size === 0;
  }

  #popLater(options: WaitOptions): Promise<T> {
    const refused = refusedWait(options);
    if (refused !== undefined) return refused;
    if (this.#isOver) return refusal(closed());
    const popped = this.#takers.wait(options, "pop");
    if (this.#items.size > 0) this.#serve();
    return popped;
  }

  /** Brings items and takers together. Called from within a callback it leaves it to the call that is under way. */
  #serve(failures?: Failures): void {
    if (this.#isServing) return;
    this.#isServing = true;
    while (this.#items.size > 0) {
      const taker = this.#takers.shift();
      if (taker === undefined) break;
      try {
        taker.accept(this.#take());
      } catch (error) {
        failures ??= new Failures();
        failures.add(error);
      }
    }
    this.#isServing = false;
    this.#refuseTakers();
    failures?.rethrow();
  }

  #take(): T {
    const item = this.#items.shift() as T;
    if (this.#pushers.size > 0) {
      this.#items.push(this.#outside.shift() as T);
      this.#pushers.shift()?.accept();
    }
    return item;
  }

  #waitForRoom(item: T): Promise<void> {
    this.#outside.push(item);
    return new Promise((resolve) => {
      this.#pushers.add(resolve);
    });
  }

  #refuseTakers(): void {
    if (this.#isOver && this.#takers.size > 0) this.#takers.refuseAll(closed);
  }
}

function closed(): StateError {
  return new StateError("ERR_EM_CLOSED", "pop: the queue is closed and empty");
}
