import { checkFunction } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import { isPromise } from "../base/thenable.js";
import { checkClock } from "./checks.js";
import { defaultClock } from "./default_clock.js";

/** What a process does with a notification; `this` is the process. */
export type ProcessBody<A extends unknown[]> = (this: SpawnedProcess<A>, ...args: A) => unknown;

/** What a body returns to change what its process does next; `SpawnedProcess.yield` makes it. */
export class Yield<A extends unknown[]> {
  /** What takes the process over. */
  readonly body: ProcessBody<A>;
  /** The arguments it is notified with at once; undefined where it waits for the next notification. */
  readonly notify: A | undefined;

  /** @internal */
  constructor(body: ProcessBody<A>, notify: A | undefined) {
    this.body = body;
    this.notify = notify;
  }
}

/** Makes a SpawnedProcess. (spawn.) */
export function spawn<A extends unknown[]>(body: ProcessBody<A>, clock?: Clock): SpawnedProcess<A> {
  return new SpawnedProcess(body, clock);
}

/**
 * A body that runs once for each notification, in a later turn, in the order they came: a light process in Erlang's
 * manner. A body that returns `SpawnedProcess.yield(other)` hands the process over to the other one. What a body throws
 * goes where a tick's error goes; the process lives on. (EventMachine's spawn.)
 *
 * ```ts
 * const greeter = spawn((name: string) => console.log(`hello ${name}`));
 * greeter.notify("world");
 * ```
 */
export class SpawnedProcess<A extends unknown[] = []> {
  #body: ProcessBody<A>;
  readonly #clock: Clock | undefined;

  /** `clock` gives the turns. Default: the current reactor. */
  constructor(body: ProcessBody<A>, clock?: Clock) {
    this.#body = checkFunction(body, "body");
    checkClock(clock);
    this.#clock = clock;
  }

  /** Returned from a body: the next notification goes to this one. (EM.yield.) */
  static yield<A extends unknown[]>(body: ProcessBody<A>): Yield<A> {
    return new Yield(checkFunction(body, "body"), undefined);
  }

  /** The same, and the other body is notified at once, with `args`. (EM.yield_and_notify.) */
  static yieldAndNotify<A extends unknown[]>(body: ProcessBody<A>, ...args: A): Yield<A> {
    return new Yield(checkFunction(body, "body"), args);
  }

  /** Has the body run in the next turn. */
  notify(...args: A): void {
    (this.#clock ?? defaultClock()).nextTick(() => {
      const result = this.#body.apply(this, args);
      if (!isPromise(result)) return this.#take(result);
      return result.then((value) => this.#take(value));
    });
  }

  /** The same as `notify`. */
  resume(...args: A): void {
    this.notify(...args);
  }

  /** The same as `notify`. */
  run(...args: A): void {
    this.notify(...args);
  }

  /** Changes what the process does with notifications that have not run yet. */
  setReceiver(body: ProcessBody<A>): void {
    this.#body = checkFunction(body, "body");
  }

  #take(result: unknown): void {
    if (!(result instanceof Yield)) return;
    this.#body = result.body;
    if (result.notify !== undefined) this.notify(...(result.notify as A));
  }
}
