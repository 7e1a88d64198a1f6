import type { AsyncResource } from "node:async_hooks";
import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { isEndOf, markEnd } from "../base/error_marks.js";
import { StateError } from "../base/errors.js";
import type { Responsible } from "../base/outcome.js";
import { isStopped, markStopped } from "../base/stopped.js";
import type { SystemError } from "../base/system_error.js";
import { isPromise, isThenable } from "../base/thenable.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import { Endpoint } from "../core/endpoint.js";
import type { Member } from "../core/members.js";
import { State } from "../core/stream_port.js";
import type { TransportCore, TransportHome } from "../core/transport_home.js";
import type { StreamEngine } from "../engine/engine.js";
import { type Handle, NO_HANDLE } from "../engine/streams.js";
import { connectionError } from "../observe/channels.js";
import type { StreamSettings } from "../options/options.js";
import type { Timer, TimerCallback } from "../timers/timer.js";
import { scopeOf } from "./context_scope.js";
import type { OpenLife } from "./open_life.js";
import type { PassingEvents } from "./passing.js";
import type { ProxyOptions } from "./proxying.js";
import type { TlsLife } from "./tls_life.js";
import type { Transport } from "./transport.js";
import type { Via } from "./via.js";

/** A relay under way, as the connection sees it whose input it takes. */
export interface Relaying {
  /** Bytes taken so far. */
  readonly passed: number;
  /** The input is its handler's again. */
  stop(): void;
}

/**
 * One life of a connection: what a stream (`Transport`) and a datagram socket have in common. Here stand its state, how its
 * user is called, and what becomes of a callback that throws; the abstract members are what `Connection` asks of either kind.
 *
 * A connection is one object of either class, so that an idle one costs little. No class of the two has private methods: each
 * class that has some marks every object with a field of its own.
 */
export abstract class Life extends Endpoint implements Member, Responsible {
  readonly home: TransportHome;
  /** Who is called: the connection, or who has claimed it. One object either way, so that no event asks. */
  receiver: ConnectionCallbacks;
  /** The async context of the call that made it, where the reactor keeps that. */
  readonly context: AsyncResource | undefined;
  /** The connection's number: the same in all its lives. */
  id = 0;
  handle: Handle = NO_HANDLE;
  settings: StreamSettings;
  state: State = State.connecting;
  bytesIn = 0;
  /** Why it ends, from the moment that is known; the first reason given stands. */
  reason: CloseReason | undefined;

  constructor(
    home: TransportHome,
    receiver: ConnectionCallbacks,
    context: AsyncResource | undefined,
    settings: StreamSettings,
  ) {
    super();
    this.home = home;
    this.receiver = receiver;
    this.context = context;
    this.settings = settings;
    home.core.connectionCount++;
  }

  // What the two kinds do each in its way --------------------------------------------------------------------------

  abstract readonly isStream: boolean;
  abstract readonly tls: TlsLife | undefined;
  abstract readonly bytesDiscarded: number;
  abstract readonly isPaused: boolean;
  abstract opened(): Promise<void>;
  abstract closed(): Promise<CloseReason>;
  abstract remoteAddress(): SocketAddress | undefined;
  abstract localAddress(): SocketAddress | undefined;
  /** What it came through, where a PROXY protocol header has told. */
  abstract readonly via: Via | undefined;
  /** Whether a relay makes its output. */
  get isFed(): boolean {
    return false;
  }

  /** `bytesIn`, with what a relay under way has taken. */
  received(): number {
    return this.bytesIn;
  }

  /** What takes its input in its handler's place. */
  abstract readonly relaying: Relaying | undefined;
  /** Throws what `pass` would throw. */
  abstract checkPass(target: AnyLife, options: ProxyOptions): void;
  /** Begins to pass on what comes in. */
  abstract pass(target: AnyLife, options: ProxyOptions, events: PassingEvents): Relaying;
  abstract bytesOut(): number;
  abstract idleTime(): number;
  abstract sendBytes(data: Uint8Array): boolean;
  abstract sendString(text: string, encoding: BufferEncoding): boolean;
  abstract outboundSize(): number;
  /** Bytes reached a connection that has nobody to give them to. */
  abstract discarded(bytes: number): void;
  abstract pause(): void;
  abstract resume(): void;
  /** Closes now, or calls off the connect that is under way. */
  abstract close(): void;
  /** Sends everything, then closes. */
  abstract finish(): void;
  abstract abort(): void;
  /** Ends the connection now for this reason; the first reason given stands. */
  abstract end(reason: CloseReason): void;
  /** Ends it for this reason, after writing where it can be written to. */
  finishFor(reason: CloseReason): void {
    this.end(reason);
  }
  /** Other settings for this connection alone; a deadline among them counts from now. */
  abstract adjust(changes: Partial<StreamSettings>): void;
  /** Sets something of the socket, at once or when it is open. */
  abstract set(action: () => void): void;
  abstract socketError(): SystemError | undefined;
  /** A timer of the program's that ends with this life, and whose callback is one of the connection's. */
  abstract addTimer(delay: number, callback: TimerCallback): Timer;

