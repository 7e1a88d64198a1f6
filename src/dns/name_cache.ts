import { LimitError } from "../base/errors.js";

/** What a query found, and for how many milliseconds that is good. */
export interface Found<T> {
  readonly value: T;
  readonly life: number;
}

/** What a question is. */
export interface QueryKind {
  /** How it can be ended when nobody waits for it any more: by its signal, with all that can only end together, or not at all. */
  readonly ending: "alone" | "together" | "never";
  /** False for one that waits for others and asks nobody itself: those count. */
  readonly counts: boolean;
}

interface Kept {
  readonly outcome: { readonly value: unknown } | { readonly error: unknown };
  readonly goodUntil: number;
}

interface Asker {
  readonly accept: (value: unknown) => void;
  readonly refuse: (error: unknown) => void;
  /** Whoever asked no longer listens to its signal. */
  readonly end: () => void;
}

/** One question under way, and all who wait for its answer. */
interface Query {
  readonly askers: Set<Asker>;
  readonly kind: QueryKind;
  readonly over: AbortController;
  /** Whether its answer may be kept: nothing was forgotten since it began. */
  isKept: boolean;
}

export interface NameCacheOptions {
  /** The most answers kept. */
  readonly size: number;
  /** The most questions under way. */
  readonly queryLimit: number;
  /** For how many milliseconds a failure is good; 0 for one that says nothing about the name. */
  readonly failureLife: (error: unknown) => number;
  readonly now: () => number;
  /** Nobody waits any more: what can only end together may be ended. */
  readonly abandoned: () => void;
}

/**
 * Answers to questions, each for as long as it is good. However many ask the same at a time, it is asked once. Answers that are
 * kept and questions under way are bounded; the oldest answer makes room.
 */
export class NameCache {
  readonly #options: NameCacheOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #queries = new Map<string, Query>();
  /** Under way, those included that were forgotten and can not be ended. */
  #running = 0;
  #askers = 0;
  hits = 0;
  misses = 0;

  constructor(options: NameCacheOptions) {
    this.#options = options;
  }

  /** Answers that are kept; some of them may be good no longer. */
  get size(): number {
    return this.#kept.size;
  }

  /** Questions under way. */
  get running(): number {
    return this.#running;
  }

  /** Who waits for an answer. */
  get waiting(): number {
    return this.#askers;
  }

  /** The answer at hand; undefined where there is none, or a failure. */
  peek<T>(key: string): T | undefined {
    const kept = this.#fresh(key);
    return kept !== undefined && "value" in kept.outcome ? (kept.outcome.value as T) : undefined;
  }

  /** The answer at hand, or that of the question under way, or of a new one. Rejects with the reason of `signal` when that aborts. */
  ask<T>(
    key: string,
    kind: QueryKind,
    begin: (signal: AbortSignal) => Promise<Found<T>>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const kept = this.#fresh(key);
    if (kept !== undefined) {
      this.hits++;
      const { outcome } = kept;
      return "value" in outcome ? Promise.resolve(outcome.value as T) : Promise.reject(outcome.error);
    }
    this.misses++;
    const query = this.#queries.get(key) ?? this.#begin(key, kind, begin);
    if (query === undefined) {
      const { queryLimit } = this.#options;
      return Promise.reject(
        new LimitError("ERR_EM_NAME_QUERY_LIMIT", `${queryLimit} names are being resolved already`, queryLimit),
      );
    }
    return this.#join(query, key, signal);
  }

  /** Forgets every answer. Those to questions under way are for those alone who wait for them. */
  clear(): void {
    this.#kept.clear();
    for (const [key, query] of this.#queries) this.#forget(query, key);
  }

  #fresh(key: string): Kept | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined || this.#options.now() < kept.goodUntil) return kept;
    this.#kept.delete(key);
    return undefined;
  }

  #begin<T>(key: string, kind: QueryKind, begin: (signal: AbortSignal) => Promise<Found<T>>): Query | undefined {
    if (kind.counts && this.#running >= this.#options.queryLimit) return undefined;
    const query: Query = { askers: new Set(), kind, over: new AbortController(), isKept: true };
    this.#queries.set(key, query);
    if (kind.counts) this.#running++;
    const settled = (outcome: Kept["outcome"], life: number): void => {
      if (kind.counts) this.#running--;
      if (this.#queries.get(key) === query) this.#queries.delete(key);
      if (query.isKept) this.#keep(key, outcome, life);
      for (const asker of [...query.askers]) {
        this.#leave(query, asker);
        if ("value" in outcome) asker.accept(outcome.value);
        else asker.refuse(outcome.error);
      }
    };
    attempt(() => begin(query.over.signal)).then(
      ({ value, life }) => settled({ value }, life),
      (error: unknown) => settled({ error }, this.#options.failureLife(error)),
    );
    return query;
  }

  #keep(key: string, outcome: Kept["outcome"], life: number): void {
    // Put in anew: the oldest goes first.
    this.#kept.delete(key);
    if (!(life > 0) || this.#options.size === 0) return;
    if (this.#kept.size >= this.#options.size) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    this.#kept.set(key, { outcome, goodUntil: this.#options.now() + life });
  }

  #join<T>(query: Query, key: string, signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const gaveUp = (): void => {
        this.#leave(query, asker);
        if (query.askers.size === 0) this.#abandon(query, key);
        reject(signal?.reason);
      };
      const asker: Asker = {
        accept: (value) => resolve(value as T),
        refuse: reject,
        end: () => signal?.removeEventListener("abort", gaveUp),
      };
      signal?.addEventListener("abort", gaveUp, { once: true });
      query.askers.add(asker);
      this.#askers++;
    });
  }

  #leave(query: Query, asker: Asker): void {
    if (!query.askers.delete(asker)) return;
    this.#askers--;
    asker.end();
  }

  /** Nobody waits for this one. What cannot be ended goes on, so that whoever asks again joins it. */
  #abandon(query: Query, key: string): void {
    if (query.kind.ending === "alone") {
      this.#forget(query, key);
      query.over.abort();
    }
    if (this.#askers > 0) return;
    for (const [other, each] of this.#queries) if (each.kind.ending === "together") this.#forget(each, other);
    this.#options.abandoned();
  }

  #forget(query: Query, key: string): void {
    query.isKept = false;
    // Another one of the same key may have begun since it was forgotten.
    if (this.#queries.get(key) === query) this.#queries.delete(key);
  }
}

/** Begins at once; its outcome comes later, whatever it is. */
async function attempt<T>(begin: () => Promise<T>): Promise<T> {
  return begin();
}
