import type { AsyncResource } from "node:async_hooks";
import type { CloseReason } from "../base/close_reason.js";
import { isStopped } from "../base/stopped.js";
import { isThenable } from "../base/thenable.js";
import type { ConnectionCallbacks } from "./connection_callbacks.js";
import { scopeOf } from "./context_scope.js";
import { connectionError } from "./diagnostics.js";
import { Endpoint } from "./endpoint.js";
import type { TransportHome } from "./transport_home.js";

/**
 * How a user's callbacks are called: which object is told, in which async context, and what becomes of a callback that
 * throws or whose promise is rejected.
 */
export abstract class HandlerCalls extends Endpoint {
  readonly core: TransportHome;
  /** Whom events are told: the connection, or who has claimed it. One object either way, so that no event asks. */
  protected receiver: ConnectionCallbacks;
  protected readonly context: AsyncResource | undefined;

  constructor(core: TransportHome, receiver: ConnectionCallbacks, context: AsyncResource | undefined) {
    super();
    this.core = core;
    this.receiver = receiver;
    this.context = context;
  }

  /** The connection itself, also where another has claimed its callbacks. */
  protected abstract get connection(): ConnectionCallbacks;

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

  /** Delivery does not wait for a promise, but its rejection counts as a throw. */
  protected watch(result: unknown): void {
    if (isThenable(result)) {
      Promise.resolve(result).then(undefined, (error: unknown) => this.handlerFailed(error));
    }
  }

  /** A callback threw: the connection's `onError` may take it; otherwise the connection ends and the reactor is told. */
  handlerFailed(thrown: unknown): void {
    if (isStopped(this.core.host.reactor, thrown)) return;
    let error = thrown;
    try {
      if (this.receiver.onError(error) === true) return;
    } catch (second) {
      error = second;
    }
    if (connectionError.hasSubscribers) connectionError.publish({ ...this.message(), error });
    this.end({ kind: "handler-error", error });
    this.core.host.reportError(error, this.connection);
  }

  /** What is published of this connection. */
  protected message(): { reactor: object; connection: object } {
    return { reactor: this.core.host.reactor, connection: this.connection };
  }
}
