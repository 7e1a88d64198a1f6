import { checkPort } from "../base/addresses.js";
import { checkDuration } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkHost } from "../base/host_names.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { PROXY_DISCOVERY_INTERVAL } from "../base/limits.js";
import type { Timer } from "../timers/timer.js";
import type { BackendOptions } from "./backend.js";
import type { ProxyHost } from "./proxy_host.js";

/** Backends that a name has: the addresses of a host, or the servers of a service. */
export interface DiscoverOptions {
  /** A host whose addresses are backends each; with `port`. */
  host?: string;
  /** The port of all of them. */
  port?: number;
  /** A service, such as `_redis._tcp.example.com`, in place of host and port: the servers of its best priority, by their weights (RFC 2782). */
  service?: string;
  /** How long from one question to the next; the resolver answers from its cache while an answer is good. Default 5 s. */
  interval?: number;
}

const OPTIONS: Names<DiscoverOptions> = { host: true, port: true, service: true, interval: true };
const MOST_WEIGHT = 256;

/** Asks for the backends of a name, again and again. What cannot be answered changes nothing. */
export class Discovery {
  readonly #host: ProxyHost;
  readonly #ask: () => Promise<BackendOptions[]>;
  readonly #interval: number;
  readonly #found: (backends: readonly BackendOptions[]) => void;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(host: ProxyHost, options: DiscoverOptions, found: (backends: readonly BackendOptions[]) => void) {
    checkOptions(options, OPTIONS, "discover");
    const { host: name, port, service, interval = PROXY_DISCOVERY_INTERVAL } = options;
    this.#interval = checkDuration(interval, "discover.interval");
    this.#host = host;
    this.#found = found;
    if (service === undefined) {
      const place = { host: checkHost(name, "discover.host"), port: checkPort(port, 1, "discover.port") };
      this.#ask = () => this.#addresses(place.host, place.port);
      return;
    }
    if (name !== undefined || port !== undefined) {
      throw new ArgumentError("discover must have a service, or a host and a port, not both");
    }
    if (typeof service !== "string" || service === "") {
      throw new ArgumentError(`discover.service must be a name, not ${describe(service)}`);
    }
    this.#ask = () => this.#servers(service);
  }

  /** Resolves when the first question is answered, or has failed. */
  async start(): Promise<void> {
    try {
      const backends = await this.#ask();
      if (!this.#isOver) this.#found(backends);
    } catch {
      // Names fail now and then: those that were found last stay.
    }
    if (this.#isOver) return;
    this.#timer = this.#host.addTimer(this.#interval, () => this.start());
    this.#timer.unref();
  }

  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  async #addresses(host: string, port: number): Promise<BackendOptions[]> {
    const addresses = await this.#host.resolver.resolve(host);
    return [...new Set(addresses)].map((address) => ({ host: address, port }));
  }

  async #servers(service: string): Promise<BackendOptions[]> {
    const records = await this.#host.resolver.resolveSrv(service);
    // A lone server without a name says that there is none.
    const offered = records.filter(({ name }) => name !== "" && name !== ".");
    const best = Math.min(...offered.map(({ priority }) => priority));
    const chosen = offered.filter(({ priority }) => priority === best);
    const scale = Math.min(1, MOST_WEIGHT / Math.max(...chosen.map(({ weight }) => weight)));
    const found = new Map<string, BackendOptions>();
    for (const { name: host, port, weight } of chosen) {
      found.set(`${host}:${port}`, { host, port, weight: Math.max(1, Math.round(weight * scale)) });
    }
    return [...found.values()];
  }
}
