import type { EngineCounters, EngineEvents } from "../engine.js";
import { cleanContext } from "./clean_context.js";
import { Scratch } from "./scratch.js";

/** Something whose output leaves with the turn. */
export interface Flushable {
  flush(): void;
}

/**
 * When things happen. node:net calls back from Node's poll phase; such a callback is delivered at once as a batch of
 * its own. Everything a command or a batch leaves to be done runs in the check phase of the same loop iteration, when
 * process.nextTick and microtasks are through: deferred events in one immediate, ticks and the flush in another. An
 * immediate that is due keeps the loop from blocking, so nothing that was written ever waits for the next event.
 */
export class Turn {
  readonly events: EngineEvents;
  readonly counters: EngineCounters;
  readonly scratch = new Scratch();
  /** Bytes unsent over all connections. */
  unsent = 0;

  #deferred: (() => void)[] = [];
  #flushing: Flushable[] = [];
  #eventsDue: NodeJS.Immediate | undefined;
  #workDue: NodeJS.Immediate | undefined;
  #ticksWanted = false;
  #flushTime: number | undefined;

  constructor(events: EngineEvents, counters: EngineCounters) {
    this.events = events;
    this.counters = counters;
  }

  /** Delivers one event now, as a batch. Only for callbacks from Node. */
  batch<R, A>(deliver: (this: R, argument: A) => void, receiver: R, argument: A): void {
    cleanContext().runInAsyncScope(this.#batch<R, A>, this, deliver, receiver, argument);
  }

  #batch<R, A>(deliver: (this: R, argument: A) => void, receiver: R, argument: A): void {
    this.counters.batches++;
    this.events.enter();
    deliver.call(receiver, argument);
    this.events.leave();
  }

  /** Delivers an event in a later turn, in the order of the calls. */
  defer(event: () => void): void {
    this.#deferred.push(event);
    this.#eventsDue ??= setImmediate(() => this.#deliverDeferred());
  }

  #deliverDeferred(): void {
    this.#eventsDue = undefined;
    const due = this.#deferred;
    this.#deferred = [];
    this.counters.batches++;
    this.events.enter();
    for (const event of due) cleanContext().runInAsyncScope(event);
    this.events.leave();
  }

  requestTicks(): void {
    this.#ticksWanted = true;
    this.#workDue ??= setImmediate(() => this.#work());
  }

  /** Has this flushed when the turn ends. */
  flushLater(flushable: Flushable): void {
    this.#flushing.push(flushable);
    this.#workDue ??= setImmediate(() => this.#work());
  }

  #work(): void {
    this.#workDue = undefined;
    if (this.#ticksWanted) {
      this.#ticksWanted = false;
      cleanContext().runInAsyncScope(this.events.ticks, this.events);
    }
    this.flush();
  }

  flush(): void {
    const due = this.#flushing;
    if (due.length === 0) return;
    this.#flushing = [];
    this.#flushTime = performance.now();
    for (const flushable of due) flushable.flush();
    this.#flushTime = undefined;
    this.scratch.recycle();
  }

  /** The time, read once for a whole flush: a clock costs as much as the bookkeeping of a small write. */
  now(): number {
    return this.#flushTime ?? performance.now();
  }

  stop(): void {
    clearImmediate(this.#eventsDue);
    clearImmediate(this.#workDue);
    this.#deferred = [];
    this.#flushing = [];
  }
}
