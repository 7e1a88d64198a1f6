import { cleanContext } from "../node/clean_context.js";

/** The reactor's turn, as it sees one begin and end. */
export interface TurnSink {
  enter(): void;
  leave(): void;
}

/** When the events of the streams of one reactor are delivered, and when their output leaves: together, in turns of their own. */
export class DuplexTurn {
  readonly #sink: TurnSink;
  #deferred: (() => void)[] = [];
  #flushing: (() => void)[] = [];
  #eventsDue: NodeJS.Immediate | undefined;
  #flushDue: NodeJS.Immediate | undefined;
  /** Bytes unsent over all streams. */
  unsent = 0;

  constructor(sink: TurnSink) {
    this.#sink = sink;
  }

  /** Delivers an event in a later turn, in the order of the calls. */
  defer(event: () => void): void {
    this.#deferred.push(event);
    this.#eventsDue ??= setImmediate(() => this.#deliver());
  }

  #deliver(): void {
    this.#eventsDue = undefined;
    const due = this.#deferred;
    this.#deferred = [];
    this.#sink.enter();
    for (const event of due) cleanContext().runInAsyncScope(event);
    this.#sink.leave();
  }

  /** Calls back when what the turn has to write is written. */
  flushLater(flush: () => void): void {
    this.#flushing.push(flush);
    this.#flushDue ??= setImmediate(() => this.flush());
  }

  flush(): void {
    this.#flushDue = undefined;
    const due = this.#flushing;
    this.#flushing = [];
    for (const flush of due) flush();
  }
}
