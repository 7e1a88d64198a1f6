import type { EngineCounters } from "../counters.js";
import type { EngineEvents } from "../engine.js";
import { cleanContext } from "./clean_context.js";
import { Scratch } from "./scratch.js";

/** The reactor's turn, as it sees one begin and end. */
export type TurnEvents = Pick<EngineEvents, "enter" | "leave" | "ticks">;

/** Something whose output leaves with the turn. */
export interface Flushable {
  flush(): void;
}

/** How many connections are flushed on one look at the clock: few enough that it is not old for the last of them. */
const FLUSHES_PER_LOOK = 16;

/** How many answers are gathered: as many connections as the processor's cache holds, by what was measured. */
const ANSWERS_GATHERED = 64;

/**
 * When things happen. node:net calls back from Node's poll phase; such a callback is delivered at once as a batch of
 * its own. Everything a command or a batch leaves to be done runs in the check phase of the same loop iteration, when
 * process.nextTick and microtasks are through: deferred events in one immediate, ticks and the flush in another. An
 * immediate that is due keeps the loop from blocking, so nothing that was written ever waits for the next event.
 *
 * A stream that may call back from within a command, as any but node:net's may, has all its events deferred.
 *
 * What connections send in batches of their own, their answers, is also flushed as a batch begins, when many have
 * gathered. nextTick and microtasks are through then too, and what the writes touch is still in the processor's cache,
 * which it is not after a thousand connections had their batches. What is sent to others waits for the check phase, to be
 * joined with what they are sent in further batches.
 */
export class Turn<Events extends TurnEvents = TurnEvents> {
  readonly events: Events;
  readonly counters: EngineCounters;
  readonly scratch = new Scratch();
  /** Bytes unsent over all connections. */
  unsent = 0;

  #deferred: (() => void)[] = [];
  #flushing: Flushable[] = [];
  #answers: Flushable[] = [];
  /** Whom the last batch was for. */
  #receiver: unknown;
  /** Batches may follow each other without nextTick and microtasks in between: answers wait for the check phase. */
  #answersWait = false;
  #eventsDue: NodeJS.Immediate | undefined;
  #workDue: NodeJS.Immediate | undefined;
  #ticksWanted = false;
  #flushTime: number | undefined;

  constructor(events: Events, counters: EngineCounters) {
    this.events = events;
    this.counters = counters;
  }

  /** Bytes have come, and a batch is about to begin. */
  bytesCame(): void {
    if (this.#answers.length < ANSWERS_GATHERED || this.#answersWait || this.#ticksWanted) return;
    const due = this.#answers;
    this.#answers = [];
    this.#flushAll(due);
  }

  /** A socket is resumed: what it has read ahead comes in one go. */
  holdAnswers(): void {
    this.#answersWait = true;
    this.#workDue ??= setImmediate(() => this.#work());
  }

  /** Delivers one event now, as a batch. Only for callbacks from Node. */
  batch<R, A>(deliver: (this: R, argument: A) => void, receiver: R, argument: A): void {
    this.#receiver = receiver;
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
    if (flushable === this.#receiver) this.#answers.push(flushable);
    else this.#flushing.push(flushable);
    this.#workDue ??= setImmediate(() => this.#work());
  }

  #work(): void {
    this.#workDue = undefined;
    if (this.#ticksWanted) {
      this.#ticksWanted = false;
      cleanContext().runInAsyncScope(this.events.ticks, this.events);
    }
    this.flush();
    this.#receiver = undefined;
    this.#answersWait = false;
  }

  flush(): void {
    const answers = this.#answers;
    const due = this.#flushing;
    if (answers.length > 0) this.#answers = [];
    if (due.length > 0) this.#flushing = [];
    this.#flushAll(answers);
    this.#flushAll(due);
    this.scratch.recycle();
  }

  #flushAll(due: Flushable[]): void {
    for (let at = 0; at < due.length; at++) {
      if (at % FLUSHES_PER_LOOK === 0) this.#flushTime = performance.now();
      (due[at] as Flushable).flush();
    }
    this.#flushTime = undefined;
  }

  /** The time, read once for several flushes: a clock costs as much as the bookkeeping of a small write. */
  now(): number {
    return this.#flushTime ?? performance.now();
  }

  stop(): void {
    clearImmediate(this.#eventsDue);
    clearImmediate(this.#workDue);
    this.#deferred = [];
    this.#flushing = [];
    this.#answers = [];
  }
}

/** The turn of an engine, whose events its sockets deliver. */
export type EngineTurn = Turn<EngineEvents>;
