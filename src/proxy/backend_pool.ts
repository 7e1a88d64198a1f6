import { checkDuration, checkInteger, checkNumber } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import {
  PROXY_EJECTION_FAILURES,
  PROXY_EJECTION_TIME,
  PROXY_QUEUE_LIMIT,
  PROXY_QUEUE_TIMEOUT,
} from "../base/limits.js";
import type { Timer } from "../timers/timer.js";
import { Backend, type BackendList } from "./backend.js";
import { BALANCES, type Balance, type Balancer, balancerOf } from "./balance.js";
import type { ProxyHost } from "./proxy_host.js";

/** When a backend whose connects fail is left out, and for how long. */
export interface EjectionOptions {
  /** After so many failed connects in a row. Default 5; 0 for never. */
  failures?: number;
  /** For so long, and twice as long each further time in a row, up to 16 times. One connect then tries it. Default 10 s. */
  time?: number;
  /** The largest share of all backends that may be out at a time: above it the failing ones go on being tried. Default 0.5. */
  share?: number;
}

/** Connections that wait while every backend that serves has its `maxConnections`. */
export interface ProxyQueueOptions {
  /** Most that wait; one more is refused. Default 1,024; 0 for none. */
  limit?: number;
  /** How long one waits. Default 5 s. */
  timeout?: number;
}

/** How backends are chosen, and when they are not. */
export interface PoolSettings {
  /** Default `"round-robin"`. */
  balance?: Balance;
  ejection?: EjectionOptions;
  queue?: ProxyQueueOptions;
  /** How long the share of a backend that comes back grows to its whole. Default 0: at once. */
  slowStart?: number;
}

/** Why there is no backend for a connection. */
export type NoBackend = "no-backend" | "queue-full" | "queue-timeout";

/** A connection that needs a backend. */
export interface BackendRequest {
  readonly key: string;
  /** Those that were tried already. */
  readonly tried: ReadonlySet<Backend>;
  /** Which of them it may be, by name; undefined for all. */
  readonly isWanted: ((name: string) => boolean) | undefined;
  found(backend: Backend): void;
  failed(why: NoBackend): void;
}

interface Waiting {
  readonly request: BackendRequest;
  readonly deadline: Timer;
}

const EJECTION: Names<EjectionOptions> = { failures: true, time: true, share: true };
const QUEUE: Names<ProxyQueueOptions> = { limit: true, timeout: true };
const MOST_DOUBLINGS = 4;
/** Of its weight, at which a backend begins its slow start. */
const SLOWEST = 0.1;

/** The backends of a proxy: which of them serve, and which one is next. */
export class BackendPool {
  readonly #host: ProxyHost;
  readonly #balancer: Balancer;
  readonly #ejection: Required<EjectionOptions>;
  readonly #queue: Required<ProxyQueueOptions>;
  readonly #slowStart: number;
  #backends: readonly Backend[] = [];
  readonly #waiting = new Set<Waiting>();
  /** The pool that has taken the place of this one. */
  #next: BackendPool | undefined;
  /** Called with each backend that is there from now on, and with each that is gone. */
  onChange: (added: readonly Backend[], removed: readonly Backend[]) => void = () => {};

