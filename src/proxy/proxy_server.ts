import { formatAddress, type SocketAddress } from "../base/addresses.js";
import { checkDuration, checkFunction, checkInteger, checkObject } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import {
  PROXY_CONNECT_TIMEOUT,
  PROXY_PEEK_LIMIT,
  PROXY_PEEK_TIMEOUT,
  PROXY_RETRIES,
  RELAY_BUFFER,
} from "../base/limits.js";
import type { ServerAddress } from "../options/options.js";
import type { Listener } from "../server/listener.js";
import type { ServerTls } from "../tls/tls_start.js";
import { Access, type AccessOptions, checkAccess } from "./access.js";
import { Backend, type BackendList, type BackendStatus } from "./backend.js";
import { BackendPool, type EjectionOptions, type ProxyQueueOptions } from "./backend_pool.js";
import type { Balance } from "./balance.js";
import { type DiscoverOptions, Discovery } from "./discovery.js";
import { HealthChecks, type HealthOptions } from "./health_checks.js";
import { Front } from "./legs.js";
import type { ProxyHost } from "./proxy_host.js";
import { type Hooks, hooksOf, type ProxyEnd, type ProxyOutcome, ProxySession } from "./proxy_session.js";
import { type RouteOptions, Router } from "./routes.js";
import { Visit, type VisitHome } from "./visit.js";

/** What `startProxy` takes. Times in milliseconds. */
export interface ProxyServerOptions {
  /** Where to listen, with the options of a server: `tls` terminates TLS, `proxyProtocol` takes headers from balancers before this one. */
  listen: ServerAddress | readonly ServerAddress[];
  /** Where to pass connections on to. */
  backends: BackendList;
  /** Further backends, by the addresses of a name, or the servers of a service; asked for again and again. Default: none. */
  discover?: DiscoverOptions;
  /** How one is chosen. Default `"round-robin"`. */
  balance?: Balance;
  /** When a backend whose connects fail is left out. */
  ejection?: EjectionOptions;
  /** How connections wait while every backend has its `maxConnections`. */
  queue?: ProxyQueueOptions;
  /** How long the share of a backend that comes back grows to its whole. Default 0: at once. */
  slowStart?: number;
  /** How long a connect to one backend may take, TLS included. Default 5 s. */
  connectTimeout?: number;
  /** To how many further backends to connect when the first fails. Default 2. */
  retries?: number;
  /** Ends a connection on which nothing has passed for so long. Default 0: never. */
  idleTimeout?: number;
  /** The most bytes that wait in the proxy for each side. Default 64 KiB. */
  bufferSize?: number;
  /**
   * Where clients go by what their first bytes show, with TLS unopened. Those that fit none go to the backends that no route names. Default: none,
   * and nothing is looked at.
   */
  routes?: readonly RouteOptions[];
  /** The most bytes that are looked at. Default 16 KiB. */
  peekLimit?: number;
  /** How long they are waited for: a client whose server speaks first says nothing. Default 3 s. */
  peekTimeout?: number;
  /** Who may come; others are reset. Default everybody. */
  access?: AccessOptions;
  /** Checks backends before clients meet one that is down. Default: none. */
  health?: HealthOptions;
  /** Called with what became of each connection: an access log. */
  onFinish?: (outcome: ProxyOutcome) => unknown;
}

const OPTIONS: Names<ProxyServerOptions> = {
  listen: true,
  backends: true,
  discover: true,
  balance: true,
  ejection: true,
  queue: true,
  slowStart: true,
  connectTimeout: true,
  retries: true,
  idleTimeout: true,
  bufferSize: true,
  routes: true,
  peekLimit: true,
  peekTimeout: true,
  access: true,
  health: true,
  onFinish: true,
};

/** Figures of a proxy. */
export interface ProxyStats {
  /** Clients that are there. */
  readonly active: number;
  /** Those of them that wait for a backend with room. */
  readonly waiting: number;
  /** Clients that came so far. */
  readonly accepted: number;
  /** Peers that listeners closed before they were clients: see `proxyProtocol`. */
  readonly refused: number;
  /** Bytes that clients sent, of connections that have ended. */
  readonly bytesIn: number;
  /** Bytes that clients were sent, of connections that have ended. */
  readonly bytesOut: number;
  /** Connections that have ended, by how. */
  readonly ends: Readonly<Partial<Record<ProxyEnd, number>>>;
  /** Every backend. */
  readonly backends: readonly BackendStatus[];
}

