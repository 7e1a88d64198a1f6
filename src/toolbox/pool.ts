import { checkCount, checkDuration, checkFunction } from "../base/checks.js";
import type { Cancellable, Clock } from "../base/clock.js";
import { ArgumentError, LimitError, StateError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { POOL_WAITING_LIMIT } from "../base/limits.js";
import { answeredFor, lookAfter, refusal } from "../base/outcome.js";
import { isPromise } from "../base/thenable.js";
import { checkClock } from "./checks.js";
import { defaultTimers } from "./default_clock.js";
import { Lease } from "./lease.js";
import { PATIENT, refusedWait, WaitingList, type WaitOptions } from "./waiting_list.js";

/** What a `Pool` may be given. Times in milliseconds. */
export interface PoolOptions<R> {
  /** The most callers that wait for a resource; one more is refused. Default 1024. */
  waitingLimit?: number;
  /** How many milliseconds a caller waits at most. Default 0: no limit. */
  waitTimeout?: number;
  /** Asked before a resource is lent; one for which it says false, throws or rejects is discarded. */
  healthCheck?: (resource: R) => boolean | PromiseLike<boolean>;
  /** A resource that nobody has wanted for so many milliseconds is discarded. Default 0: never. */
  idleTimeout?: number;
  /** Told of each resource the pool discards by itself, or at its close: the place to close a connection. */
  onDiscard?: (resource: R) => unknown;
  /** Makes resources when they are wanted, up to `size` of them. Default: there are those that were added. */
  create?: () => R | PromiseLike<R>;
  /** The most resources that `create` brings the pool to. */
  size?: number;
  /** What timeouts count on. Default: the reactor whose callback is running, else the one that runs, else the process's own timers. */
  clock?: Clock;
}

const OPTIONS: Names<PoolOptions<unknown>> = {
  waitingLimit: true,
  waitTimeout: true,
  healthCheck: true,
  idleTimeout: true,
  onDiscard: true,
  create: true,
  size: true,
  clock: true,
};

interface Entry<R> {
  readonly resource: R;
  /** Discards it when it has lain idle too long. */
  idle: Cancellable | undefined;
}

/**
 * Resources that are lent to one piece of work at a time; work waits for a free one, first come, first served. The resource
 * that came back last goes out first, so that those nobody needs fall idle; one whose work failed goes out last.
 * (EventMachine's Pool, with a bound, deadlines and checks.)
 */
export class Pool<R> implements Disposable {
  readonly #waitingLimit: number;
  readonly #waitTimeout: number;
  readonly #idleTimeout: number;
  readonly #size: number;
  readonly #options: PoolOptions<R>;
  /** All that belong to the pool, lent ones too. */
  readonly #entries = new Map<R, Entry<R>>();
  /** The free ones; the last goes out first. */
  readonly #free: Entry<R>[] = [];
  readonly #waiting = new WaitingList<Lease<R>>();
  #onError: ((resource: R, error: unknown) => unknown) | undefined;
  /** Health checks and creations under way: each will serve one who waits. */
  #checking = 0;
  #creating = 0;
  #isClosed = false;

  constructor(options: PoolOptions<R> = {}) {
    checkOptions(options, OPTIONS);
    checkClock(options.clock);
    for (const name of ["healthCheck", "onDiscard", "create"] as const) {
      if (options[name] !== undefined) checkFunction(options[name], name);
    }
    if (options.create === undefined && options.size !== undefined) {
      throw new ArgumentError("size is how many create may make, and there is no create");
    }
    this.#options = options;
    this.#waitingLimit = checkCount(options.waitingLimit ?? POOL_WAITING_LIMIT, "waitingLimit");
    this.#waitTimeout = checkDuration(options.waitTimeout ?? 0, "waitTimeout");
    this.#idleTimeout = checkDuration(options.idleTimeout ?? 0, "idleTimeout");
    this.#size = options.create === undefined ? 0 : checkCount(options.size ?? 1, "size", 1);
  }

  /** Takes a resource in, free. Throws ArgumentError when it is in, `ERR_EM_CLOSED` after `close`. */
  add(resource: R): this {
    if (this.#isClosed) throw closed("add");
    if (this.#entries.has(resource)) throw new ArgumentError("resource must not be in the pool already");
    const entry: Entry<R> = { resource, idle: undefined };
    this.#entries.set(resource, entry);
    this.#putBack(entry, false);
    return this;
  }

  /** Takes a resource out, a lent one when its work is through; false when it is not in. It is not discarded: it is yours. */
  remove(resource: R): boolean {
    const entry = this.#entries.get(resource);
    if (entry === undefined) return false;
    this.#entries.delete(resource);
    this.#takeOut(entry);
    this.#serve();
    return true;
  }

  /** A copy of the list of resources, lent ones too. */
  get contents(): R[] {
    return [...this.#entries.keys()];
  }

  /** Those that are not lent. */
  get numFree(): number {
    return this.#free.length;
  }

  /** Callers that wait. (num_waiting.) */
  get numWaiting(): number {
    return this.#waiting.size;
  }

  /** Whether `close` has been called. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Says what becomes of a resource whose work failed: it leaves the pool and is the handler's, which may `add` it again.
   * Without a handler it goes back. (on_error.)
   */
  onError(handler: ((resource: R, error: unknown) => unknown) | undefined): void {
    this.#onError = handler === undefined ? undefined : checkFunction(handler, "handler");
  }

  /**
   * Does work with a resource, and gives the resource back when what the work returned has settled. Resolves and rejects
   * like the work; else like `acquire`. (perform, reschedule.)
   *
   * ```ts
   * const pool = new Pool<Connection>({ create: () => connect({ host: "127.0.0.1", port: 6379 }), size: 4, waitTimeout: 1_000 });
   * const sent = await pool.perform((connection) => connection.sendData("PING\r\n"));
   * ```
   */
  perform<T>(work: (resource: R) => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    return answeredFor(this.#perform(work, options));
  }

  async #perform<T>(work: (resource: R) => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    checkFunction(work, "work");
    const lease = await this.acquire(options);
    try {
      const result = await work(lease.resource);
      lease.release();
      return result;
    } catch (error) {
      lease.fail(error);
      throw error;
    }
  }

  /**
   * Borrows a resource. Rejects with `ERR_EM_POOL_WAITING_LIMIT` when too many wait, `ERR_EM_TIMEOUT` after `timeout`
   * (default: the pool's `waitTimeout`), the signal's reason, `ERR_EM_CLOSED` at `close`, and what `create` failed with.
   */
  acquire(options: WaitOptions = PATIENT): Promise<Lease<R>> {
    const refused = refusedWait(options);
    if (refused !== undefined) return refused;
    if (this.#isClosed) return refusal(closed("acquire"));
    // Those for whom a check or a creation is under way do not count, and who can be served at once is always taken.
    const waiting = this.#waiting.size - this.#checking - this.#creating;
    if (waiting >= this.#waitingLimit + this.#free.length + this.#room()) {
      const message = `acquire: ${this.#waitingLimit} wait for a resource already`;
      return refusal(new LimitError("ERR_EM_POOL_WAITING_LIMIT", message, this.#waitingLimit));
    }
    const { signal, timeout = this.#waitTimeout, clock = this.#options.clock } = options;
    const lease = this.#waiting.wait({ signal, timeout, clock }, "acquire");
    this.#serve();
    return lease;
  }

  /** Refuses those who wait, discards what is free now and the rest as it comes back. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting.refuseAll(() => closed("acquire"));
    for (const entry of [...this.#free]) lookAfter(this.#discard(entry));
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** How many more may be made. */
  #room(): number {
    return Math.max(0, this.#size - this.#entries.size - this.#creating);
  }

  /** Brings free resources and those who wait together, and has more made where it may. */
  #serve(): void {
    while (this.#waiting.size > this.#checking && this.#free.length > 0) this.#offer(this.#free.at(-1) as Entry<R>);
    while (this.#waiting.size > this.#checking + this.#creating && this.#room() > 0) lookAfter(this.#create());
  }

  #offer(entry: Entry<R>): void {
    this.#takeOut(entry);
    if (this.#options.healthCheck === undefined) this.#lend(entry);
    else lookAfter(this.#check(entry, this.#options.healthCheck));
  }

  async #check(entry: Entry<R>, healthCheck: (resource: R) => boolean | PromiseLike<boolean>): Promise<void> {
    this.#checking++;
    let isHealthy = false;
    try {
      isHealthy = await healthCheck(entry.resource);
    } catch {
      // Said to count as a no.
    }
    this.#checking--;
    if (!this.#owns(entry)) this.#serve();
    else if (isHealthy) this.#lend(entry);
    else await this.#discard(entry);
  }

  async #create(): Promise<void> {
    this.#creating++;
    let late: { resource: R } | undefined;
    try {
      const resource = await (this.#options.create as () => R | PromiseLike<R>)();
      if (this.#isClosed) late = { resource };
      else this.add(resource);
    } catch (error) {
      this.#waiting.shift()?.refuse?.(error);
    } finally {
      this.#creating--;
      this.#serve();
    }
    // Not among the above: what goes wrong here is no failure to make one.
    if (late !== undefined) await this.#tell(late.resource);
  }

  #lend(entry: Entry<R>): void {
    const waiter = this.#waiting.shift();
    // Whoever it was meant for has given up.
    if (waiter === undefined) this.#putBack(entry, false);
    else waiter.accept(new Lease(entry.resource, (failure) => this.#returned(entry, failure)));
  }

  #returned(entry: Entry<R>, failure: { error: unknown } | undefined): void {
    if (!this.#owns(entry)) return;
    if (failure === undefined || this.#onError === undefined) {
      this.#putBack(entry, failure !== undefined);
      return;
    }
    this.#entries.delete(entry.resource);
    try {
      lookAfter(this.#onError(entry.resource, failure.error));
    } finally {
      this.#serve();
    }
  }

  #putBack(entry: Entry<R>, isSuspect: boolean): void {
    if (this.#isClosed) {
      lookAfter(this.#discard(entry));
      return;
    }
    if (isSuspect) this.#free.unshift(entry);
    else this.#free.push(entry);
    if (this.#idleTimeout > 0) {
      const clock = this.#options.clock ?? defaultTimers();
      entry.idle = clock.addTimer(this.#idleTimeout, () => lookAfter(this.#discard(entry)));
    }
    this.#serve();
  }

  #takeOut(entry: Entry<R>): void {
    const at = this.#free.lastIndexOf(entry);
    if (at !== -1) this.#free.splice(at, 1);
    entry.idle?.cancel();
    entry.idle = undefined;
  }

  #discard(entry: Entry<R>): Promise<unknown> | undefined {
    this.#entries.delete(entry.resource);
    this.#takeOut(entry);
    try {
      return this.#tell(entry.resource);
    } finally {
      if (!this.#isClosed) this.#serve();
    }
  }

  /** The promise that `onDiscard` returned, where it did. */
  #tell(resource: R): Promise<unknown> | undefined {
    const result = this.#options.onDiscard?.(resource);
    return isPromise(result) ? result : undefined;
  }

  #owns(entry: Entry<R>): boolean {
    return this.#entries.get(entry.resource) === entry;
  }
}

function closed(method: string): StateError {
  return new StateError("ERR_EM_CLOSED", `${method}: the pool is closed`);
}
