import type { Transferable } from "node:worker_threads";
import type { Cancellable } from "../base/clock.js";
import { codeOf } from "../base/error_code.js";
import { EventMachineError, LimitError } from "../base/errors.js";
import { unpackError } from "../toolbox/carried_error.js";
import { Thread, type ThreadOptions } from "../toolbox/thread.js";
import { copying, unpooled } from "../toolbox/thread_copies.js";
import type { ThreadReply, ThreadRun } from "../toolbox/thread_messages.js";

/*
 * A pool of our own, and not Piscina: what would be left to it is a queue and a list of threads. Errors that lose neither code nor class, a deadline for
 * each job, answers in a turn of the reactor, an end with the reactor, and threads that need no file beside a bundle would have to be built around it.
 */

/** How a pool is made. Times in milliseconds. */
export interface WorkerPoolSettings {
  readonly min: number;
  readonly max: number;
  readonly queueLimit: number;
  readonly idleTimeout: number;
  readonly thread: ThreadOptions;
}

export type JobOutcome = { readonly value: unknown } | { readonly error: unknown };

/** One job; `done` is called once. */
export interface Job {
  run: ThreadRun;
  transfer: readonly Transferable[];
  done(outcome: JobOutcome): void;
}

/** What a pool has, and has done. */
export interface WorkerPoolFigures {
  /** Threads there are, those that are being ended included. */
  readonly threads: number;
  /** Those that are at a job. */
  readonly busy: number;
  /** Jobs that wait for a thread. */
  readonly queued: number;
  /** Jobs that were done, whatever came of them. */
  readonly done: number;
  /** Threads that ended by themselves, or were ended because of their job. */
  readonly lost: number;
}

/** A pool of threads. It does one job in a thread at a time, first come, first served; a thread that is lost is replaced when there is work for it. */
export class WorkerPool {
  #settings: WorkerPoolSettings;
  readonly #addTimer: (delay: number, callback: () => void) => Cancellable;
  readonly #threads = new Set<PoolThread>();
  /** Those without a job, the one that was at work last behind. */
  readonly #idle = new Set<PoolThread>();
  readonly #queue = new Set<Job>();
  #isClosed = false;
  #done = 0;
  #lost = 0;

  constructor(settings: WorkerPoolSettings, addTimer: (delay: number, callback: () => void) => Cancellable) {
    this.#settings = settings;
    this.#addTimer = addTimer;
  }

