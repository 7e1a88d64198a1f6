import { checkCount, checkDuration } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import { describe } from "../base/describe.js";
import { ArgumentError, EventMachineError, LimitError, StateError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { RESOURCE_CALL_LIMIT } from "../base/limits.js";
import { answeredFor } from "../base/outcome.js";
import { unpackError } from "./carried_error.js";
import { checkClock } from "./checks.js";
import { Completion } from "./completion.js";
import { defaultClock } from "./default_clock.js";
import { Fifo } from "./fifo.js";
import { Thread, type ThreadOptions } from "./thread.js";
import { copying, unpooled } from "./thread_copies.js";
import type { ThreadReply } from "./thread_messages.js";

/** The longest delay Node's own timers take. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** What a `ThreadedResource` may be given. */
export interface ThreadedResourceOptions {
  /** What the module's function is called with; copied. Default: nothing. */
  args?: readonly unknown[];
  /** The most calls that have not been answered; one more fails. Default 1024. */
  callLimit?: number;
  /** Node's own options for the thread: its name in tools, its environment, how much memory it may use. */
  thread?: ThreadOptions;
  /** Whose turns answers are delivered in, and what a call's `timeout` counts on. Default: the current reactor at each call. */
  clock?: Clock;
}

/** What `ThreadedResource.shutdown` may be given. */
export interface ShutdownOptions {
  /** Ends the thread after so many milliseconds of real time, whatever it does. Default 0: no limit. */
  timeout?: number;
}

const OPTIONS: Names<ThreadedResourceOptions> = { args: true, callLimit: true, thread: true, clock: true };
const THREAD_OPTIONS: Names<ThreadOptions> = {
  name: true,
  env: true,
  execArgv: true,
  resourceLimits: true,
};
const SHUTDOWN_OPTIONS: Names<ShutdownOptions> = { timeout: true };

/** The names of a resource's methods. */
export type ResourceMethod<R> = {
  [K in keyof R]: R[K] extends (...args: never[]) => unknown ? K : never;
}[keyof R] &
  string;

/** The arguments of one of a resource's methods. */
export type ResourceArguments<R, K extends keyof R> = R[K] extends (...args: infer A) => unknown ? A : never;

/** How a call turns out: with what the method returned, or with what it threw. */
export interface ResourceResult<R, K extends keyof R> {
  /** What the method returned, or what its promise resolved to. */
  succeeded: R[K] extends (...args: never[]) => infer T ? Awaited<T> : never;
  /** What it threw, or why there is no answer. */
  failed: unknown;
}

interface Failure {
  readonly error: unknown;
}

interface Call {
  readonly completion: Completion;
  readonly clock: Clock;
}

/**
 * An object that lives in a thread of its own, for work that would hold the reactor up: a database that blocks, a long
 * computation. Its calls are made one at a time, in the order they came; several in a `Pool` work side by side.
 *
 * `module` is a module whose default export is a function; the thread calls it, with `args`, for the resource: an object
 * with the methods of `R`. It may be the same file that makes the ThreadedResource, where that asks for `isMainThread`.
 * What goes into a call and what comes out is copied (the structured clone algorithm); a Buffer arrives as a Uint8Array.
 *
 * It keeps the process alive while it is being made or shut down and while there are calls to answer, and no longer.
 * (EventMachine's ThreadedResource, which ran blocks in its thread; here functions do not go from thread to thread.)
 *
 * ```ts
 * // sums.js: export default () => ({ add: (left, right) => left + right });
 * const sums = new ThreadedResource<{ add(left: number, right: number): number }>(new URL("./sums.js", import.meta.url));
 * console.log(await sums.dispatch("add", 1, 2));
 * await sums.shutdown();
 * ```
 */
export class ThreadedResource<R extends object> implements AsyncDisposable {
  readonly #thread: Thread;
  readonly #clock: Clock | undefined;
  readonly #callLimit: number;
  readonly #calls = new Fifo<Call>();
  readonly #opened: Promise<void>;
  readonly #exited: Promise<void>;
  #made!: (failure?: Failure) => void;
  #disposed: ((failure?: Failure) => void) | undefined;
  #closing: Promise<void> | undefined;
  /** Why calls fail, once they do. */
  #end: EventMachineError | undefined;
  /** How many things the thread is awaited for; with none it does not keep the process alive. */
  #holds = 1;

  /**
   * Throws ArgumentError for a module that is no URL and for options that are none, `ERR_EM_NOT_CLONEABLE` among them.
   * What goes wrong in the thread is told by `opened`, and by every call.
   */
  constructor(module: URL, options: ThreadedResourceOptions = {}) {
    if (!(module instanceof URL)) throw new ArgumentError(`module must be a URL, not ${describe(module)}`);
    checkOptions(options, OPTIONS);
    checkClock(options.clock);
    const { args = [], callLimit = RESOURCE_CALL_LIMIT, thread } = options;
    if (!Array.isArray(args)) throw new ArgumentError(`args must be an array, not ${describe(args)}`);
    if (thread !== undefined) checkOptions(thread, THREAD_OPTIONS, "thread");
    this.#callLimit = checkCount(callLimit, "callLimit", 1);
    this.#clock = options.clock;
    const resource = { module: module.href, args: args.map((arg) => unpooled(arg).value) };
    let exited = (): void => {};
    this.#exited = new Promise((resolve) => {
      exited = resolve;
    });
    const events = {
      replied: (reply: ThreadReply) => this.#take(reply),
      broken: (cause: unknown) =>
        this.#finish(new EventMachineError("ERR_EM_THREAD_ENDED", `the thread has ended: ${cause}`, { cause })),
      exited: (code: number) => {
        this.#finish(new EventMachineError("ERR_EM_THREAD_ENDED", `the thread has ended, with exit code ${code}`));
        exited();
      },
    };
    this.#thread = copying("args", () => new Thread(thread ?? {}, { resource }, events));
    this.#opened = new Promise((resolve, reject) => {
      this.#made = settle(resolve, reject);
    });
    // Whoever does not ask hears of it from the calls.
    this.#opened.catch(() => {});
  }

  /** Resolves when the resource has been made; rejects with `ERR_EM_RESOURCE_FAILED`, whose `cause` says why it was not. */
  get opened(): Promise<void> {
    return this.#opened;
  }

  /** Whether it takes no more calls: it is shut down or shutting down, was never made, or its thread has ended. */
  get isClosed(): boolean {
    return this.#end !== undefined || this.#closing !== undefined;
  }

  /** Calls that have not been answered. */
  get numWaiting(): number {
    return this.#calls.size;
  }

  /**
   * Calls a method of the resource. The Completion succeeds with what the method returned or what that resolved to, and
   * fails with what it threw; in a turn of the reactor, and while that stops or does not run, in one of Node's. Its
   * `timeout` gives up waiting, and does not stop the method.
   *
   * Fails with `ERR_EM_RESOURCE_CALL_LIMIT` when too many calls wait, `ERR_EM_CLOSED` after `shutdown` and `terminate`,
   * `ERR_EM_RESOURCE_FAILED` where the resource could not be made, `ERR_EM_THREAD_ENDED` where its thread has ended by
   * itself, and `ERR_EM_NOT_CLONEABLE` for a result that cannot be copied. Throws that for arguments that cannot be.
   */
  dispatch<K extends ResourceMethod<R>>(method: K, ...args: ResourceArguments<R, K>): Completion<ResourceResult<R, K>> {
    if (typeof method !== "string") throw new ArgumentError(`method must be a name, not ${describe(method)}`);
    const clock = this.#clock ?? defaultClock();
    const completion = new Completion<ResourceResult<R, K>>(this.#clock === undefined ? {} : { clock });
    const refusal = this.#refusal();
    if (refusal !== undefined) return completion.fail(refusal);
    const copies = (args as unknown[]).map(unpooled);
    const call = { method, args: copies.map(({ value }) => value) };
    const transfer = copies.flatMap(({ transfer }) => transfer);
    copying(`an argument of ${method}`, () => this.#thread.send(call, transfer));
    this.#calls.push({ completion: completion as Completion, clock });
    this.#hold();
    return completion;
  }

  /**
   * Takes no more calls, answers those it has, then disposes of the resource (its `Symbol.asyncDispose` or
   * `Symbol.dispose`) and ends the thread. Rejects with what the disposal threw, with `ERR_EM_TIMEOUT` after `timeout`
   * (calls not answered by then fail with it, too), and when the thread ends before that.
   */
  shutdown(options: ShutdownOptions = {}): Promise<void> {
    return answeredFor(this.#shutdown(options));
  }

  async #shutdown(options: ShutdownOptions): Promise<void> {
    checkOptions(options, SHUTDOWN_OPTIONS);
    const timeout = checkDuration(options.timeout ?? 0, "timeout");
    if (this.#end === undefined) this.#closing ??= this.#close();
    let timer: NodeJS.Timeout | undefined;
    if (timeout > 0 && this.#end === undefined) {
      const late = new EventMachineError("ERR_EM_TIMEOUT", `shutdown: not through in ${timeout} ms`);
      timer = setTimeout(() => this.#finish(late), Math.min(timeout, LONGEST_TIMEOUT));
    }
    try {
      await this.#closing;
    } finally {
      clearTimeout(timer);
      await this.#exited;
    }
  }

  /** Ends the thread at once, whatever it does; calls not answered fail with `ERR_EM_CLOSED`. Resolves when it is gone. */
  async terminate(): Promise<void> {
    this.#finish(closed("the thread was terminated"));
    await this.#exited;
  }

  /** The same as `shutdown()`: `await using resource = new ThreadedResource(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  #refusal(): EventMachineError | undefined {
    if (this.#closing !== undefined) return closed("dispatch: the resource is shut down");
    if (this.#end !== undefined) return this.#end;
    if (this.#calls.size < this.#callLimit) return undefined;
    const message = `dispatch: ${this.#callLimit} calls wait for an answer already`;
    return new LimitError("ERR_EM_RESOURCE_CALL_LIMIT", message, this.#callLimit);
  }

  #close(): Promise<void> {
    this.#hold();
    this.#thread.send(undefined);
    return new Promise((resolve, reject) => {
      this.#disposed = settle(resolve, reject);
    });
  }

  #take(reply: ThreadReply): void {
    switch (reply.kind) {
      case "made":
        if (reply.error === undefined) this.#made();
        else this.#finish(notMade(unpackError(reply.error)));
        this.#release();
        break;
      case "disposed":
        this.#disposed?.(reply.error && { error: unpackError(reply.error) });
        this.#finish(closed("the resource is shut down"));
        break;
      default: {
        const call = this.#calls.shift();
        if (call === undefined) return;
        this.#release();
        if (reply.kind === "returned") deliver(call, (completion) => completion.succeed(reply.value));
        else deliver(call, (completion) => completion.fail(unpackError(reply.error)));
      }
    }
  }

  /** Nothing is answered any more; the first reason counts. */
  #finish(end: EventMachineError): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#made({ error: end });
    this.#disposed?.({ error: end });
    for (let call = this.#calls.shift(); call !== undefined; call = this.#calls.shift()) {
      deliver(call, (completion) => completion.fail(end));
    }
    this.#thread.end();
  }

  #hold(): void {
    if (this.#holds++ === 0) this.#thread.ref();
  }

  #release(): void {
    if (--this.#holds === 0) this.#thread.unref();
  }
}

/** Settles a completion in a turn of its own, unless it has given up or its user has settled it. */
function deliver({ completion, clock }: Call, settle: (completion: Completion) => void): void {
  const turn = () => {
    if (!completion.isCompleted) settle(completion);
  };
  if (clock.hasTurns === false) queueMicrotask(turn);
  else if (clock.ownTick === undefined) clock.nextTick(turn);
  else clock.ownTick(turn);
}

function settle(resolve: () => void, reject: (error: unknown) => void): (failure?: Failure) => void {
  return (failure) => (failure === undefined ? resolve() : reject(failure.error));
}

function notMade(cause: unknown): EventMachineError {
  const why = cause instanceof Error ? cause.message : describe(cause);
  return new EventMachineError("ERR_EM_RESOURCE_FAILED", `the resource could not be made: ${why}`, { cause });
}

function closed(message: string): StateError {
  return new StateError("ERR_EM_CLOSED", message);
}
