import type { CaaRecord, MxRecord, SrvRecord } from "node:dns";
import type { Resolver as NodeResolver } from "node:dns/promises";
import { literalAddress } from "../base/addresses.js";
import { checkCount, checkDuration, checkInteger, checkSignal } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import { describe } from "../base/describe.js";
import { codeOf } from "../base/error_code.js";
import { ArgumentError, EventMachineError } from "../base/errors.js";
import { checkName, isLoopbackName, readHost } from "../base/host_names.js";
import { checkOptions, type Names } from "../base/known_names.js";
import {
  KEPT_ANSWER_SIZE,
  NAME_CACHE_SIZE,
  NAME_FAILURE_LIFE,
  NAME_LIFE,
  NAME_QUERY_LIMIT,
  NAME_QUERY_TIMEOUT,
  NAME_QUERY_TRIES,
  NEGATIVE_NAME_LIFE,
} from "../base/limits.js";
import { answeredFor } from "../base/outcome.js";
import { stopped } from "../base/stopped.js";
import { defaultClock } from "../toolbox/default_clock.js";
import { HostsFile, type HostsTable, SYSTEM_HOSTS } from "./hosts_file.js";
import {
  type AddressLookup,
  type AddressRecord,
  type HostAddress,
  isNegative,
  type NameLookup,
  notFound,
  ownLookup,
  RECORDS,
  ServerLookup,
  SYSTEM_LOOKUP,
} from "./lookups.js";
import { NameCache } from "./name_cache.js";
import { type AskingOptions, NameServers } from "./name_servers.js";
import type { HostNames } from "./resolve_host.js";
import { orderServices, type ServiceTarget } from "./services.js";

/** What a `Resolver` is made of. Times in milliseconds. */
export interface ResolverOptions {
  /**
   * How a host name becomes addresses. "system": as all programs of the machine do it (getaddrinfo, with its hosts file, search list and
   * whatever else the system asks). "dns": from the hosts file, else from the name servers, which show how long an answer is good; no thread
   * of libuv's is kept busy. A function: the program's own way. Default "system", or "dns" where `nameservers` are given.
   */
  lookup?: "system" | "dns" | NameLookup;
  /** IP addresses of name servers, each with a port or without: `192.0.2.53`, `[2001:db8::53]:5353`. Default: the system's. */
  nameservers?: readonly string[];
  /** Domains below which "dns" looks for a name without a dot first, and for others last. Default none. */
  search?: readonly string[];
  /** How long a name server may take to answer the first try; later ones wait longer. Default 2 s. */
  timeout?: number;
  /** How often each name server is tried. Default 3. */
  tries?: number;
  /** Path of the hosts file that "dns" reads; false for none. Default: the system's. */
  hosts?: string | false;
  /** The most answers kept. 0 keeps none. Default 1024. */
  cacheSize?: number;
  /** How long an answer is kept that does not show its time to live: all but addresses from name servers. Default 10 s. */
  cacheTime?: number;
  /** How long it is kept that there is no such name, or nothing of the kind asked for. Default 5 s. */
  negativeCacheTime?: number;
  /** The most questions under way; the two families of a host that name servers are asked for are two. Default 1024. */
  queryLimit?: number;
  /** In whose time answers age. Default: the process's. */
  clock?: Clock;
}

const OPTIONS: Names<ResolverOptions> = {
  lookup: true,
  nameservers: true,
  search: true,
  timeout: true,
  tries: true,
  hosts: true,
  cacheSize: true,
  cacheTime: true,
  negativeCacheTime: true,
  queryLimit: true,
  clock: true,
};

/** How one question is asked. */
export interface ResolveOptions {
  /** Gives up waiting; the promise rejects with its reason. */
  signal?: AbortSignal;
}

/** How the addresses of a host are asked for. */
export interface ResolveHostOptions extends ResolveOptions {
  /** Addresses of this family alone. Default 0: both. */
  family?: 0 | 4 | 6;
}

const RESOLVE: Names<ResolveOptions> = { signal: true };
const RESOLVE_HOST: Names<ResolveHostOptions> = { signal: true, family: true };

/** What a resolver has done so far, and what it holds. */
export interface ResolverStats {
  /** Answers that were at hand. */
  readonly hits: number;
  /** Answers that were not: each was asked for, or waited for with others. */
  readonly misses: number;
  /** Answers kept. */
  readonly cached: number;
  /** Questions under way. */
  readonly queries: number;
  /** Who waits for an answer. */
  readonly waiting: number;
}

