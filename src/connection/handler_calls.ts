import type { AsyncResource } from "node:async_hooks";
import type { CloseReason } from "../base/close_reason.js";
import { isEndOf, markEnd } from "../base/error_marks.js";
import { isStopped, markStopped } from "../base/stopped.js";
import { isPromise, isThenable } from "../base/thenable.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import { Endpoint } from "../core/endpoint.js";
import type { Member } from "../core/members.js";
import { State } from "../core/stream_port.js";
import type { TransportCore, TransportHome } from "../core/transport_home.js";
import { connectionError } from "../observe/channels.js";
import { scopeOf } from "./context_scope.js";

/** What Node's streams tell those who still read and write them when they are destroyed. */
const STREAM_ENDS: ReadonlySet<unknown> = new Set([
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
  "EPIPE",
  "ABORT_ERR",
]);

/**
 * How a user's callbacks are called: which object is told, in which async context, and what becomes of a callback that
 * throws or whose promise is rejected; and how its reactor has it end.
 */
export abstract class HandlerCalls extends Endpoint implements Member {
  readonly home: TransportHome;
  /** Whom events are told: the connection, or who has claimed it. One object either way, so that no event asks. */
  protected receiver: ConnectionCallbacks;
  protected readonly context: AsyncResource | undefined;

  constructor(home: TransportHome, receiver: ConnectionCallbacks, context: AsyncResource | undefined) {
    super();
    this.home = home;
    this.receiver = receiver;
    this.context = context;
  }

  /** The reactor it lives in. */
  get core(): TransportCore {
    return this.home.core;
  }

  /** The connection itself, also where another has claimed its callbacks. */
  abstract get connection(): ConnectionCallbacks;

  /** Why it has ended, where it has. */
  abstract readonly reason: CloseReason | undefined;

  /** The connection's number. */
  abstract readonly id: number;

  abstract readonly state: State;

  abstract readonly isOpen: boolean;

  /** Sends everything, then closes. */
  abstract finish(): void;

  /** Whether it is closing or closed. */
  abstract readonly isEnding: boolean;

  /** The user's object. */
  get subject(): object {
    return this.connection;
  }

  /** Ends the connection now for this reason; the first reason given stands. */
  abstract end(reason: CloseReason): void;

  get callbacks(): ConnectionCallbacks {
    return this.receiver;
  }

  /** Returns what the callback did, undefined where it threw. */
  call<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): unknown {
    try {
      const result =
        this.context === undefined
          ? callback.apply(this.receiver, args)
          : scopeOf(this.context).runInAsyncScope(callback, this.receiver, ...args);
      if (result !== undefined) this.watch(result);
      return result;
    } catch (error) {
      this.handlerFailed(error);
      return undefined;
    }
  }

  /** Calls the user for an answer, at once or later; `failed` is called where there is none, when the error is reported. */
  ask<A extends unknown[], R>(
    question: (...args: A) => R | PromiseLike<R>,
    receiver: unknown,
    args: A,
    answered: (answer: R) => void,
    failed: () => void,
  ): void {
    const fail = (error: unknown): void => {
      this.handlerFailed(error);
      failed();
    };
    try {
      const result =
        this.context === undefined
          ? question.apply(receiver, args)
          : scopeOf(this.context).runInAsyncScope(question, receiver, ...args);
      if (isThenable(result)) Promise.resolve(result).then(answered, fail);
      else answered(result);
    } catch (error) {
      fail(error);
    }
  }

  /** Delivery does not wait for a promise, but its rejection counts as a throw. Other results are the program's affair. */
  protected watch(result: unknown): void {
    if (isPromise(result)) result.then(undefined, (error: unknown) => this.operationFailed(error));
  }

  /**
   * A promise of the program's, or one that the program did not look after, was rejected. Where the error says nothing but
   * that the connection has ended, or that the reactor stops, `unbind` reports that and nothing else is to be.
   */
  operationFailed(error: unknown): void {
    if (!this.#isEnd(error)) this.handlerFailed(error);
  }

  /**
   * Notes of an error that it says nothing but that this connection is ending or has ended, if that is so: thrown out of an
   * async callback, which the end may have overtaken, it is no mistake of the program. Returns it.
   */
  asEnd<E>(error: E): E {
    const { reason, connection } = this;
    if (!this.isEnding) return error;
    if (reason?.kind === "stop" || reason?.kind === "drain-deadline") markStopped(error, this.core.host.reactor);
    return markEnd(error, connection);
  }

  #isEnd(error: unknown): boolean {
    const { connection, reason } = this;
    if (isEndOf(error, connection)) return true;
    if (reason === undefined) return false;
    if ("error" in reason && reason.kind !== "handler-error" && reason.error === error) return true;
    // A stream over the connection that was destroyed without an error, as at the stop: Node words that for its users.
    return this.receiver !== connection && STREAM_ENDS.has(codeOf(error));
  }

  /**
   * A callback threw: the connection's `onError` may take it, at once or by a promise; otherwise the connection ends and the
   * reactor is told. Delivery goes on while the promise is pending.
   */
  handlerFailed(error: unknown): void {
    if (isStopped(this.core.host.reactor, error)) return;
    let verdict: unknown;
    try {
      verdict = this.receiver.onError(error);
    } catch (second) {
      this.#endBy(second);
      return;
    }
    if (verdict === true) return;
    if (!isPromise(verdict)) this.#endBy(error);
    else {
      verdict.then(
        (late) => {
          if (late !== true) this.#endBy(error);
        },
        () => this.#endBy(error),
      );
    }
  }

  #endBy(error: unknown): void {
    if (connectionError.hasSubscribers) connectionError.publish({ ...this.message(), error });
    this.end({ kind: "handler-error", error });
    this.core.host.reportError(error, this.connection);
  }

  // As a member of its reactor -------------------------------------------------------------------------------------

  override get member(): Member {
    return this;
  }

  get age(): number {
    return this.id;
  }

  get takesNew(): boolean {
    return false;
  }

  shutdown(closeIdle: boolean): void {
    if (this.state <= State.open) this.call(this.receiver.shutdownRequested);
    if (closeIdle && this.isOpen && this.call(this.receiver.isIdle) === true) this.finish();
  }

  /** What is published of this connection. */
  protected message(): { reactor: object; connection: object } {
    return { reactor: this.core.host.reactor, connection: this.connection };
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
}