  get figures(): WorkerPoolFigures {
    const busy = [...this.#threads].filter(({ job }) => job !== undefined).length;
    return { threads: this.#threads.size, busy, queued: this.#queue.size, done: this.#done, lost: this.#lost };
  }

  get max(): number {
    return this.#settings.max;
  }

  /** Threads that are too many end when they have no job. */
  set max(max: number) {
    this.#settings = { ...this.#settings, max, min: Math.min(this.#settings.min, max) };
    for (const thread of [...this.#idle]) if (this.#threads.size > max) thread.end();
    this.#work();
  }

  /** Throws where it cannot be sent, and LimitError where too many wait. */
  submit(job: Job): void {
    const { max, min, queueLimit } = this.#settings;
    if (this.#idle.size === 0 && this.#threads.size >= max && this.#queue.size >= queueLimit) {
      throw new LimitError(
        "ERR_EM_DEFER_QUEUE_LIMIT",
        `defer: ${queueLimit} jobs wait for a thread already`,
        queueLimit,
      );
    }
    this.#queue.add(job);
    this.#work();
    if (this.#queue.has(job)) this.#keep(job);
    while (this.#threads.size < min && !this.#isClosed) if (!this.#start()) break;
  }

  /** One that waits is sent what it was given now, whatever becomes of that meanwhile. */
  #keep(job: Job): void {
    try {
      const { args, transfer } = sent(job);
      const given = { args, transfer: job.transfer };
      const kept = copying(`an argument of ${job.run.method}`, () => structuredClone(given, { transfer }));
      job.run = { ...job.run, args: kept.args };
      job.transfer = kept.transfer;
    } catch (error) {
      this.#queue.delete(job);
      throw error;
    }
  }

  /** Calls a job off: what has begun is ended with its thread. Its `done` is not called any more. */
  cancel(job: Job): void {
    if (this.#queue.delete(job)) return;
    for (const thread of this.#threads) {
      if (thread.job !== job) continue;
      thread.job = undefined;
      this.#lost++;
      thread.end();
    }
  }

  /** Ends the threads that have nothing to do, those of the minimum included. */
  trim(): void {
    this.#settings = { ...this.#settings, min: 0, idleTimeout: 0 };
    for (const thread of [...this.#idle]) thread.end();
  }

  /** Ends every thread, and every job without a word. */
  close(): void {
    this.#isClosed = true;
    this.#queue.clear();
    for (const thread of [...this.#threads]) {
      thread.job = undefined;
      thread.end();
    }
  }

  #work(): void {
    for (const job of this.#queue) {
      const rested = [...this.#idle].at(-1);
      if (rested === undefined && this.#threads.size >= this.#settings.max) return;
      const thread = rested ?? this.#start(job);
      if (thread === undefined) continue;
      this.#queue.delete(job);
      this.#idle.delete(thread);
      try {
        thread.begin(job);
      } catch (error) {
        this.#rest(thread);
        job.done({ error });
      }
    }
  }

  #start(job?: Job): PoolThread | undefined {
    try {
      const thread = new PoolThread(this.#settings.thread, {
        answered: (done, outcome) => this.#answered(thread, done, outcome),
        ended: (lost, error) => this.#ended(thread, lost, error),
        left: () => this.#idle.delete(thread),
      });
      this.#threads.add(thread);
      if (job === undefined) this.#rest(thread);
      return thread;
    } catch (cause) {
      if (job === undefined) return undefined;
      this.#queue.delete(job);
      job.done({
        error: new EventMachineError("ERR_EM_THREAD_ENDED", `no thread can be started: ${cause}`, { cause }),
      });
      return undefined;
    }
  }

  #answered(thread: PoolThread, job: Job, outcome: JobOutcome): void {
    this.#done++;
    this.#rest(thread);
    job.done(outcome);
    this.#work();
  }

  /** It has no job: it waits for one, for a while. */
  #rest(thread: PoolThread): void {
    if (thread.isEnding) return;
    const { min, max, idleTimeout } = this.#settings;
    if (this.#threads.size > max) {
      thread.end();
      return;
    }
    this.#idle.add(thread);
    if (this.#threads.size > min) thread.waits(this.#addTimer(idleTimeout, () => this.#tired(thread)));
  }

  #tired(thread: PoolThread): void {
    if (this.#idle.has(thread) && this.#threads.size > this.#settings.min) thread.end();
  }

  #ended(thread: PoolThread, job: Job | undefined, error: EventMachineError): void {
    this.#threads.delete(thread);
    this.#idle.delete(thread);
    if (job !== undefined) {
      this.#lost++;
      job.done({ error });
    }
    if (!this.#isClosed) this.#work();
  }
}

interface PoolThreadOwner {
  answered(job: Job, outcome: JobOutcome): void;
  /** It is gone; with the job it was at, where it has ended by itself. */
  ended(job: Job | undefined, error: EventMachineError): void;
  /** It takes no more jobs. */
  left(): void;
}

/** One thread of a pool. It keeps the process alive while it is at a job, and no longer. */
class PoolThread {
  readonly #thread: Thread;
  readonly #owner: PoolThreadOwner;
  #cause: unknown;
  #timer: Cancellable | undefined;
  job: Job | undefined;
  isEnding = false;

  constructor(options: ThreadOptions, owner: PoolThreadOwner) {
    this.#owner = owner;
    this.#thread = new Thread(
      options,
      { resource: undefined },
      {
        replied: (reply) => this.#take(reply),
        broken: (cause) => {
          this.#cause ??= cause;
        },
        exited: (code) => this.#exited(code),
      },
    );
    this.#thread.unref();
  }

  begin(job: Job): void {
    this.#timer?.cancel();
    const { args, transfer } = sent(job);
    copying(`an argument of ${job.run.method}`, () => this.#thread.send({ ...job.run, args }, transfer));
    this.job = job;
    this.#thread.ref();
  }

  waits(timer: Cancellable): void {
    this.#timer = timer;
  }

  end(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    this.#timer?.cancel();
    this.#owner.left();
    this.#thread.unref();
    this.#thread.end();
  }

  #take(reply: ThreadReply): void {
    const { job } = this;
    if (job === undefined) return;
    this.job = undefined;
    this.isEnding ||= this.#thread.hasExited;
    this.#thread.unref();
    if (reply.kind === "returned") this.#owner.answered(job, { value: reply.value });
    else if (reply.error !== undefined) this.#owner.answered(job, { error: unpackError(reply.error) });
  }

  #exited(code: number): void {
    this.isEnding = true;
    this.#timer?.cancel();
    const { job } = this;
    this.job = undefined;
    const cause = this.#cause;
    const how = cause === undefined ? `with exit code ${code}` : `(${codeOf(cause) ?? cause})`;
    const message = `the thread ended ${how} before its job was done`;
    this.#owner.ended(job, new EventMachineError("ERR_EM_THREAD_ENDED", message, cause === undefined ? {} : { cause }));
  }
}

/** The arguments of a job as they are copied, and what of them is handed over. */
function sent({ run, transfer }: Job): { args: unknown[]; transfer: Transferable[] } {
  const copies = run.args.map((arg) => (transfer.length === 0 ? unpooled(arg) : { value: arg, transfer: [] }));
  const args = copies.map(({ value }) => value);
  return { args, transfer: [...transfer, ...copies.flatMap((copy) => copy.transfer)] };
}