/**
 * Finds the addresses of names, and what else name servers know of them. A reactor has one, `reactor.resolver`, which `connect`,
 * `startServer` and `sendDatagram` use, too; give it another with `new Reactor({ resolver })`.
 *
 * Answers are kept for as long as they are good, and a question that several ask at a time is asked once: see `ResolverOptions`.
 * `localhost` and the names below it are the loopback addresses, without a question (RFC 6761). Addresses come best first: from the system as it
 * sorts them, from name servers as RFC 6724 says.
 *
 * Questions reject with ArgumentError for what is no name; with the code of the system, `ENOTFOUND` where there is no such name, `ENODATA` where it has
 * nothing of that kind, `ETIMEOUT`, `ESERVFAIL`, `EREFUSED`, … where the name servers could not tell; with `ERR_EM_NAME_QUERY_LIMIT`; with the
 * reason of their `signal`; and with `ERR_EM_NOT_RUNNING` where the reactor they were asked in stops first. (EM::DNS::Resolver.)
 *
 * ```ts
 * const resolver = new Resolver({ nameservers: ["192.0.2.53"] });
 * const [best] = await resolver.resolve("example.com");
 * const mail = await resolver.resolveMx("example.com");
 * ```
 */
export class Resolver implements HostNames {
  readonly #lookup: AddressLookup;
  readonly #serverLookup: ServerLookup;
  readonly #hosts: HostsFile | undefined;
  readonly #asksHosts: boolean;
  readonly #cache: NameCache;
  readonly #cacheTime: number;
  readonly #asking: AskingOptions;
  #servers: NameServers;
  /** Those that were exchanged while questions were under way. */
  #retired: NameServers[] = [];