  // State ----------------------------------------------------------------------------------------------------------

  /** The reactor it lives in. */
  get core(): TransportCore {
    return this.home.core;
  }

  /** What carries the connection: the reactor's engine, or the driver of one stream. */
  get engine(): StreamEngine {
    return this.home.engine;
  }

  /** The connection itself, also where another has claimed its callbacks. */
  get connection(): ConnectionCallbacks {
    return this.receiver;
  }

  get isOpen(): boolean {
    return this.state === State.open;
  }

  /** Whether it is closing or closed. */
  get isEnding(): boolean {
    return this.state >= State.closing;
  }

  get isClosed(): boolean {
    return this.state === State.closed;
  }

  // Calling the user -----------------------------------------------------------------------------------------------

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
      try {
        failed();
      } catch (second) {
        this.handlerFailed(second);
      }
    };
    try {
      const result =
        this.context === undefined
          ? question.apply(receiver, args)
          : scopeOf(this.context).runInAsyncScope(question, receiver, ...args);
      // Nobody else hears of it where the answer cannot be acted upon.
      if (isThenable(result)) Promise.resolve(result).then(answered).then(undefined, fail);
      else answered(result);
    } catch (error) {
      fail(error);
    }
  }

  /** Delivery does not wait for a promise, but its rejection counts as a throw. Other results are the program's affair. */
  watch(result: unknown): void {
    if (isPromise(result)) result.then(undefined, (error: unknown) => this.operationFailed(error));
  }

  // What the user's code throws ------------------------------------------------------------------------------------

  /**
   * A promise of the program's, or one that the program did not look after, was rejected. Where the error says nothing but
   * that the connection has ended, or that the reactor stops, `unbind` reports that and nothing else is to be.
   */
  operationFailed(error: unknown, hasLastWord = false): void {
    if (!saysOnlyEnd(this, error)) this.handlerFailed(error, hasLastWord);
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

  /**
   * A callback threw: the connection's `onError` may take it, at once or by a promise; otherwise the connection ends and the
   * reactor is told. Delivery goes on while the promise is pending.
   */
  handlerFailed(error: unknown, hasLastWord = false): void {
    if (isStopped(this.core.host.reactor, error)) return;
    let verdict: unknown;
    try {
      verdict = this.receiver.onError(error);
    } catch (second) {
      endBy(this, second, hasLastWord);
      return;
    }
    if (verdict === true) return;
    if (!isPromise(verdict)) endBy(this, error, hasLastWord);
    else {
      verdict.then(
        (late) => {
          if (late !== true) endBy(this, error, hasLastWord);
        },
        () => endBy(this, error, hasLastWord),
      );
    }
  }

  /** What is published of this connection. */
  message(): { reactor: object; connection: object } {
    return { reactor: this.core.host.reactor, connection: this.connection };
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
}

export type AnyLife = Transport | OpenLife;

/** What only a stream can do, of a datagram socket. */
export function notAStream(method: string): StateError {
  return new StateError("ERR_EM_NOT_A_STREAM", `${method} is for streams, and this connection is a datagram socket`);
}

/** What Node's streams tell those who still read and write them when they are destroyed. */
const STREAM_ENDS: ReadonlySet<unknown> = new Set([
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
  "EPIPE",
  "ABORT_ERR",
]);

function saysOnlyEnd(life: Life, error: unknown): boolean {
  const { connection, reason } = life;
  if (isEndOf(error, connection)) return true;
  if (reason === undefined) return false;
  if ("error" in reason && reason.kind !== "handler-error" && reason.error === error) return true;
  // A stream over the connection that was destroyed without an error, as at the stop: Node words that for its users.
  return life.receiver !== connection && STREAM_ENDS.has(codeOf(error));
}

function endBy(life: Life, error: unknown, hasLastWord: boolean): void {
  if (connectionError.hasSubscribers) connectionError.publish({ ...life.message(), error });
  if (hasLastWord) life.finishFor({ kind: "handler-error", error });
  else life.end({ kind: "handler-error", error });
  life.core.host.reportError(error, life.connection);
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
}
