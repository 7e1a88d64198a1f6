import { checkDuration, checkSignal } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import { EventMachineError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { outcome, refusal } from "../base/outcome.js";
import { checkClock } from "./checks.js";
import { defaultTimers } from "./default_clock.js";

/** How long a caller waits. */
export interface WaitOptions {
  /** Gives up when it aborts; the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** Gives up after so many milliseconds, with `ERR_EM_TIMEOUT`. 0, the default, is no limit. */
  timeout?: number | undefined;
  /** What `timeout` counts on. Default: the reactor whose callback is running, else the one that runs, else the process's own timers. */
  clock?: Clock | undefined;
}

const OPTIONS: Names<WaitOptions> = { signal: true, timeout: true, clock: true };

/** Nothing but a wait: what calls take that are given no options, so that most are not checked. */
export const PATIENT: WaitOptions = {};

/** Throws ArgumentError for what is no WaitOptions. */
export function checkWait(options: WaitOptions): void {
  if (options === PATIENT) return;
  checkOptions(options, OPTIONS);
  checkSignal(options.signal);
  checkDuration(options.timeout ?? 0, "timeout");
  checkClock(options.clock);
}

/** The same for calls that return promises: these refuse by a rejection. */
export function refusedWait(options: WaitOptions): Promise<never> | undefined {
  try {
    checkWait(options);
    return undefined;
  } catch (error) {
    return refusal(error);
  }
}

/** One that waits. */
export interface Waiter<T> {
  readonly accept: (value: T) => unknown;
  readonly refuse: ((error: unknown) => void) | undefined;
  previous: Waiter<T> | undefined;
  next: Waiter<T> | undefined;
  waits: boolean;
}

/** Who waits for something, first come, first served; whoever gives up leaves at once. */
export class WaitingList<T> {
  #first: Waiter<T> | undefined;
  #last: Waiter<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(accept: (value: T) => unknown, refuse?: (error: unknown) => void): Waiter<T> {
    const waiter: Waiter<T> = { accept, refuse, previous: this.#last, next: undefined, waits: true };
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    this.#size++;
    return waiter;
  }

  /** Takes one out; false when it waits no more. */
  remove(waiter: Waiter<T>): boolean {
    if (!waiter.waits) return false;
    waiter.waits = false;
    if (waiter.previous === undefined) this.#first = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === undefined) this.#last = waiter.previous;
    else waiter.next.previous = waiter.previous;
    this.#size--;
    return true;
  }

  /** Takes the one out that came first. */
  shift(): Waiter<T> | undefined {
    const first = this.#first;
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** A promise in the list, for options that have been checked; `what` names the call in errors. */
  wait(options: WaitOptions, what: string): Promise<T> {
    const { signal, timeout = 0, clock } = options;
    if (signal?.aborted === true) return refusal(signal.reason);
    if (signal === undefined && timeout === 0) {
      return outcome((resolve, reject) => {
        this.add(resolve, reject);
      });
    }
    return outcome((resolve, reject) => {
      const leave = (error: unknown) => {
        if (this.remove(waiter)) refuse(error);
      };
      const abort = () => leave(signal?.reason);
      const late = () => leave(new EventMachineError("ERR_EM_TIMEOUT", `${what}: waited for ${timeout} ms`));
      const timer = timeout === 0 ? undefined : (clock ?? defaultTimers()).addTimer(timeout, late, leave);
      signal?.addEventListener("abort", abort, { once: true });
      const end = () => {
        timer?.cancel();
        signal?.removeEventListener("abort", abort);
      };
      const refuse = (error: unknown) => {
        end();
        reject(error);
      };
      const waiter = this.add((value) => {
        end();
        resolve(value);
      }, refuse);
    });
  }

  /** Tells all that there is nothing to wait for any more. */
  refuseAll(error: () => unknown): void {
    for (let waiter = this.shift(); waiter !== undefined; waiter = this.shift()) waiter.refuse?.(error());
  }
}
