import { ArgumentError } from "../base/errors.js";
import { Pool, type PoolOptions } from "./pool.js";
import type { WaitOptions } from "./waiting_list.js";

/** The options of a `Pool`, of which these two must be given. */
export interface ConnectionPoolOptions<R> extends PoolOptions<R> {
  /** Makes one connection, or a promise of one; what it fails with rejects the caller that waits. */
  create: () => R | PromiseLike<R>;
  /** The most connections there are at a time, from 1 on. */
  size: number;
}

/**
 * A Pool that makes its resources itself, when they are wanted, up to `size` of them. (em-synchrony's ConnectionPool, which
 * made all of them at the start.)
 */
export class ConnectionPool<R> extends Pool<R> {
  constructor(options: ConnectionPoolOptions<R>) {
    super(options);
    for (const name of ["create", "size"] as const) {
      if (options[name] === undefined) throw new ArgumentError(`${name} must be given`);
    }
  }

  /** The same as `perform`. (execute.) */
  execute<T>(work: (resource: R) => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    return this.perform(work, options);
  }

  /** How many are free, how many are lent, how many callers wait. (pool_status.) */
  get status(): { available: number; reserved: number; pending: number } {
    return { available: this.numFree, reserved: this.contents.length - this.numFree, pending: this.numWaiting };
  }
}
