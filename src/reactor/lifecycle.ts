import { describe } from "../base/addresses.js";
import { checkBoolean, checkDuration, checkFunction, checkObject } from "../base/checks.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { checkNames, type Names } from "../base/known_names.js";
import { isStopped } from "../base/stopped.js";
import { isPromise } from "../base/thenable.js";
import { STOPPED } from "../connection/reasons.js";
import type { Core } from "../core/core.js";
import { DRAIN_TIMEOUT, type DrainOptions, type DrainResult, drain } from "./drain.js";

import { flushAtExit } from "./exit_flush.js";
import { SignalWatch } from "./signals.js";

/** What `run` may be given beside its block. Times in milliseconds. */
export interface RunOptions {
  /** Called when the run has ended and everything is unbound, in the order given; a nested run's come behind. */
  tail?: (() => unknown) | readonly (() => unknown)[];
  /** On these signals (true: SIGTERM and SIGINT) drain, then stop; on a second one stop at once. Default none. */
  signals?: boolean | readonly NodeJS.Signals[];
  /** How long that drain waits. Default 10 s. */
  drainDeadline?: number;
  /** The `delay` of that drain: see `drain`. Default 0. */
  drainDelay?: number;
  /** The `closeIdle` of that drain: see `drain`. Default false. */
  closeIdle?: boolean;
}

const RUN_OPTIONS: Names<RunOptions> = {
  tail: true,
  signals: true,
  drainDeadline: true,
  drainDelay: true,
  closeIdle: true,
};

export interface LifecycleHost {
  /** Opens the core on a new engine. */
  open(): void;
  close(): void;
  /** Calls the user with the reactor as the current one. */
  within<T>(action: () => T): T;
}

/** A reactor's life: running, stopping, idle again; hooks and tails; drain; and what a run rejects with. */
export class Lifecycle {
  readonly #core: Core;
  readonly #host: LifecycleHost;
  phase: "idle" | "running" | "stopping" = "idle";
  #hooks: (() => unknown)[] = [];
  #tails: (() => unknown)[] = [];
  #failure: { error: unknown } | undefined;
  /** What the last drain of this run counted. */
  #drained: DrainResult | undefined;
  #unbinding = false;
  #finished: () => void = () => {};

  constructor(core: Core, host: LifecycleHost) {
    this.#core = core;
    this.#host = host;
  }

