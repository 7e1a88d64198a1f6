import { checkFunction } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import { StateError } from "../base/errors.js";
import { isPromise } from "../base/thenable.js";
import { checkClock } from "./checks.js";
import { defaultClock } from "./default_clock.js";
import { Failures } from "./failures.js";

/** Makes a TickLoop and starts it. (tick_loop.) */
export function tickLoop(work: () => unknown, clock?: Clock): TickLoop {
  return new TickLoop(work, clock).start();
}

/**
 * Does a piece of work in every turn of the reactor, until it returns "stop" or is stopped. Work that returns a promise is
 * awaited before the next turn counts. Work that throws stops the loop; the error goes where a tick's goes. A stop of the
 * reactor stops it when the shutdown hooks are through. A loop keeps the processor busy: for what happens now and then there are timers. (EventMachine's TickLoop; `:stop` there.)
 *
 * ```ts
 * const work = [1, 2, 3];
 * await tickLoop(() => (work.pop() === undefined ? "stop" : undefined)).stopped;
 * ```
 */
export class TickLoop implements Disposable {
  readonly #work: () => unknown;
  readonly #named: Clock | undefined;
  #clock: Clock | undefined;
  #stops: (() => unknown)[] = [];
  #forgetEnd: (() => void) | undefined;
  /** Which start is in force: a tick of an earlier one finds another number. */
  #run = 0;
  #isStopped = true;

  /** `clock` gives the turns. Default: the reactor that is current at `start`. */
  constructor(work: () => unknown, clock?: Clock) {
    this.#work = checkFunction(work, "work");
    checkClock(clock);
    this.#named = clock;
  }

  /** Whether it is not running: before `start`, and once it has stopped. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** The work is done first in the next turn. May be started again. Throws `ERR_EM_ALREADY_STARTED`. */
  start(): this {
    if (!this.#isStopped) throw new StateError("ERR_EM_ALREADY_STARTED", "start: the loop has been started");
    this.#isStopped = false;
    const clock = this.#named ?? defaultClock();
    this.#clock = clock;
    this.#forgetEnd?.();
    this.#forgetEnd = clock.atEnd?.(() => this.stop());
    this.#schedule(++this.#run);
    return this;
  }

  /** Ends it and calls the stop callbacks, each once. Harmless when it is stopped. */
  stop(): void {
    this.#isStopped = true;
    this.#forgetEnd?.();
    const stops = this.#stops;
    this.#stops = [];
    let failures: Failures | undefined;
    for (const call of stops) {
      try {
        call();
      } catch (error) {
        failures ??= new Failures();
        failures.add(error);
      }
    }
    failures?.rethrow();
  }

  /** The same as `stop`. */
  [Symbol.dispose](): void {
    this.stop();
  }

  /** Calls back once when the loop stops: at once when it is stopped. (on_stop.) */
  onStop(callback: () => unknown): this {
    checkFunction(callback, "callback");
    if (this.#isStopped) callback();
    else this.#stops.push(callback);
    return this;
  }

  /** Resolves when the loop stops; of a stopped loop it is resolved. A promise of its own each time it is asked for. */
  get stopped(): Promise<void> {
    return new Promise((resolve) => this.onStop(resolve));
  }

  #schedule(run: number): void {
    this.#clock?.nextTick(() => {
      if (this.#isStopped || this.#run !== run) return undefined;
      try {
        const result = this.#work();
        if (!isPromise(result)) return this.#goOn(run, result);
        return result.then(
          (value) => this.#goOn(run, value),
          (error) => this.#break(run, error),
        );
      } catch (error) {
        return this.#break(run, error);
      }
    });
  }

  #goOn(run: number, result: unknown): void {
    if (this.#isStopped || this.#run !== run) return;
    if (result === "stop") this.stop();
    else this.#schedule(run);
  }

  #break(run: number, error: unknown): never {
    if (this.#run === run && !this.#isStopped) this.stop();
    throw error;
  }
}
