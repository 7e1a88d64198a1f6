import { isPromise, isThenable } from "./thenable.js";

/** Who answers for an operation: it is told of a failure that nobody looked at. */
export interface Responsible {
  /** @internal Nobody looked at this failure. */
  operationFailed(error: unknown): void;
}

let provider: () => Responsible | undefined = () => undefined;

/** Says who answers for operations that are begun now and name nobody. The package's entry names the current reactor. */
export function setResponsible(provide: () => Responsible | undefined): void {
  provider = provide;
}

/** Who answers for what is begun now; undefined outside of reactors, where a rejection is Node's business. */
export function responsible(): Responsible | undefined {
  return provider();
}

/**
 * The promise of an operation that somebody answers for. It is observed when `then` has been called on it: by the program, by
 * `await`, or by anything else that takes promises, for on a promise of a class of its own `await` calls `then` too. Rejected
 * and not observed when the microtasks of that turn have run, it is reported, and Node never hears of it. What is derived from it
 * is an ordinary promise.
 */
class Outcome<T> extends Promise<T> {
  #isObserved = false;

  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: to know who observes it is what this class is for
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#isObserved = true;
    return super.then(onFulfilled, onRejected);
  }

  /** It has been rejected. Node looks for unhandled rejections after the last tick, and this one is looked after in a tick. */
  judge(error: unknown, owner: Responsible): void {
    queueMicrotask(() => {
      process.nextTick(() => {
        if (this.#isObserved) return;
        super.then(undefined, nothing);
        owner.operationFailed(error);
      });
    });
  }
}

/** An operation under way, and its promise. Without an owner that is an ordinary one. */
export class Operation<T> {
  readonly promise: Promise<T>;
  readonly #owner: Responsible | undefined;
  #resolve: (value: T | PromiseLike<T>) => void = nothing;
  #reject: (error: unknown) => void = nothing;

  constructor(owner: Responsible | undefined) {
    this.#owner = owner;
    const executor = (resolve: (value: T | PromiseLike<T>) => void, reject: (error: unknown) => void): void => {
      this.#resolve = resolve;
      this.#reject = reject;
    };
    this.promise = owner === undefined ? new Promise(executor) : new Outcome(executor);
  }

  /** It is done; the value is no promise. */
  accept(value: T): void {
    this.#resolve(value);
  }

  refuse(error: unknown): void {
    this.#reject(error);
    const { promise } = this;
    if (promise instanceof Outcome && this.#owner !== undefined) promise.judge(error, this.#owner);
  }
}

/** A promise of what `executor` does, for which the owner answers. Without an owner it is an ordinary one. */
export function outcome<T>(
  executor: (resolve: (value: T | PromiseLike<T>) => void, reject: (error: unknown) => void) => void,
  owner: Responsible | undefined = provider(),
): Promise<T> {
  if (owner === undefined) return new Promise(executor);
  const operation = new Operation<T>(owner);
  const fail = (error: unknown): void => operation.refuse(error);
  const settle = (value: T | PromiseLike<T>): void => {
    if (isThenable(value)) Promise.resolve(value).then((result) => operation.accept(result), fail);
    else operation.accept(value);
  };
  try {
    executor(settle, fail);
  } catch (error) {
    fail(error);
  }
  return operation.promise;
}

/** The outcome of work that is under way. The promise must be the library's own: it counts as observed from here on. */
export function answeredFor<T>(work: Promise<T>, owner: Responsible | undefined = provider()): Promise<T> {
  return owner === undefined ? work : outcome<T>((resolve, reject) => work.then(resolve, reject), owner);
}

/** The same for each step of an iteration of the library's own. */
export function answeredSteps<T, R>(
  steps: AsyncGenerator<T, R, undefined>,
  owner: Responsible | undefined = provider(),
): AsyncGenerator<T, R, undefined> {
  if (owner === undefined) return steps;
  const next = steps.next.bind(steps);
  steps.next = () => answeredFor(next(), owner);
  return steps;
}

/** An operation that is refused at once. */
export function refusal(error: unknown, owner: Responsible | undefined = provider()): Promise<never> {
  return owner === undefined ? Promise.reject(error) : outcome<never>((_, reject) => reject(error), owner);
}

/** What is refused where arguments are checked: throws of `begin` are rejections. */
export function begun<T>(begin: () => Promise<T>, owner: Responsible | undefined = provider()): Promise<T> {
  try {
    return begin();
  } catch (error) {
    return refusal(error, owner);
  }
}

/** Looks after a promise that nobody is given: what a callback returned, or work that goes on by itself. */
export function lookAfter(result: unknown, owner: Responsible | undefined = provider()): void {
  if (owner !== undefined && isPromise(result))
    result.then(undefined, (error: unknown) => owner.operationFailed(error));
}

function nothing(): void {}