  constructor(host: ProxyHost, settings: PoolSettings, random: () => number = Math.random) {
    const { balance = "round-robin", ejection = {}, queue = {}, slowStart = 0 } = settings;
    if (!BALANCES.includes(balance)) {
      throw new ArgumentError(`balance must be one of ${BALANCES.join(", ")}, not ${describe(balance)}`);
    }
    checkOptions(ejection, EJECTION, "ejection");
    checkOptions(queue, QUEUE, "queue");
    const { failures = PROXY_EJECTION_FAILURES, time = PROXY_EJECTION_TIME, share = 0.5 } = ejection;
    this.#ejection = {
      failures: checkInteger(failures, "ejection.failures"),
      time: checkDuration(time, "ejection.time"),
      share: checkNumber(share, "ejection.share", 0, 1),
    };
    const { limit = PROXY_QUEUE_LIMIT, timeout = PROXY_QUEUE_TIMEOUT } = queue;
    this.#queue = { limit: checkInteger(limit, "queue.limit"), timeout: checkDuration(timeout, "queue.timeout") };
    this.#slowStart = checkDuration(slowStart, "slowStart");
    this.#host = host;
    this.#balancer = balancerOf(balance, random);
  }

  get backends(): readonly Backend[] {
    return this.#backends;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Replaces the backends; one of the same name and address stays, with its figures. Connections to those that go live on. */
  set(given: BackendList): void {
    if (!Array.isArray(given)) throw new ArgumentError(`backends must be an array, not ${describe(given)}`);
    const before = new Map(this.#backends.map((backend) => [backend.name, backend]));
    const names = new Set<string>();
    const next = given.map((options) => {
      const backend = new Backend(options);
      if (names.has(backend.name)) throw new ArgumentError(`there are two backends named ${backend.name}`);
      names.add(backend.name);
      const old = before.get(backend.name);
      return old !== undefined && isSame(old, backend) ? old : backend;
    });
    const [kept, was] = [new Set(next), new Set(this.#backends)];
    const removed = this.#backends.filter((backend) => !kept.has(backend));
    for (const backend of removed) backend.isRemoved = true;
    this.#backends = next;
    this.onChange(
      next.filter((backend) => !was.has(backend)),
      removed,
    );
    this.#serveWaiting();
  }

  /** Takes the place of another pool, whose backends stay where they are the same: what is given back to that serves those who wait here. */
  follow(before: BackendPool, given: BackendList): void {
    this.#backends = before.#backends;
    const { onChange } = this;
    this.onChange = () => {};
    try {
      this.set(given);
    } finally {
      this.onChange = onChange;
    }
    before.#next = this;
    this.onChange(this.#backends, []);
  }

  /** Answers at once, or when there is room. Returns what calls it off, where it waits. */
  acquire(request: BackendRequest): (() => void) | undefined {
    const found = this.#choose(request);
    if (found !== undefined) {
      this.#take(found);
      request.found(found);
      return undefined;
    }
    const now = this.#host.now();
    const mayCome = this.#backends.some((backend) => this.#suits(backend, request) && backend.isServing(now));
    if (!mayCome) request.failed("no-backend");
    else if (this.#waiting.size >= this.#queue.limit) request.failed("queue-full");
    else return this.#wait(request);
    return undefined;
  }

  #wait(request: BackendRequest): () => void {
    const waiting: Waiting = {
      request,
      deadline: this.#host.addTimer(this.#queue.timeout, () => {
        this.#waiting.delete(waiting);
        request.failed("queue-timeout");
      }),
    };
    this.#waiting.add(waiting);
    return () => {
      waiting.deadline.cancel();
      this.#waiting.delete(waiting);
    };
  }

  /** A connection to it is open. */
  connected(backend: Backend): void {
    backend.opened++;
    backend.failures = 0;
    if (backend.ejections > 0) {
      backend.ejections = 0;
      this.cameBack(backend);
    }
  }

  /** Its checks, or a connect that tried it, found it well again. */
  cameBack(backend: Backend): void {
    backend.backAt = this.#host.now();
    this.#serveWaiting();
  }

  /** A connect to it failed. */
  failed(backend: Backend): void {
    backend.failed++;
    backend.failures++;
    const { failures, time, share } = this.#ejection;
    const now = this.#host.now();
    // One that was tried is no better: it stays out.
    if (backend.ejections === 0) {
      if (failures === 0 || backend.failures < failures) return;
      const out = this.#backends.filter((each) => each.ejections > 0).length;
      if (out + 1 > Math.floor(this.#backends.length * share)) return;
    }
    backend.ejectedUntil = now + time * 2 ** Math.min(backend.ejections, MOST_DOUBLINGS);
    backend.ejections++;
  }

  /** A connection to it has ended, or was never one. */
  release(backend: Backend): void {
    backend.active--;
    // Whatever became of the connect that tried it: the next one may.
    backend.isTried = false;
    this.#serveWaiting();
  }

  #take(backend: Backend): void {
    backend.active++;
    if (backend.ejections > 0) backend.isTried = true;
  }

  #suits(backend: Backend, { tried, isWanted }: BackendRequest): boolean {
    return !tried.has(backend) && (isWanted === undefined || isWanted(backend.name));
  }

  #choose(request: BackendRequest): Backend | undefined {
    const now = this.#host.now();
    const weigh = (backend: Backend): number =>
      this.#suits(backend, request) && backend.takes(now) ? this.#weight(backend, now) : 0;
    return this.#balancer.choose(this.#backends, weigh, request.key);
  }

  #weight(backend: Backend, now: number): number {
    if (this.#slowStart === 0) return backend.weight;
    const grown = (now - backend.backAt) / this.#slowStart;
    return backend.weight * Math.min(1, Math.max(SLOWEST, grown));
  }

  #serveWaiting(): void {
    if (this.#next !== undefined) this.#next.#serveWaiting();
    for (const waiting of this.#waiting) {
      const found = this.#choose(waiting.request);
      if (found === undefined) continue;
      this.#waiting.delete(waiting);
      waiting.deadline.cancel();
      this.#take(found);
      waiting.request.found(found);
    }
  }
}

function isSame(a: Backend, b: Backend): boolean {
  return (
    JSON.stringify(a.target) === JSON.stringify(b.target) &&
    a.weight === b.weight &&
    a.maxConnections === b.maxConnections &&
    a.tls === b.tls &&
    a.proxyProtocol === b.proxyProtocol
  );
}
