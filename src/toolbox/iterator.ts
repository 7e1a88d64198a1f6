import { checkCount, checkFunction } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { answeredFor, type Responsible, responsible } from "../base/outcome.js";
import { isThenable } from "../base/thenable.js";

/** How the work of `each` says that it is through with an item, where it returns no promise. Once only. */
export interface EachStep {
  /** The item is done: the next one is taken. Throws `ERR_EM_ALREADY_RETURNED` where the step was taken before. */
  next(): void;
  /**
   * The item has failed: no more are taken, and `each` rejects with the first such error when the others under way are
   * through.
   */
  fail(error: unknown): void;
}

/** How the work of `map` and `inject` gives its result, where it returns no promise. Once only. */
export interface ResultStep<R> {
  /** The item is done, with this result. Throws `ERR_EM_ALREADY_RETURNED` where the step was taken before. */
  return(result: R): void;
  /** The item has failed, as in `EachStep`. */
  fail(error: unknown): void;
}

/**
 * Where items come from: anything that iterates, or a function that is called for each and returns
 * `Iterator.STOP` when there are no more.
 */
export type IteratorSource<T> =
  | Iterable<T>
  | AsyncIterable<T>
  | (() => T | typeof Iterator.STOP | PromiseLike<T | typeof Iterator.STOP>);

type Fetched<T> = T | typeof Iterator.STOP;
type Worker<T> = (item: T, index: number, ends: Ends) => void;

/** How work on an item ends: once, by one of the first two; what goes wrong after that is `late`. */
interface Ends {
  readonly settle: (result: unknown) => void;
  readonly fail: (error: unknown) => void;
  readonly late: (error: unknown) => void;
}

/**
 * Works through items, a bounded number of them at a time. The source is a list, anything that iterates, or a function
 * called for each item until it gives `Iterator.STOP`; items are taken when there is a hand free for them.
 *
 * Work that returns a promise is through with its item when that settles. Other work is through when it calls the step it
 * is given (`next` for `each`, `return` for the others), and work that takes no step is through when it returns. After the
 * first failure, be it after a step, no more items are taken; when the work under way is through, the promise rejects with it. (EventMachine's
 * Iterator.)
 */
export class Iterator<T> {
  /** What a source that is a function returns after its last item. */
  static readonly STOP: unique symbol = Symbol("eventmachine.Iterator.STOP");

  readonly #fetch: () => Fetched<T> | PromiseLike<Fetched<T>>;
  readonly #release: () => unknown;
  #concurrency: number;
  #work: Worker<T> | undefined;
  #finish: (() => void) | undefined;
  #count = 0;
  #active = 0;
  #isFetching = false;
  #isPumping = false;
  #isEnded = false;
  #failure: { readonly error: unknown } | undefined;
  #owner: Responsible | undefined;

