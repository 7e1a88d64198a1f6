import type { CloseReasonKind } from "../base/close_reason.js";
import type { Core } from "../core/core.js";
import { type EngineCounters, noCounters } from "../engine/counters.js";
import type { WorkerPoolFigures } from "../workers/worker_pool.js";

/** Counters since the reactor was made; `connections` and `timers` are what there is now. */
export interface ReactorStats extends EngineCounters {
  /** The engine's name; undefined while the reactor does not run. */
  readonly engine: string | undefined;
  /** Connections there are now. */
  readonly connections: number;
  /** Timers that wait now. */
  readonly timers: number;
  /** Connections that have ended, by the kind of their reason. */
  readonly closed: Readonly<Partial<Record<CloseReasonKind, number>>>;
  /** The threads of `defer` and their jobs: `done` and `lost` since the reactor was made, the others now. */
  readonly workers: WorkerPoolFigures;
  /** How late timers fired, in milliseconds: what the loop was kept from its work. */
  readonly loopDelay: { readonly samples: number; readonly mean: number; readonly max: number };
}

/** Takes the counters of a reactor: an engine's are its own, and a reactor that runs again has another engine. */
export class StatsTaker {
  readonly #core: Core;
  readonly #workers: { readonly figures: WorkerPoolFigures };
  /** What engines that are gone have counted. */
  #past: EngineCounters = noCounters();

  constructor(core: Core, workers: { readonly figures: WorkerPoolFigures }) {
    this.#core = core;
    this.#workers = workers;
  }

  /** The running engine is about to go. */
  keep(): void {
    this.#past = this.#counters();
  }

  take(): ReactorStats {
    const { timers, closedBy, connectionCount } = this.#core;
    return {
      ...this.#counters(),
      engine: this.#core.isOpen ? this.#core.engine.name : undefined,
      connections: connectionCount,
      timers: timers.size,
      closed: { ...closedBy },
      workers: this.#workers.figures,
      loopDelay: {
        samples: timers.fired,
        mean: timers.fired === 0 ? 0 : timers.lateness / timers.fired,
        max: timers.worstLateness,
      },
    };
  }

  #counters(): EngineCounters {
    const sum = { ...this.#past };
    if (!this.#core.isOpen) return sum;
    const now = this.#core.engine.counters();
    for (const name of Object.keys(sum) as (keyof EngineCounters)[]) sum[name] += now[name];
    return sum;
  }
}
