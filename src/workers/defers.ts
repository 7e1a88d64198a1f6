import { AsyncResource } from "node:async_hooks";
import { availableParallelism } from "node:os";
import { checkCount, checkDuration, checkFunction, checkInteger } from "../base/checks.js";
import { EventMachineError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { DEFER_QUEUE_LIMIT, WORKER_IDLE_TIMEOUT } from "../base/limits.js";
import { Operation, type Responsible } from "../base/outcome.js";
import { stopped } from "../base/stopped.js";
import type { Core } from "../core/core.js";
import type { Member } from "../core/members.js";
import type { ThreadOptions } from "../toolbox/thread.js";
import { checkDeferral, type DeferOperation, type DeferOptions, type Deferral } from "./operation.js";
import {
  type Job,
  type JobOutcome,
  WorkerPool,
  type WorkerPoolFigures,
  type WorkerPoolSettings,
} from "./worker_pool.js";

/** The threads of a reactor's `defer`. Times in milliseconds. */
export interface WorkersOptions {
  /** Threads that are kept once there was work for one. Default 0. */
  min?: number;
  /** The most threads. Default: one for each processor. (threadpool_size, 20 there.) */
  max?: number;
  /** The most jobs that wait for a thread. Default 1024. */
  queueLimit?: number;
  /** How long a thread above the minimum waits for its next job before it ends. Default 10 s. */
  idleTimeout?: number;
  /** Node's own options for the threads: their name in tools, their environment, how much memory each may use. */
  thread?: ThreadOptions;
}

const OPTIONS: Names<WorkersOptions> = { min: true, max: true, queueLimit: true, idleTimeout: true, thread: true };
const THREAD: Names<ThreadOptions> = {
  name: true,
  env: true,
  execArgv: true,
  resourceLimits: true,
};
const MOST_THREADS = 1024;
const NO_THREADS = { threads: 0, busy: 0, queued: 0 };

export function checkWorkers(options: WorkersOptions): WorkerPoolSettings {
  checkOptions(options, OPTIONS, "workers");
  const max = checkInteger(options.max ?? Math.max(1, availableParallelism()), "workers.max", 1, MOST_THREADS);
  if (options.thread !== undefined) checkOptions(options.thread, THREAD, "workers.thread");
  return {
    max,
    min: checkInteger(options.min ?? 0, "workers.min", 0, max),
    queueLimit: checkCount(options.queueLimit ?? DEFER_QUEUE_LIMIT, "workers.queueLimit"),
    idleTimeout: checkDuration(options.idleTimeout ?? WORKER_IDLE_TIMEOUT, "workers.idleTimeout"),
    thread: options.thread ?? {},
  };
}

type Callback = ((value: never) => unknown) | undefined;

/** What a reactor's `defer` has under way. A drain leaves it its threads for as long as there is work; a stop ends them. */
export class Defers implements Member {
  readonly age = Number.POSITIVE_INFINITY;
  readonly takesNew = false;
  readonly outlivesDrain = true;
  readonly #core: Core;
  readonly #owner: Responsible;
  #settings: WorkerPoolSettings;
  #pool: WorkerPool | undefined;
  /** What pools that are gone have done. */
  #past = { done: 0, lost: 0 };
  /** How each that is under way is ended by a stop. */
  readonly #pending = new Set<Pending>();

  constructor(core: Core, owner: Responsible, settings: WorkerPoolSettings) {
    this.#core = core;
    this.#owner = owner;
    this.#settings = settings;
  }

  /** All are done, and their callbacks have run. */
  get areFinished(): boolean {
    return this.#pending.size === 0;
  }

  get size(): number {
    return this.#settings.max;
  }

  set size(max: number) {
    checkInteger(max, "threadpoolSize", 1, MOST_THREADS);
    this.#settings = { ...this.#settings, max, min: Math.min(max, this.#settings.min) };
    if (this.#pool !== undefined) this.#pool.max = max;
  }

  get figures(): WorkerPoolFigures {
    const now = this.#pool?.figures ?? { ...NO_THREADS, done: 0, lost: 0 };
    return { ...now, done: this.#past.done + now.done, lost: this.#past.lost + now.lost };
  }

  defer<T>(operation: DeferOperation<T>, callback: Callback, errback: Callback, options: DeferOptions): Promise<T> {
    if (callback !== undefined) checkFunction(callback, "callback");
    if (errback !== undefined) checkFunction(errback, "errback");
    const deferral = checkDeferral(operation, options);
    if (!this.#core.isOpen || !this.#core.isAccepting)
      throw stopped(this.#core.host.reactor, "defer: the reactor is stopping");
    const pending = new Pending(this.#core, this.#owner, deferral, callback, errback, () =>
      this.#pending.delete(pending),
    );
    this.#pending.add(pending);
    this.#core.members.add(this);
    if (deferral.signal?.aborted === true) pending.finish({ error: deferral.signal.reason });
    else if (deferral.run === undefined) pending.runHere();
    else pending.runIn(this.#threads(), deferral.run);
    return pending.promise as Promise<T>;
  }

  #threads(): WorkerPool {
    this.#pool ??= new WorkerPool(this.#settings, (delay, callback) => this.#core.addTimer(delay, callback));
    return this.#pool;
  }

  /** A drain begins: threads end as they run out of work. */
  shutdown(): void {
    this.#pool?.trim();
  }

  end(): void {
    const { reactor } = this.#core.host;
    for (const pending of [...this.#pending]) pending.stop(stopped(reactor, "the reactor stopped before it was done"));
    this.#pool?.close();
    const { done, lost } = this.figures;
    this.#past = { done, lost };
    this.#pool = undefined;
    this.#core.members.delete(this);
  }
}

/** One operation under way. */
class Pending {
  readonly #core: Core;
  readonly #operation: Operation<unknown>;
  readonly #deferral: Deferral;
  readonly #callback: Callback;
  readonly #errback: Callback;
  readonly #ended: () => void;
  readonly #context: AsyncResource | undefined;
  readonly #timer: { cancel(): void } | undefined;
  #over: AbortController | undefined;
  #calledOff: (() => void) | undefined;
  #outcome: JobOutcome | undefined;
  #isDelivered = false;

  constructor(
    core: Core,
    owner: Responsible,
    deferral: Deferral,
    callback: Callback,
    errback: Callback,
    ended: () => void,
  ) {
    this.#core = core;
    this.#deferral = deferral;
    this.#callback = callback;
    this.#errback = errback;
    this.#ended = ended;
    this.#operation = new Operation(owner);
    this.#context = core.asyncContext ? new AsyncResource("EventMachineDefer") : undefined;
    // Whoever takes the error by a callback has taken it.
    if (errback !== undefined) this.#operation.promise.catch(() => {});
    const { timeout, signal } = deferral;
    const late = () => this.#giveUp(new EventMachineError("ERR_EM_TIMEOUT", `defer: not done in ${timeout} ms`));
    this.#timer = timeout === 0 ? undefined : core.addTimer(timeout, late);
    signal?.addEventListener("abort", this.#aborted, { once: true });
  }

  get promise(): Promise<unknown> {
    return this.#operation.promise;
  }

  readonly #aborted = (): void => this.#giveUp(this.#deferral.signal?.reason);

  /** In a turn of its own, never inside the call. */
  runHere(): void {
    const over = new AbortController();
    this.#over = over;
    const { local } = this.#deferral;
    const begin = async () => local?.(over.signal);
    this.#core.ownTick({
      onTick: () => {
        if (this.#outcome !== undefined) return;
        const work = this.#context === undefined ? begin() : this.#context.runInAsyncScope(begin);
        work.then(
          (value) => this.finish({ value }),
          (error: unknown) => this.finish({ error }),
        );
      },
    });
  }

  runIn(pool: WorkerPool, run: NonNullable<Deferral["run"]>): void {
    const job: Job = { run, transfer: this.#deferral.transfer, done: (outcome) => this.finish(outcome) };
    this.#calledOff = () => pool.cancel(job);
    try {
      pool.submit(job);
    } catch (error) {
      this.finish({ error });
    }
  }

  #giveUp(error: unknown): void {
    if (this.#outcome !== undefined) return;
    this.#calledOff?.();
    this.#over?.abort(error);
    this.finish({ error });
  }

  /** Its callback comes in the next turn; the first outcome counts. */
  finish(outcome: JobOutcome): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#calledOff = undefined;
    this.#timer?.cancel();
    this.#deferral.signal?.removeEventListener("abort", this.#aborted);
    this.#core.ownTick({ onTick: () => this.#deliver() });
  }

  stop(error: unknown): void {
    this.#giveUp(error);
    this.#deliver();
  }

  #deliver(): void {
    if (this.#isDelivered) return;
    this.#isDelivered = true;
    const outcome = this.#outcome as JobOutcome;
    const [callback, value] = "value" in outcome ? [this.#callback, outcome.value] : [this.#errback, outcome.error];
    try {
      const call = () => callback?.(value as never);
      this.#core.watch(this.#context === undefined ? call() : this.#context.runInAsyncScope(call));
    } catch (error) {
      this.#core.reportError(error);
    }
    this.#ended();
    if ("value" in outcome) this.#operation.accept(outcome.value);
    else this.#operation.refuse(outcome.error);
  }
}
