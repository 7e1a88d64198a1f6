import { Operation, outcome, type Responsible, responsible } from "./outcome.js";
import { isPromise } from "./thenable.js";

/** Makes items of input that comes in pieces. */
export interface Cutter<S, T> {
  feed(piece: S): void;
  /** The next whole item; undefined where it takes more input. Throws for input that is wrong. */
  next(): T | undefined;
  /** What is left after the input's end as the last item, if anything; called once. Throws where the input ended too early. */
  rest(): T | undefined;
}

type Step<T> = IteratorResult<T, undefined>;
type Source<S> = AsyncIterable<S> | Iterable<S>;

/**
 * `for await` over the items of a source, as an async generator gives them. A generator would make a promise that can fail of every
 * step, and what can fail has to be watched; here an item that is at hand is a plain promise that cannot, and it takes no turn.
 *
 * The source is asked first when its first item is. Leaving the loop leaves the source, also where a step still waits for it.
 */
export class ItemReader<S, T> implements AsyncGenerator<T, undefined, undefined> {
  readonly #source: Source<S>;
  readonly #cutter: Cutter<S, T>;
  readonly #owner: Responsible | undefined = responsible();
  readonly #waiting: Operation<Step<T>>[] = [];
  #iterator: AsyncIterator<S> | undefined;
  /** The source gives no more, and is not to be left. */
  #isExhausted = false;
  #isDone = false;

  constructor(source: Source<S>, cutter: Cutter<S, T>) {
    this.#source = source;
    this.#cutter = cutter;
  }

  next(): Promise<Step<T>> {
    if (this.#waiting.length === 0) {
      if (this.#isDone) return Promise.resolve(done());
      try {
        const value = this.#cutter.next();
        if (value !== undefined) return Promise.resolve({ done: false, value });
      } catch (error) {
        const step = new Operation<Step<T>>(this.#owner);
        this.#refuse(step, error);
        return step.promise;
      }
    }
    const step = new Operation<Step<T>>(this.#owner);
    if (this.#waiting.push(step) === 1) this.#pull();
    return step.promise;
  }

  return(): Promise<Step<T>> {
    return outcome((accept, refuse) => void this.#leave().then(() => accept(done()), refuse), this.#owner);
  }

  throw(error: unknown): Promise<Step<T>> {
    return outcome((_, refuse) => void this.#leave().then(() => refuse(error), refuse), this.#owner);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #pull(): void {
    try {
      this.#iterator ??= iteratorOf(this.#source);
      const step = this.#iterator.next();
      if (isPromise(step)) step.then(this.#arrived, this.#failed);
      else Promise.resolve(step).then(this.#arrived, this.#failed);
    } catch (error) {
      this.#failed(error);
    }
  }

  readonly #arrived = (step: IteratorResult<S, unknown>): void => {
    if (this.#isDone) return;
    try {
      if (step.done === true) {
        this.#isExhausted = true;
        this.#accept(this.#cutter.rest());
        this.#finish();
        return;
      }
      this.#cutter.feed(step.value);
      while (this.#waiting.length > 0) {
        if (this.#accept(this.#cutter.next())) continue;
        this.#pull();
        return;
      }
    } catch (error) {
      this.#refuse(this.#waiting.shift(), error);
    }
  };

  #accept(value: T | undefined): boolean {
    if (value === undefined) return false;
    this.#waiting.shift()?.accept({ done: false, value });
    return true;
  }

  /** The source has failed: there is nothing to leave any more. */
  readonly #failed = (error: unknown): void => {
    if (this.#isDone) return;
    this.#isExhausted = true;
    this.#waiting.shift()?.refuse(error);
    this.#finish();
  };

  #finish(): void {
    this.#isDone = true;
    for (const step of this.#waiting.splice(0)) step.accept(done());
  }

  /** The input is wrong. As in a loop with a body that throws, the source is left before the error comes out. */
  #refuse(step: Operation<Step<T>> | undefined, error: unknown): void {
    const refuse = (): void => step?.refuse(error);
    this.#leave().then(refuse, refuse);
  }

  async #leave(): Promise<void> {
    const iterator = this.#isExhausted || this.#isDone ? undefined : this.#iterator;
    this.#finish();
    await iterator?.return?.();
  }
}

function iteratorOf<S>(source: Source<S>): AsyncIterator<S> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : awaited(source);
}

async function* awaited<S>(source: Iterable<S>): AsyncGenerator<S, undefined> {
  yield* source;
  return undefined;
}

function done(): IteratorReturnResult<undefined> {
  return { done: true, value: undefined };
}