  /** Throws ArgumentError for options that are none. */
  constructor(options: ResolverOptions = {}) {
    checkOptions(options, OPTIONS);
    const { nameservers, lookup = nameservers === undefined ? "system" : "dns", search = [], hosts, clock } = options;
    const negative = checkDuration(options.negativeCacheTime ?? NEGATIVE_NAME_LIFE, "negativeCacheTime");
    this.#cacheTime = checkDuration(options.cacheTime ?? NAME_LIFE, "cacheTime");
    const now = clock === undefined ? () => performance.now() : () => clock.now();
    this.#asking = {
      now,
      timeout: checkInteger(options.timeout ?? NAME_QUERY_TIMEOUT, "timeout", 1),
      tries: checkInteger(options.tries ?? NAME_QUERY_TRIES, "tries", 1, 100),
    };
    if (clock !== undefined && typeof clock?.now !== "function") {
      throw new ArgumentError(`clock must be a Reactor or another Clock, not ${describe(clock)}`);
    }
    this.#servers = new NameServers(
      nameservers === undefined ? undefined : checkNameservers(nameservers),
      this.#asking,
    );
    this.#cache = new NameCache({
      size: checkCount(options.cacheSize ?? NAME_CACHE_SIZE, "cacheSize"),
      queryLimit: checkCount(options.queryLimit ?? NAME_QUERY_LIMIT, "queryLimit", 1),
      failureLife: (error) => failureLife(error, negative),
      now,
      abandoned: () => this.#cancel(),
    });
    const servers = () => this.#servers;
    this.#serverLookup = new ServerLookup({
      cache: this.#cache,
      get servers() {
        return servers();
      },
      search: checkSearch(search),
      now,
    });
    this.#lookup = this.#checkLookup(lookup);
    this.#asksHosts = lookup === "dns";
    const path = checkHosts(hosts);
    // The system reads the file by itself, but what it found there is kept here.
    const isRead = path !== undefined && typeof lookup !== "function";
    this.#hosts = isRead ? new HostsFile(path, now, () => this.#cache.clear()) : undefined;
  }

  #checkLookup(lookup: unknown): AddressLookup {
    if (typeof lookup === "function") return ownLookup(lookup as NameLookup);
    if (lookup === "system") return SYSTEM_LOOKUP;
    if (lookup === "dns") return this.#serverLookup;
    throw new ArgumentError(`lookup must be "system", "dns" or a function, not ${describe(lookup)}`);
  }

  // Addresses --------------------------------------------------------------------------------------------------------

  /** The addresses of a host, best first; at least one. An IP address is its own. (resolve.) */
  resolve(host: string, options: ResolveHostOptions = {}): Promise<string[]> {
    return this.#answer(host, options, RESOLVE_HOST, async (signal) => {
      const family = checkFamily(options.family ?? 0);
      const found = typeof host === "string" ? literalAddress(host, 0) : undefined;
      if (found !== undefined) {
        if (family !== 0 && found.family !== `IPv${family}`) throw notFound(host, "ENODATA");
        return [found.host];
      }
      const name = checkHostName(host);
      const all = isLoopbackName(name) ? loopback(family) : await this.#addresses(name, family, signal);
      return all.map((each) => each.host);
    });
  }

  /** @internal What `connect` and the like ask; the name is in its one spelling. */
  addresses(host: string, signal: AbortSignal): Promise<readonly HostAddress[]> {
    return this.#addresses(host, 0, signal);
  }

  /** @internal The same where it is at hand. */
  knownAddresses(host: string): readonly HostAddress[] | undefined {
    if (this.#hosts?.isFresh === false) return undefined;
    return this.#cache.peek(`host 0 ${host}`);
  }

  async #addresses(name: string, family: 0 | 4 | 6, signal: AbortSignal): Promise<readonly HostAddress[]> {
    signal.throwIfAborted();
    // The system reads the file by itself: of ours it is to be known only whether it has changed.
    if (this.#hosts?.isFresh === false) await untilAborted(this.#hosts.check(), signal);
    const find = async (over: AbortSignal) => {
      const table = this.#asksHosts ? await this.#hosts?.table() : undefined;
      const found = table === undefined ? undefined : hostsAddresses(table, name, family);
      if (found !== undefined) return { value: found, life: this.#cacheTime };
      over.throwIfAborted();
      return this.#lookup.find(name, family, this.#cacheTime, over);
    };
    return this.#cache.ask(`host ${family} ${name}`, this.#lookup.kind, find, signal);
  }

  /** The IPv4 addresses of a name with their time to live, from name servers alone. */
  resolve4(name: string, options: ResolveOptions = {}): Promise<AddressRecord[]> {
    return this.#addressRecords(name, 4, options);
  }

  /** The IPv6 addresses of a name with their time to live, from name servers alone. */
  resolve6(name: string, options: ResolveOptions = {}): Promise<AddressRecord[]> {
    return this.#addressRecords(name, 6, options);
  }

  #addressRecords(name: string, family: 4 | 6, options: ResolveOptions): Promise<AddressRecord[]> {
    return this.#answer(name, options, RESOLVE, async (signal) => {
      const asked = checkHostName(name);
      if (isLoopbackName(asked)) return loopback(family).map(({ host }) => ({ address: host, ttl: 0 }));
      const records = await this.#serverLookup.records(asked, family, signal);
      return records.map((record) => ({ ...record }));
    });
  }

  // Records ----------------------------------------------------------------------------------------------------------

  /** The servers of a service, as they stand there: `_imaps._tcp.example.com`. See `resolveService`. */
  resolveSrv(name: string, options: ResolveOptions = {}): Promise<SrvRecord[]> {
    return this.#records("SRV", name, options, async (node, asked) => {
      const records = await node.resolveSrv(asked);
      for (const record of records) checkTarget(record.name, asked);
      return records;
    });
  }

  /**
   * The servers of a service in the order in which they are to be tried: by priority, and within one by chance and weight (RFC 2782).
   * Rejects with `ENODATA` where the service is decidedly not offered.
   */
  resolveService(name: string, options: ResolveOptions = {}): Promise<ServiceTarget[]> {
    return answeredFor(this.#service(name, options));
  }

  async #service(name: string, options: ResolveOptions): Promise<ServiceTarget[]> {
    const targets = orderServices(await this.resolveSrv(name, options), Math.random);
    if (targets.length === 0) throw notFound(name, "ENODATA");
    return targets;
  }

  /** The mail servers of a domain, the most wanted first. */
  resolveMx(name: string, options: ResolveOptions = {}): Promise<MxRecord[]> {
    return this.#records("MX", name, options, async (node, asked) => {
      const records = await node.resolveMx(asked);
      for (const { exchange } of records) checkTarget(exchange, asked);
      return records.sort((a, b) => a.priority - b.priority);
    });
  }

  /** Texts; each comes in the pieces it has in the record. What stands in them is whoever's who keeps the domain. */
  resolveTxt(name: string, options: ResolveOptions = {}): Promise<string[][]> {
    return this.#records("TXT", name, options, (node, asked) => node.resolveTxt(asked));
  }

  /** Where a name points to, as `reverse` asks it. What stands there need not be a host's name. */
  resolvePtr(name: string, options: ResolveOptions = {}): Promise<string[]> {
    return this.#records("PTR", name, options, (node, asked) => node.resolvePtr(asked));
  }

  /** Who may issue certificates for a domain (RFC 8659). */
  resolveCaa(name: string, options: ResolveOptions = {}): Promise<CaaRecord[]> {
    return this.#records("CAA", name, options, (node, asked) => node.resolveCaa(asked));
  }

  /** The names of an IP address: from the hosts file where this resolver reads it, else from name servers. Whoever keeps the address says them. */
  reverse(ip: string, options: ResolveOptions = {}): Promise<string[]> {
    return this.#answer(ip, options, RESOLVE, async (signal) => {
      const found = typeof ip === "string" ? readHost(ip) : undefined;
      if (found?.family === undefined) throw new ArgumentError(`ip must be an IP address, not ${describe(ip)}`);
      const table = this.#asksHosts ? await this.#hosts?.table() : undefined;
      const names = table?.names.get(found.text);
      if (names !== undefined) return [...names];
      return this.#ask("reverse", found.text, (node) => node.reverse(found.text), signal);
    });
  }

  #records<T>(
    type: string,
    name: string,
    options: ResolveOptions,
    query: (node: NodeResolver, name: string) => Promise<T[]>,
  ): Promise<T[]> {
    return this.#answer(name, options, RESOLVE, async (signal) => {
      const asked = checkHostName(name);
      // RFC 6761 section 6.3: of these names there is nothing but addresses.
      if (isLoopbackName(asked)) throw notFound(name, "ENODATA");
      return this.#ask(type, asked, (node) => query(node, asked), signal);
    });
  }

  async #ask<T>(
    type: string,
    name: string,
    query: (node: NodeResolver) => Promise<T[]>,
    signal: AbortSignal,
  ): Promise<T[]> {
    const find = async () => {
      const value = await this.#servers.ask(query);
      // An alias of something else, say.
      if (value.length === 0) throw notFound(name, "ENODATA");
      // Bounded by entries alone, the memory of what hostile servers answer would be large.
      return { value, life: JSON.stringify(value).length > KEPT_ANSWER_SIZE ? 0 : this.#cacheTime };
    };
    // Many may be given the same answer: each gets its own copy.
    return structuredClone(await this.#cache.ask(`${type} ${name}`, RECORDS, find, signal));
  }

  // The resolver itself ----------------------------------------------------------------------------------------------

  /** The name servers that are asked, in their order: the system's, where none were given. Setting them forgets all answers. (nameservers.) */
  get nameservers(): readonly string[] {
    return [...this.#servers.addresses];
  }

  set nameservers(servers: readonly string[]) {
    const given = checkNameservers(servers);
    this.#retired = [...this.#retired, this.#servers].filter(({ isAsking }) => isAsking);
    this.#servers = new NameServers(given, this.#asking);
    this.#cache.clear();
  }

  /** The hosts file as it is now: addresses by name. Empty for a resolver that has none. (hosts.) */
  hosts(): Promise<ReadonlyMap<string, readonly string[]>> {
    return answeredFor(this.#hostsMap());
  }

  async #hostsMap(): Promise<ReadonlyMap<string, readonly string[]>> {
    const table = await this.#hosts?.table();
    const entries = [...(table?.addresses ?? [])];
    return new Map(entries.map(([name, addresses]) => [name, [...addresses]]));
  }

  /** Forgets all answers. */
  clear(): void {
    this.#cache.clear();
  }

  /** Plain counters; taking them costs little. */
  stats(): ResolverStats {
    const { hits, misses, size, running, waiting } = this.#cache;
    return { hits, misses, cached: size, queries: running, waiting };
  }

  /** Nobody waits for anything any more: questions that are under way would only keep the process. */
  #cancel(): void {
    for (const servers of this.#retired) servers.cancel();
    this.#retired = [];
    this.#servers.cancel();
  }

  /** One question of the program's: it ends with its signal, or with the reactor it is asked in, and its error is its own. */
  #answer<T>(
    name: unknown,
    options: ResolveOptions,
    names: Readonly<Record<string, true>>,
    ask: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return answeredFor(this.#begin(name, options, names, ask));
  }

  async #begin<T>(
    name: unknown,
    options: ResolveOptions,
    names: Readonly<Record<string, true>>,
    ask: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    checkOptions(options, names);
    const signal = checkSignal(options.signal);
    const clock = defaultClock();
    const over = new AbortController();
    const calledOff = clock.atEnd?.(() =>
      over.abort(stopped(clock, "the reactor stopped before the name was resolved")),
    );
    const aborted = () => over.abort(signal?.reason);
    if (signal?.aborted === true) aborted();
    signal?.addEventListener("abort", aborted, { once: true });
    try {
      return await ask(over.signal);
    } catch (error) {
      throw over.signal.aborted ? over.signal.reason : ownError(name, error);
    } finally {
      calledOff?.();
      signal?.removeEventListener("abort", aborted);
    }
  }
}

/** The error of one who asked: several may have waited for the same. */
function ownError(name: unknown, cause: unknown): unknown {
  const code = codeOf(cause);
  if (code === undefined || cause instanceof ArgumentError) return cause;
  const { syscall } = cause as { syscall?: unknown };
  const asked = describe(name);
  return new EventMachineError(code, `${asked} could not be resolved (${code})`, {
    cause,
    address: typeof name === "string" ? name : asked,
    ...(typeof syscall === "string" ? { syscall } : {}),
  });
}

function failureLife(error: unknown, negative: number): number {
  const code = codeOf(error);
  if (isNegative(error)) return negative;
  // Nobody has failed to tell anything.
  if (code === "ECANCELLED" || code === "ABORT_ERR" || code === "ERR_EM_NAME_QUERY_LIMIT") return 0;
  return Math.min(negative, NAME_FAILURE_LIFE);
}

function hostsAddresses(table: HostsTable, name: string, family: 0 | 4 | 6): readonly HostAddress[] | undefined {
  const found = table.addresses.get(name.endsWith(".") ? name.slice(0, -1) : name);
  const addresses = found?.map((each) => literalAddress(each, 0) as HostAddress);
  const wanted = addresses?.filter((each) => family === 0 || each.family === `IPv${family}`);
  // The other family may stand with the name servers, as for the system.
  return wanted === undefined || wanted.length === 0
    ? undefined
    : wanted.map(({ family: of, host }) => ({ family: of, host }));
}

function loopback(family: 0 | 4 | 6): readonly HostAddress[] {
  const both: readonly HostAddress[] = [
    { family: "IPv6", host: "::1" },
    { family: "IPv4", host: "127.0.0.1" },
  ];
  return family === 0 ? both : both.filter((each) => each.family === `IPv${family}`);
}

/** A name in its one spelling, with the root's dot where it was given. */
function checkHostName(name: unknown): string {
  const isAbsolute = typeof name === "string" && name.endsWith(".");
  return `${checkName(name, "name")}${isAbsolute ? "." : ""}`;
}

/** Names that a program connects to are hosts' names, or none (RFC 2782: a lone dot): what else a server says is no answer. */
function checkTarget(target: string, name: string): void {
  if (target === "" || target === "." || (readHost(target)?.family === undefined && readHost(target) !== undefined))
    return;
  throw new EventMachineError(
    "EBADRESP",
    `the records of ${JSON.stringify(name)} name what is no host: ${describe(target)}`,
  );
}

function checkFamily(family: unknown): 0 | 4 | 6 {
  if (family === 0 || family === 4 || family === 6) return family;
  throw new ArgumentError(`family must be 0, 4 or 6, not ${describe(family)}`);
}

function checkHosts(hosts: unknown): string | undefined {
  if (hosts === undefined) return SYSTEM_HOSTS;
  if (hosts === false) return undefined;
  if (typeof hosts === "string" && hosts !== "" && !hosts.includes("\0")) return hosts;
  throw new ArgumentError(`hosts must be a path, or false, not ${describe(hosts)}`);
}

function checkSearch(search: unknown): readonly string[] {
  if (!Array.isArray(search)) throw new ArgumentError(`search must be an array of domains, not ${describe(search)}`);
  return Array.from(search, (domain) => checkName(domain, "search"));
}

/** Node's own check says less. */
function checkNameservers(servers: unknown): readonly string[] {
  if (!Array.isArray(servers) || servers.length === 0) {
    throw new ArgumentError(`nameservers must be an array of at least one IP address, not ${describe(servers)}`);
  }
  return Array.from(servers, (server: unknown) => {
    const text = typeof server === "string" ? server : "";
    const [, bracketed, plain, port] =
      /^(?:\[([^\]]+)\]|([^:]+|[0-9a-fA-F:]*::?[0-9a-fA-F:.]*))(?::(\d+))?$/.exec(text) ?? [];
    const host = bracketed ?? plain;
    const found = host === undefined ? undefined : readHost(host);
    const isPort = port === undefined || (Number(port) >= 1 && Number(port) <= 65535);
    if (found?.family === undefined || found.zone !== undefined || !isPort) {
      throw new ArgumentError(`nameservers must be IP addresses, each with a port or without, not ${describe(server)}`);
    }
    if (port === undefined) return found.text;
    return found.family === "IPv6" ? `[${found.text}]:${port}` : `${found.text}:${port}`;
  });
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const result = await work;
  signal.throwIfAborted();
  return result;
}