  async run(block: () => unknown, options: RunOptions): Promise<DrainResult | undefined> {
    const { tails, signals, draining } = checkRunOptions(block, options);
    if (this.phase !== "idle") {
      this.#tails.push(...tails);
      const result = this.#host.within(block);
      if (isPromise(result)) await result;
      return undefined;
    }
    this.#host.open();
    this.#drained = undefined;
    this.phase = "running";
    this.#core.isAccepting = true;
    this.#tails = [...tails];
    this.#failure = undefined;
    this.#unbinding = false;
    const forgetFlush = flushAtExit(() => this.#core.flush());
    const watch = new SignalWatch(signals, (count) => this.#signalled(count, draining));
    const ended = new Promise<void>((resolve) => {
      this.#finished = resolve;
    });
    try {
      const result = this.#host.within(block);
      if (isPromise(result)) result.then(undefined, (error: unknown) => this.#blockFailed(error));
    } catch (error) {
      this.fail(error);
    }
    await ended;
    watch.dispose();
    forgetFlush();
    this.#host.close();
    this.phase = "idle";
    await this.#runTails();
    const failure = this.#failure as { error: unknown } | undefined;
    if (failure !== undefined) throw failure.error;
    return this.#drained;
  }

  addHook(hook: () => unknown): void {
    this.#hooks.push(hook);
  }

  stop(): void {
    if (this.phase !== "running") return;
    this.phase = "stopping";
    this.#core.ticksQueue.drop();
    this.#core.ownTick({
      onTick: () => {
        this.#shutdown().then(undefined, (error: unknown) => this.#shutdownFailed(error));
      },
    });
  }

  /** A drain that has cut the block short was to end the run, which is not to wait for the rest of the block. */
  #blockFailed(error: unknown): void {
    if (isStopped(this.#core.host.reactor, error)) this.stop();
    else this.fail(error);
  }

  /** An error nobody took ends the run; the first of them is what it rejects with. What a stop makes fail is none. */
  fail(error: unknown): void {
    if (isStopped(this.#core.host.reactor, error)) return;
    if (this.phase === "idle") {
      // The run it belonged to is over: it must not vanish all the same.
      Promise.reject(error);
      return;
    }
    this.#failure ??= { error };
    this.stop();
  }

  // Stopping -----------------------------------------------------------------------------------------------------

  async #shutdown(): Promise<void> {
    this.#core.ticksQueue.take();
    const hooks = this.#hooks.reverse();
    this.#hooks = [];
    for (const hook of hooks) {
      try {
        const result = this.#host.within(hook);
        if (isPromise(result)) await result;
      } catch (error) {
        this.fail(error);
      }
    }
    const core = this.#core;
    const failures: unknown[] = [];
    const attempt = (action: () => void): void => {
      try {
        action();
      } catch (error) {
        failures.push(error);
      }
    };
    attempt(() => core.flush());
    core.beginEnd();
    this.#unbinding = true;
    for (const member of core.members.all()) attempt(() => member.end(STOPPED));
    if (failures.length > 0) throw failures[0];
    core.checkIdle();
  }

  /** What cannot be ended in order goes with the engine, when the others have been told; `run` must not wait for it. */
  #shutdownFailed(error: unknown): void {
    this.#failure ??= { error };
    this.#unbinding = false;
    this.#finishSoon();
  }

  /** Nothing is open any more. Only while stopping is that an end; and then not inside the engine's own turn. */
  idle(): void {
    if (!this.#unbinding) return;
    this.#unbinding = false;
    this.#finishSoon();
  }

  /** The library's own ticks run first: somebody may wait for what they do. They ask for no more of them. */
  #finishSoon(): void {
    setImmediate(() => {
      if (this.#core.ticksQueue.size === 0) this.#finished();
      else this.#finishSoon();
    });
  }

  async #runTails(): Promise<void> {
    const tails = this.#tails;
    this.#tails = [];
    for (const tail of tails) {
      try {
        const result = tail();
        if (isPromise(result)) await result;
      } catch (error) {
        if (!isStopped(this.#core.host.reactor, error)) this.#failure ??= { error };
      }
    }
  }

  // Draining -----------------------------------------------------------------------------------------------------

  async drain(options: Required<DrainOptions>): Promise<DrainResult> {
    if (this.phase === "idle") throw new StateError("ERR_EM_NOT_RUNNING", "drain: the reactor is not running");
    this.#drained = await drain(this.#core, options);
    return this.#drained;
  }

  #signalled(count: number, options: Required<DrainOptions>): void {
    if (count > 1) {
      this.stop();
      return;
    }
    this.drain(options).then(
      () => this.stop(),
      (error: unknown) => this.fail(error),
    );
  }
}

function checkRunOptions(block: unknown, options: RunOptions) {
  checkFunction(block, "block");
  checkObject(options, "options");
  checkNames(options, RUN_OPTIONS, "options");
  const { tail = [], signals = false, drainDeadline = DRAIN_TIMEOUT, drainDelay = 0, closeIdle = false } = options;
  const tails = typeof tail === "function" ? [tail] : tail;
  if (!Array.isArray(tails) || tails.some((each) => typeof each !== "function")) {
    throw new ArgumentError(`tail must be a function or an array of functions, not ${describe(tail)}`);
  }
  const names: readonly NodeJS.Signals[] = signals === true ? ["SIGTERM", "SIGINT"] : signals === false ? [] : signals;
  if (!Array.isArray(names) || names.some((name) => typeof name !== "string" || !name.startsWith("SIG"))) {
    throw new ArgumentError(`signals must be true or an array of signal names, not ${describe(signals)}`);
  }
  return {
    tails: tails as (() => unknown)[],
    signals: names,
    draining: {
      deadline: checkDuration(drainDeadline, "drainDeadline"),
      delay: checkDuration(drainDelay, "drainDelay"),
      closeIdle: checkBoolean(closeIdle, "closeIdle"),
    },
  };
}
