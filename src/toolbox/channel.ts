import { checkFunction } from "../base/checks.js";
import { StateError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { answeredFor, lookAfter } from "../base/outcome.js";
import { isPromise } from "../base/thenable.js";
import { ChannelStream, type ChannelStreamOptions } from "./channel_stream.js";

import { Failures } from "./failures.js";
import { Fifo } from "./fifo.js";
import { checkWait, PATIENT, type WaitOptions } from "./waiting_list.js";

/** What a `Channel` may be given. */
export interface ChannelOptions {
  /**
   * Takes what subscribers throw, and what the promises they return reject with. Without it `push` throws what was thrown
   * when all have been served.
   */
  onError?: (error: unknown) => unknown;
}

const OPTIONS: Names<ChannelOptions> = { onError: true };

/** Emptied places in the list of subscribers that are not worth closing up. */
const FEW = 32;

/**
 * Publishes each item to everyone who subscribes at that time; nothing is kept for those who come later. Subscribers are
 * called inside `push`, in the order they came. Everyone gets all items in the order they were pushed: what a subscriber
 * pushes goes out when the item under way has reached all. One that throws keeps the others from nothing. (EventMachine's
 * Channel.)
 *
 * ```ts
 * const news = new Channel<string>();
 * const subscription = news.subscribe((item) => console.log(item));
 * news.push("first", "second");
 * subscription.unsubscribe();
 * ```
 */
export class Channel<T> implements AsyncIterable<T>, Disposable {
  readonly #onError: ((error: unknown) => unknown) | undefined;
  /** In order; those that have left are closed up now and then, never while an item is on its way. */
  #subscriptions: Subscription[] = [];
  /** Their functions, at the same places: with ten thousand of them it tells whether each is one step away or two. */
  #calls: (((item: T) => unknown) | undefined)[] = [];
  #left = 0;
  readonly #streams = new Set<ChannelStream<T>>();
  /** Items pushed while another one is on its way. */
  readonly #pending = new Fifo<T>();
  #isDelivering = false;
  #isClosed = false;

  constructor(options: ChannelOptions = {}) {
    checkOptions(options, OPTIONS);
    this.#onError = options.onError === undefined ? undefined : checkFunction(options.onError, "onError");
  }

  /** Subscribers there are now; each iteration is one. (num_subscribers.) */
  get numSubscribers(): number {
    return this.#subscriptions.length - this.#left;
  }

  /** Whether `close` has been called: nothing can be pushed or subscribed any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Calls back with every item from now on, until the subscription is disposed of. Throws `ERR_EM_CLOSED` after `close`. */
  subscribe(subscriber: (item: T) => unknown): Subscription {
    checkFunction(subscriber, "subscriber");
    if (this.#isClosed) throw closed("subscribe");
    const subscription = new Subscription(this.#subscriptions.length, this.#forget);
    this.#subscriptions.push(subscription);
    this.#calls.push(subscriber);
    return subscription;
  }

  /** The same as `subscription.unsubscribe()`. */
  unsubscribe(subscription: Subscription): void {
    subscription.unsubscribe();
  }

  /** Sends items to all subscribers. Throws `ERR_EM_CLOSED` after `close`. */
  push(...items: T[]): void {
    if (this.#isClosed) throw closed("push");
    if (this.#isDelivering) {
      for (const item of items) this.#pending.push(item);
      return;
    }
    this.#isDelivering = true;
    const failures = new Failures();
    for (const item of items) this.#deliver(item, failures);
    while (this.#pending.size > 0) this.#deliver(this.#pending.shift() as T, failures);
    this.#isDelivering = false;
    this.#closeUp();
    if (!failures.isEmpty) failures.rethrow();
  }

  /** The next item alone: calls back with it, or resolves with it. (pop.) */
  pop(callback: (item: T) => unknown): Subscription;
  /** Rejects with `ERR_EM_CLOSED` after `close`; when it gives up, with the signal's reason, or with `ERR_EM_TIMEOUT`. */
  pop(options?: WaitOptions): Promise<T>;
  pop(taker: ((item: T) => unknown) | WaitOptions = PATIENT): Subscription | Promise<T> {
    if (typeof taker === "object") return answeredFor(this.#popNext(taker));
    checkFunction(taker, "callback");
    const subscription = this.subscribe((item) => {
      subscription.unsubscribe();
      return taker(item);
    });
    return subscription;
  }

  async #popNext(options: WaitOptions): Promise<T> {
    checkWait(options);
    using stream = this.stream({ limit: 1, overflow: "drop-newest" });
    const step = await stream.take(options);
    if (step.done === true) throw closed("pop");
    return step.value;
  }

  /**
   * An async iteration that subscribes at once, with a buffer of its own. A buffer that is full does not hold up `push`:
   * see `overflow`.
   *
   * ```ts
   * const prices = new Channel<number>();
   * for await (const price of prices.stream({ limit: 16, overflow: "drop-oldest" })) console.log(price);
   * ```
   */
  stream(options: ChannelStreamOptions = {}): ChannelStream<T> {
    const stream = new ChannelStream<T>(options, (ended) => {
      this.#streams.delete(ended);
      subscription.unsubscribe();
    });
    const subscription = this.subscribe((item) => stream.add(item));
    this.#streams.add(stream);
    return stream;
  }

  /** `stream` with its defaults: at most 1024 items wait, and one more ends the iteration with an error. */
  [Symbol.asyncIterator](): ChannelStream<T> {
    return this.stream();
  }

  /** Ends every iteration, after what it holds, and lets go of all subscribers. */
  close(): void {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) stream.finish();
    for (const subscription of [...this.#subscriptions]) subscription.unsubscribe();
  }

  /** `using channel = new Channel()`: closes it at the end of the block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #deliver(item: T, failures: Failures): void {
    const calls = this.#calls;
    // Who comes meanwhile is in time for the next item.
    const count = calls.length;
    const watches = this.#onError !== undefined;
    let at = 0;
    while (at < count) {
      // Around the loop, not in it: this is where a channel's time is spent.
      try {
        while (at < count) {
          const call = calls[at++];
          if (call === undefined) continue;
          const result = call(item);
          if (watches && isPromise(result)) lookAfter(result.then(undefined, this.#onError));
        }
      } catch (error) {
        this.#report(error, failures);
      }
    }
  }

  #report(error: unknown, failures: Failures): void {
    if (this.#onError === undefined) {
      failures.add(error);
      return;
    }
    try {
      this.#onError(error);
    } catch (second) {
      failures.add(second);
    }
  }

  readonly #forget = (place: number): void => {
    this.#calls[place] = undefined;
    this.#left++;
    this.#closeUp();
  };

  #closeUp(): void {
    if (this.#isDelivering || this.#left <= FEW || this.#left < this.#subscriptions.length / 2) return;
    const calls = this.#calls;
    this.#subscriptions = this.#subscriptions.filter(({ isActive }) => isActive);
    this.#calls = this.#subscriptions.map((subscription, place) => {
      const call = calls[subscription.place];
      subscription.place = place;
      return call;
    });
    this.#left = 0;
  }
}

/** One subscriber of a channel; `using subscription = channel.subscribe(…)` ends with its block. */
export class Subscription implements Disposable {
  /** @internal Where it stands in its channel; -1 when it has left. */
  place: number;
  readonly #leave: (place: number) => void;

  /** @internal */
  constructor(place: number, leave: (place: number) => void) {
    this.place = place;
    this.#leave = leave;
  }

  /** Whether items still come: false once it was unsubscribed, or the channel closed. */
  get isActive(): boolean {
    return this.place !== -1;
  }

  /** No item comes any more, not even the one on its way. Harmless when done before. */
  unsubscribe(): void {
    if (this.place === -1) return;
    const place = this.place;
    this.place = -1;
    this.#leave(place);
  }

  /** Unsubscribes. */
  [Symbol.dispose](): void {
    this.unsubscribe();
  }
}

function closed(method: string): StateError {
  return new StateError("ERR_EM_CLOSED", `${method}: the channel is closed`);
}