/** What options have made. */
interface State {
  readonly pool: BackendPool;
  readonly home: VisitHome;
  readonly secureHome: VisitHome;
  readonly checks: HealthChecks | undefined;
  readonly discovery: Discovery | undefined;
  readonly onFinish: ((outcome: ProxyOutcome) => unknown) | undefined;
}

/** A class of sessions, and what its constructor takes. */
export type SessionClass<A extends unknown[]> = new (...args: A) => ProxySession;

/** A running proxy: what `startProxy` resolves to. Closing it stops accepting; connections that pass live on. */
export class ProxyServer implements AsyncDisposable {
  readonly #host: ProxyHost;
  readonly #hooks: Hooks;
  readonly #makeSession: (() => ProxySession) | undefined;
  readonly #visits = new Set<Visit>();
  readonly #ends: Partial<Record<ProxyEnd, number>> = {};
  /** The backends that were named, and those that a name has. */
  #given: BackendList;
  #found: BackendList = [];
  /** What newcomers meet. */
  #state: State;
  #listeners: readonly Listener[] = [];
  #accepted = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  private constructor(
    host: ProxyHost,
    options: ProxyServerOptions,
    hooks: Hooks,
    make: (() => ProxySession) | undefined,
  ) {
    this.#host = host;
    this.#hooks = hooks;
    this.#makeSession = make;
    this.#state = this.#made(options);
    this.#given = options.backends;
    this.#state.pool.set(options.backends);
  }

  /** Everything that options make but listeners and backends; throws for those it cannot take. */
  #made(options: ProxyServerOptions): State {
    checkOptions(options, OPTIONS);
    const { connectTimeout = PROXY_CONNECT_TIMEOUT, retries = PROXY_RETRIES, idleTimeout = 0 } = options;
    const { bufferSize = RELAY_BUFFER, onFinish, routes, access, health, discover } = options;
    const { peekLimit = PROXY_PEEK_LIMIT, peekTimeout = PROXY_PEEK_TIMEOUT } = options;
    if (onFinish !== undefined) checkFunction(onFinish, "onFinish");
    const host = this.#host;
    const pool = new BackendPool(host, options);
    const home: VisitHome = {
      host,
      pool,
      hooks: this.#hooks,
      hasTls: false,
      connectTimeout: checkDuration(connectTimeout, "connectTimeout"),
      retries: checkInteger(retries, "retries"),
      idleTimeout: checkDuration(idleTimeout, "idleTimeout"),
      bufferSize: checkInteger(bufferSize, "bufferSize", 1),
      access: access === undefined ? undefined : new Access(checkAccess(access)),
      router: routes === undefined ? undefined : new Router(routes),
      peekLimit: checkInteger(peekLimit, "peekLimit", 1),
      peekTimeout: checkDuration(peekTimeout, "peekTimeout"),
      finished: (visit, outcome) => this.#finished(visit, outcome),
    };
    const checks = health === undefined ? undefined : new HealthChecks(host, pool, health);
    pool.onChange = (added, removed) => checks?.changed(added, removed);
    const discovery =
      discover === undefined ? undefined : new Discovery(host, discover, (found) => this.#discovered(found));
    return { pool, home, discovery, secureHome: { ...home, hasTls: true }, checks, onFinish };
  }

  /** @internal */
  static async start<A extends unknown[]>(
    host: ProxyHost,
    options: ProxyServerOptions,
    Session: SessionClass<A> | undefined,
    args: A,
  ): Promise<ProxyServer> {
    checkOptions(options, OPTIONS);
    if (Session !== undefined && !isSessionClass(Session)) {
      throw new ArgumentError(
        `session must be a class that extends ProxySession, not ${describe(Session)}`,
        "ERR_EM_INVALID_HANDLER",
      );
    }
    const hooks = Session === undefined ? { data: false, response: false } : hooksOf(Session);
    const proxy = new ProxyServer(host, options, hooks, Session === undefined ? undefined : () => new Session(...args));
    await proxy.#state.discovery?.start();
    await proxy.#listen(Array.isArray(options.listen) ? options.listen : [options.listen as ServerAddress]);
    return proxy;
  }

  /** All of them, or none. */
  async #listen(addresses: readonly ServerAddress[]): Promise<void> {
    const started: Listener[] = [];
    try {
      for (const address of addresses) {
        checkObject(address, "listen");
        const hasTls = address.tls !== undefined;
        const { idleTimeout } = this.#state.home;
        const options = { commInactivityTimeout: idleTimeout, ...address, allowHalfOpen: true };
        started.push(await this.#host.startServer(options, Front, (front) => this.#enter(hasTls, front)));
      }
    } catch (error) {
      this.#stopAsking();
      await Promise.all(started.map((listener) => listener.close()));
      throw error;
    }
    this.#listeners = started;
  }

  /** The address it listens on: the first, where there are several. */
  get address(): SocketAddress {
    return (this.#listeners[0] as Listener).address;
  }

  /** Every address it listens on. */
  get addresses(): readonly SocketAddress[] {
    return this.#listeners.flatMap(({ addresses }) => addresses);
  }

  /** The port of the first address; undefined on a Unix socket. */
  get port(): number | undefined {
    return (this.#listeners[0] as Listener).port;
  }

  /** What it has done, and how its backends stand. */
  stats(): ProxyStats {
    const now = this.#host.now();
    return {
      active: this.#visits.size,
      waiting: this.#state.pool.waiting,
      accepted: this.#accepted,
      refused: this.#listeners.reduce((sum, { refusedCount }) => sum + refusedCount, 0),
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      ends: { ...this.#ends },
      backends: this.#state.pool.backends.map((backend) => backend.status(now)),
    };
  }

  /**
   * Replaces the backends, from the next connection on. One that stays, by name and address, keeps its figures; connections to one that goes
   * live on. Throws ArgumentError for what is no backend: then the old ones stay.
   */
  setBackends(backends: BackendList): void {
    const found = this.#beside(backends, this.#found);
    this.#state.pool.set([...backends, ...found]);
    this.#given = backends;
  }

  /**
   * Has newcomers meet other options: all of those of `startProxy` but `listen`, which stays; certificates change by `setTlsContext`. Connections that are there go on
   * as they were; backends that stay keep their figures. Throws ArgumentError for options it cannot take: then nothing has changed.
   */
  reconfigure(options: Omit<ProxyServerOptions, "listen">): void {
    const { pool: before } = this.#state;
    const next = this.#made(options as ProxyServerOptions);
    const { backends } = options;
    const found = next.discovery === undefined ? [] : this.#found;
    next.pool.follow(before, [...backends, ...this.#beside(backends, found)]);
    this.#stopAsking();
    this.#given = backends;
    this.#found = found;
    this.#state = next;
    void next.discovery?.start();
  }

  /** Serves newcomers with another certificate: see `Listener.setTlsContext`; on every listener that has TLS. */
  setTlsContext(tls: ServerTls): void {
    for (const listener of this.#listeners) listener.setTlsContext(tls);
  }

  /** Stops accepting; resolves when the ports are free again. Connections that pass live on, and those that wait for a backend do. */
  async close(): Promise<void> {
    this.#stopAsking();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  /** The same as `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What `console.log` shows: its addresses. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `ProxyServer { ${this.addresses.map(formatAddress).join(", ")} }`;
  }

  /** A name has these now. */
  #discovered(found: BackendList): void {
    this.#found = found;
    this.#state.pool.set([...this.#given, ...this.#beside(this.#given, found)]);
  }

  /** Those that were found and are not named as well. */
  #beside(given: BackendList, found: BackendList): BackendList {
    if (!Array.isArray(given)) throw new ArgumentError(`backends must be an array, not ${describe(given)}`);
    const named = new Set(given.map((each) => new Backend(each).name));
    return found.filter((each) => !named.has(new Backend(each).name));
  }

  #stopAsking(): void {
    this.#state.checks?.stop();
    this.#state.discovery?.stop();
  }

  #enter(hasTls: boolean, front: Front): Visit {
    const home = hasTls ? this.#state.secureHome : this.#state.home;
    const session = this.#makeSession?.();
    const visit = new Visit(home, front, session);
    if (session !== undefined) ProxySession.attach(session, visit);
    this.#accepted++;
    this.#visits.add(visit);
    return visit;
  }

  #finished(visit: Visit, outcome: ProxyOutcome): void {
    this.#visits.delete(visit);
    this.#bytesIn += outcome.bytesIn;
    this.#bytesOut += outcome.bytesOut;
    this.#ends[outcome.end] = (this.#ends[outcome.end] ?? 0) + 1;
    this.#state.onFinish?.(outcome);
  }
}

function isSessionClass(value: unknown): boolean {
  return typeof value === "function" && (value === ProxySession || value.prototype instanceof ProxySession);
}
