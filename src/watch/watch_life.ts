import type { CloseReason } from "../base/close_reason.js";
import { isStopped } from "../base/stopped.js";
import { isPromise } from "../base/thenable.js";
import type { Core } from "../core/core.js";
import type { Member } from "../core/members.js";
import type { OwnTick } from "../core/tick_queue.js";

/** The callbacks that every watch has. */
export interface WatchUser {
  unbind(reason: CloseReason): unknown;
  onError(error: unknown): unknown;
}

/** The life of a watch of files or of a process: how its user is called, and how it ends. It is no connection, and a drain leaves it. */
export class WatchLife implements Member, OwnTick {
  readonly core: Core;
  readonly age: number;
  /** As a listener: what a drain waits for may need it. */
  readonly takesNew = true;
  reason: CloseReason | undefined;
  readonly #user: WatchUser;
  readonly #release: () => void;

  /** `release` gives up what the watch holds, when it ends. */
  constructor(core: Core, user: WatchUser, release: () => void) {
    this.core = core;
    this.age = core.nextId();
    this.#user = user;
    this.#release = release;
    core.members.add(this);
  }

  get isOver(): boolean {
    return this.reason !== undefined;
  }

  shutdown(): void {}

  /** `unbind` takes its place among the ticks. */
  end(reason: CloseReason): void {
    if (this.isOver) return;
    this.reason = reason;
    this.core.members.delete(this);
    this.#release();
    this.core.ownTick(this);
  }

  onTick(): void {
    const { unbind } = this.#user;
    this.#run(() => unbind.call(this.#user, this.reason as CloseReason));
  }

  /** Calls the user, in a turn of the reactor's; not any more when it has ended. */
  call(callback: () => unknown): void {
    if (!this.isOver) this.#run(callback);
  }

  #run(callback: () => unknown): void {
    try {
      const result = callback();
      if (isPromise(result)) result.then(undefined, (error: unknown) => this.#failed(error));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** As a connection's: `onError` may take it, otherwise the watch ends and the reactor is told. */
  #failed(error: unknown): void {
    if (isStopped(this.core.host.reactor, error)) return;
    const take = (verdict: unknown): void => {
      if (verdict !== true) this.#endBy(error);
    };
    try {
      const verdict = this.#user.onError(error);
      if (isPromise(verdict)) verdict.then(take, () => this.#endBy(error));
      else take(verdict);
    } catch (second) {
      this.#endBy(second);
    }
  }

  #endBy(error: unknown): void {
    this.end({ kind: "handler-error", error });
    this.core.reportError(error);
  }

  /** Delivers in a turn of the reactor's. */
  later(event: () => void): void {
    this.core.foreign.turn.defer(() => {
      if (!this.isOver) event();
    });
  }
}
