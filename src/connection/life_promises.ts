import type { CloseReason } from "../base/close_reason.js";
import { endable, type PromiseResolvers, withResolvers } from "../base/resolvers.js";
import { notDetached, notOpened } from "./refusals.js";

/** A descriptor that was given up, and what was read from it and never delivered. */
export interface Detached {
  fd: number;
  unread: Buffer;
}

/** The life that the promises are about. */
export interface LifePromisesOwner {
  readonly wasOpened: boolean;
  readonly isClosed: boolean;
  readonly reason: CloseReason | undefined;
  asEnd<E>(error: E): E;
}

/** The promises of one life of a connection, each of them made when somebody asks for it. */
export class LifePromises {
  readonly #owner: LifePromisesOwner;
  #opened: PromiseResolvers<void> | undefined;
  #closed: PromiseResolvers<CloseReason> | undefined;
  #detached: PromiseResolvers<Detached> | undefined;

  constructor(owner: LifePromisesOwner) {
    this.#owner = owner;
  }

  /** Rejects where the connection ends without having been open. */
  get opened(): Promise<void> {
    if (this.#opened === undefined) {
      const { wasOpened, isClosed, reason } = this.#owner;
      this.#opened = endable();
      if (wasOpened) this.#opened.resolve();
      else if (isClosed) this.#opened.reject(this.#owner.asEnd(notOpened(reason)));
    }
    return this.#opened.promise;
  }

  get closed(): Promise<CloseReason> {
    if (this.#closed === undefined) {
      const { isClosed, reason } = this.#owner;
      this.#closed = withResolvers();
      if (isClosed) this.#closed.resolve(reason as CloseReason);
    }
    return this.#closed.promise;
  }

  /** To be asked for when the connection begins to detach. */
  get detached(): Promise<Detached> {
    this.#detached ??= endable();
    return this.#detached.promise;
  }

  onOpened(): void {
    this.#opened?.resolve();
  }

  onDetached(what: Detached): void {
    this.#detached?.resolve(what);
  }

  /** The connection has ended, and `unbind` is about to be called. */
  onEnded(reason: CloseReason): void {
    const owner = this.#owner;
    if (!owner.wasOpened) this.#opened?.reject(owner.asEnd(notOpened(reason)));
    if (reason.kind !== "detached") this.#detached?.reject(owner.asEnd(notDetached(reason)));
  }

  /** `unbind` has returned. */
  onUnbound(reason: CloseReason): void {
    this.#closed?.resolve(reason);
  }
}
