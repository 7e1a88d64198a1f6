import type { Backend } from "./backend.js";

/**
 * How a backend is chosen: each in turn by its weight; the one with the fewest connections; the better of two at random, which needs no
 * agreement between proxies; or by a hash, so that one key has one backend for as long as that serves.
 */
export type Balance = "round-robin" | "least-connections" | "power-of-two" | "hash";

export const BALANCES: readonly Balance[] = ["round-robin", "least-connections", "power-of-two", "hash"];

/** Chooses one of the backends that take connections now. */
export interface Balancer {
  /** `weigh` is a backend's weight as it is now, 0 where it takes none; `key` is what a hash goes by. */
  choose(backends: readonly Backend[], weigh: (backend: Backend) => number, key: string): Backend | undefined;
}

export function balancerOf(balance: Balance, random: () => number): Balancer {
  switch (balance) {
    case "round-robin":
      return { choose: roundRobin };
    case "least-connections":
      return leastConnections();
    case "power-of-two":
      return powerOfTwo(random);
    case "hash":
      return new HashRing();
  }
}

/** Smooth: a heavy backend's turns are spread among the others', as nginx does it. */
function roundRobin(backends: readonly Backend[], weigh: (backend: Backend) => number): Backend | undefined {
  let total = 0;
  let best: Backend | undefined;
  for (const backend of backends) {
    const weight = weigh(backend);
    if (weight === 0) continue;
    backend.current += weight;
    total += weight;
    if (best === undefined || backend.current > best.current) best = backend;
  }
  if (best !== undefined) best.current -= total;
  return best;
}

function load(backend: Backend, weight: number): number {
  return (backend.active + 1) / weight;
}

/** Of several that have the fewest, each in turn. */
function leastConnections(): Balancer {
  let turn = 0;
  return {
    choose(backends, weigh) {
      turn++;
      let best: Backend | undefined;
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i < backends.length; i++) {
        const backend = backends[(turn + i) % backends.length]!;
        const weight = weigh(backend);
        if (weight === 0 || load(backend, weight) >= least) continue;
        best = backend;
        least = load(backend, weight);
      }
      return best;
    },
  };
}

function powerOfTwo(random: () => number): Balancer {
  return {
    choose(backends, weigh) {
      const open = backends.filter((backend) => weigh(backend) > 0);
      if (open.length <= 1) return open[0];
      const first = Math.floor(random() * open.length);
      const second = (first + 1 + Math.floor(random() * (open.length - 1))) % open.length;
      const [a, b] = [open[first]!, open[second]!];
      return load(b, weigh(b)) < load(a, weigh(a)) ? b : a;
    },
  };
}

/** Points of a backend of weight 1. */
const POINTS = 100;
/** How far beyond its fair share of the connections a backend may go before a key's next one is taken. */
const BOUND = 1.25;

/**
 * Consistent hashing: backends stand at many points of a ring, and a key belongs to the next one; a change of backends moves the keys of those that came or
 * went. The load of each is bounded (Mirrokni and others, 2017), so that no key can drown its backend.
 */
class HashRing implements Balancer {
  #of: readonly Backend[] = [];
  #points: { readonly at: number; readonly backend: Backend }[] = [];

  choose(backends: readonly Backend[], weigh: (backend: Backend) => number, key: string): Backend | undefined {
    if (backends !== this.#of) this.#build(backends);
    const points = this.#points;
    let active = 0;
    let weights = 0;
    for (const backend of backends) {
      active += backend.active;
      weights += weigh(backend);
    }
    if (weights === 0) return undefined;
    let fallback: Backend | undefined;
    const seen = new Set<Backend>();
    const start = this.#firstAt(hash(key));
    for (let i = 0; i < points.length && seen.size < backends.length; i++) {
      const { backend } = points[(start + i) % points.length]!;
      if (seen.has(backend)) continue;
      seen.add(backend);
      const weight = weigh(backend);
      if (weight === 0) continue;
      if (backend.active < Math.ceil((BOUND * (active + 1) * weight) / weights)) return backend;
      fallback ??= backend;
    }
    return fallback;
  }

  #build(backends: readonly Backend[]): void {
    this.#of = backends;
    this.#points = backends
      .flatMap((backend) =>
        Array.from({ length: POINTS * backend.weight }, (_, i) => ({ at: hash(`${backend.name}#${i}`), backend })),
      )
      .sort((a, b) => a.at - b.at);
  }

  /** The first point at or behind a place of the ring. */
  #firstAt(place: number): number {
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#points[middle]!.at < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** FNV-1a, with the last mix of MurmurHash3: names that differ in a digit are far apart. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