  /** `concurrency` is how many items are worked on at a time, from 1 on. */
  constructor(source: IteratorSource<T>, concurrency = 1) {
    this.#concurrency = checkCount(concurrency, "concurrency", 1);
    [this.#fetch, this.#release] = openSource(source);
  }

  /** May be changed under way: more hands set to work at once, fewer when they are through with their items. */
  get concurrency(): number {
    return this.#concurrency;
  }

  set concurrency(concurrency: number) {
    this.#concurrency = checkCount(concurrency, "concurrency", 1);
    this.#pump();
  }

  /** Does the work for each item; `after` runs when all is done, before the promise resolves. Once only. */
  each(work: (item: T, step: EachStep) => unknown, after?: () => unknown): Promise<void> {
    return answeredFor(this.#each(work, after));
  }

  async #each(work: (item: T, step: EachStep) => unknown, after?: () => unknown): Promise<void> {
    checkFunction(work, "work");
    if (after !== undefined) checkFunction(after, "after");
    await this.#run("each", (item, _index, ends) => {
      const once = onlyOnce(ends);
      const step: EachStep = { next: () => once.settle(undefined), fail: once.fail };
      follow(() => work(item, step), work.length < 2, once);
    });
    if (after !== undefined) await after();
  }

  /**
   * The results of the work in the order of the items. Once only.
   *
   * ```ts
   * const sizes = await new Iterator(["/etc/hosts", "/etc/passwd"], 2).map(async (path) => (await readFile(path)).length);
   * ```
   */
  map<R>(
    work: (item: T, step: ResultStep<R>) => R | PromiseLike<R> | undefined,
    after?: (results: R[]) => unknown,
  ): Promise<R[]> {
    return answeredFor(this.#map(work, after));
  }

  async #map<R>(
    work: (item: T, step: ResultStep<R>) => R | PromiseLike<R> | undefined,
    after?: (results: R[]) => unknown,
  ): Promise<R[]> {
    checkFunction(work, "work");
    if (after !== undefined) checkFunction(after, "after");
    const results: R[] = [];
    await this.#run("map", (item, index, ends) => {
      const once = onlyOnce(ends, (result) => {
        results[index] = result as R;
      });
      follow(() => work(item, { return: once.settle, fail: once.fail }), work.length < 2, once);
    });
    if (after !== undefined) await after(results);
    return results;
  }

  /**
   * Hands a value on from item to item. With more than one at a time each begins with the value as it is then, and the last
   * result counts, as in the original. Once only.
   *
   * ```ts
   * const sum = await new Iterator([1, 2, 3]).inject(0, (total, number) => total + number);
   * ```
   */
  inject<A>(
    initial: A,
    work: (value: A, item: T, step: ResultStep<A>) => A | PromiseLike<A> | undefined,
    after?: (value: A) => unknown,
  ): Promise<A> {
    return answeredFor(this.#inject(initial, work, after));
  }

  async #inject<A>(
    initial: A,
    work: (value: A, item: T, step: ResultStep<A>) => A | PromiseLike<A> | undefined,
    after?: (value: A) => unknown,
  ): Promise<A> {
    checkFunction(work, "work");
    if (after !== undefined) checkFunction(after, "after");
    let value = initial;
    await this.#run("inject", (item, _index, ends) => {
      const once = onlyOnce(ends, (result) => {
        value = result as A;
      });
      follow(() => work(value, item, { return: once.settle, fail: once.fail }), work.length < 3, once);
    });
    if (after !== undefined) await after(value);
    return value;
  }

  #run(method: string, work: Worker<T>): Promise<void> {
    if (this.#work !== undefined) {
      throw new StateError("ERR_EM_ALREADY_STARTED", `${method}: an Iterator works through its items once`);
    }
    this.#work = work;
    this.#owner = responsible();
    return new Promise((resolve, reject) => {
      this.#finish = () => {
        this.#finish = undefined;
        if (this.#failure === undefined) resolve();
        else reject(this.#failure.error);
      };
      this.#pump();
    });
  }

  /** Takes items while there are hands free. Work that is through at once comes back here by the loop, not by recursion. */
  #pump(): void {
    if (this.#isPumping || this.#work === undefined) return;
    this.#isPumping = true;
    while (!this.#isEnded && !this.#isFetching && this.#active < this.#concurrency) {
      try {
        const item = this.#fetch();
        if (!isThenable(item)) {
          this.#start(item);
          continue;
        }
        this.#isFetching = true;
        item.then(this.#arrived, this.#sourceFailed);
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#isPumping = false;
    if (this.#isEnded && this.#active === 0 && !this.#isFetching) this.#finish?.();
  }

  readonly #arrived = (item: Fetched<T>): void => {
    this.#isFetching = false;
    if (!this.#isEnded) this.#start(item);
    this.#pump();
  };

  readonly #sourceFailed = (error: unknown): void => {
    this.#isFetching = false;
    this.#fail(error);
    this.#pump();
  };

  #start(item: Fetched<T>): void {
    if (item === Iterator.STOP) {
      this.#isEnded = true;
      return;
    }
    this.#active++;
    const through = () => {
      this.#active--;
      this.#pump();
    };
    const fail = (error: unknown) => {
      this.#fail(error);
      through();
    };
    (this.#work as Worker<T>)(item as T, this.#count++, { settle: through, fail, late: this.#late });
  }

  /** Fails for what went wrong after an item's end; when all is over, it is told to whoever answers for the work. */
  readonly #late = (error: unknown): void => {
    if (this.#finish !== undefined) {
      this.#fail(error);
      this.#pump();
    } else if (this.#owner !== undefined) {
      this.#owner.operationFailed(error);
    } else {
      throw error;
    }
  };

  #fail(error: unknown): void {
    this.#failure ??= { error };
    if (this.#isEnded) return;
    this.#isEnded = true;
    try {
      const released = this.#release();
      // The failure that is reported is the first one.
      if (isThenable(released)) released.then(undefined, () => {});
    } catch {}
  }
}

interface Once extends Ends {
  isDone: boolean;
}

/** Ends that refuse to come twice; `take` gets the result first. */
function onlyOnce({ settle, fail, late }: Ends, take?: (result: unknown) => void): Once {
  const guarded =
    <V>(call: (value: V) => void) =>
    (value: V) => {
      if (once.isDone) throw new StateError("ERR_EM_ALREADY_RETURNED", "the work on this item is through already");
      once.isDone = true;
      call(value);
    };
  const settleWith = (result: unknown) => {
    take?.(result);
    settle(result);
  };
  const once: Once = { settle: guarded(settleWith), fail: guarded(fail), late, isDone: false };
  return once;
}

/** Does the work. What its promise resolves to counts, unless its step was called first; what it rejects with always does. */
function follow(work: () => unknown, returns: boolean, once: Once): void {
  const failed = (error: unknown) => (once.isDone ? once.late(error) : once.fail(error));
  let result: unknown;
  try {
    result = work();
  } catch (error) {
    failed(error);
    return;
  }
  if (isThenable(result)) {
    result.then((value) => {
      if (!once.isDone) once.settle(value);
    }, failed);
  } else if (returns && !once.isDone) {
    once.settle(result);
  }
}

function openSource<T>(source: IteratorSource<T>): [() => Fetched<T> | PromiseLike<Fetched<T>>, () => unknown] {
  if (typeof source === "function") return [source, () => {}];
  if (typeof source === "string" || (typeof source === "object" && source !== null)) {
    if (Symbol.iterator in Object(source)) {
      const items = (source as Iterable<T>)[Symbol.iterator]();
      return [() => stepItem(items.next()), () => items.return?.()];
    }
    if (Symbol.asyncIterator in source) {
      const items = (source as AsyncIterable<T>)[Symbol.asyncIterator]();
      return [() => items.next().then(stepItem), () => items.return?.()];
    }
  }
  throw new ArgumentError(`source must be iterable or a function, not ${describe(source)}`);
}

function stepItem<T>(step: IteratorResult<T, unknown>): Fetched<T> {
  return step.done === true ? Iterator.STOP : step.value;
}
