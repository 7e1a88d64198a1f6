import { lookup } from "node:dns";
import { networkInterfaces } from "node:os";
import { type InetAddress, literalAddress } from "../base/addresses.js";
import { describe } from "../base/describe.js";
import { codeOf } from "../base/error_code.js";
import { ArgumentError, EventMachineError } from "../base/errors.js";
import {
  HOSTS_CHECK_INTERVAL,
  MAX_NAME_LIFE,
  NAME_ADDRESS_LIMIT,
  NAME_FAILURE_LIFE,
  RESOLUTION_DELAY,
} from "../base/limits.js";
import { orderAddresses } from "./address_order.js";
import type { Found, NameCache, QueryKind } from "./name_cache.js";
import type { NameServers } from "./name_servers.js";

/** Where one end of a connection can be: an address of either family, without a port. */
export type HostAddress = Pick<InetAddress, "family" | "host">;

/**
 * Turns a host name into its addresses, best first. It rejects, or resolves to none, where there are none. The name comes in its
 * one spelling: ASCII, lower case, with the root's dot where it was given. `signal` aborts when nobody wants the answer any more.
 */
export type NameLookup = (host: string, signal: AbortSignal) => Promise<readonly InetAddress["host"][]>;

/** One way from a name to its addresses. */
export interface AddressLookup {
  readonly kind: QueryKind;
  /** All addresses, best first, at least one. `life` is how long they are good where the way does not show it. */
  find(name: string, family: 0 | 4 | 6, life: number, signal: AbortSignal): Promise<Found<readonly HostAddress[]>>;
}

/** The system's own way: getaddrinfo, on libuv's threads. It is sorted as the system sorts, and shows no time to live. */
export const SYSTEM_LOOKUP: AddressLookup = {
  // The call goes on in its thread, whoever waits.
  kind: { ending: "never", counts: true },
  find: (name, family, life) =>
    new Promise((resolve, reject) => {
      lookup(name, { all: true, verbatim: true, family }, (error, found) => {
        if (error !== null) reject(error);
        else
          resolve(
            checked(
              name,
              family,
              found.map(({ address }) => address),
              life,
            ),
          );
      });
    }),
};

/** A way of the program's. */
export function ownLookup(lookup: NameLookup): AddressLookup {
  return {
    kind: { ending: "alone", counts: true },
    find: async (name, family, life, signal) => checked(name, family, await lookup(name, signal), life),
  };
}

/** A program's way may give anything, a list with holes, too: what it gives is checked before an engine sees it. */
function checked(name: string, family: 0 | 4 | 6, found: unknown, life: number): Found<readonly HostAddress[]> {
  if (!Array.isArray(found)) {
    throw new ArgumentError(`the resolver must give an array of IP addresses, not ${describe(found)}`);
  }
  const wanted: HostAddress[] = [];
  for (const each of found as unknown[]) {
    if (wanted.length === NAME_ADDRESS_LIMIT) break;
    const address = typeof each === "string" ? literalAddress(each, 0) : undefined;
    if (address === undefined) throw new ArgumentError(`the resolver must give IP addresses, not ${describe(each)}`);
    const { family: of, host } = address;
    if (family === 0 || of === `IPv${family}`) wanted.push({ family: of, host });
  }
  if (wanted.length === 0) throw notFound(name, family === 0 ? "ENOTFOUND" : "ENODATA");
  return { value: wanted, life };
}

/** An address that a name server gave, and for how many seconds. */
export interface AddressRecord {
  /** An IP address. */
  readonly address: string;
  /** Seconds it is good for. */
  readonly ttl: number;
}

/** What the way over name servers needs of the resolver it belongs to. */
export interface ServerLookupHost {
  readonly cache: NameCache;
  readonly servers: NameServers;
  readonly search: readonly string[];
  now(): number;
}

/** A question to name servers: they are ended all together, or not. */
export const RECORDS: QueryKind = { ending: "together", counts: true };

/** RFC 1035 section 2.3.4, as text and without the root's dot. */
const MAX_NAME = 253;

/** Asks name servers for the addresses of both families, and sorts them as RFC 6724 says. */
export class ServerLookup implements AddressLookup {
  readonly kind: QueryKind = { ending: "alone", counts: false };
  readonly #host: ServerLookupHost;
  #sources: readonly string[] = [];
  #sourcesAt = Number.NEGATIVE_INFINITY;

  constructor(host: ServerLookupHost) {
    this.#host = host;
  }

  /** The addresses of one family, with their time to live; one question for all who ask. */
  records(name: string, family: 4 | 6, signal: AbortSignal | undefined): Promise<readonly AddressRecord[]> {
    const { cache } = this.#host;
    return cache.ask(family === 4 ? `A ${name}` : `AAAA ${name}`, RECORDS, () => this.#query(name, family), signal);
  }

  async find(
    name: string,
    family: 0 | 4 | 6,
    _life: number,
    signal: AbortSignal,
  ): Promise<Found<readonly HostAddress[]>> {
    let failure: unknown;
    for (const candidate of this.#candidates(name)) {
      try {
        return await this.#find(candidate, family, signal);
      } catch (error) {
        // A name server that could not tell is not passed over: the next name might be another's.
        if (!isNegative(error)) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  /** A name without a dot is looked for below the domains to search first; one with the root's dot is what it is. */
  #candidates(name: string): string[] {
    const { search } = this.#host;
    if (name.endsWith(".") || search.length === 0) return [name];
    // What is too long for a name stands nowhere.
    const below = search.map((domain) => `${name}.${domain}`).filter((each) => each.length <= MAX_NAME);
    return name.includes(".") ? [name, ...below] : [...below, name];
  }

  async #find(name: string, family: 0 | 4 | 6, signal: AbortSignal): Promise<Found<readonly HostAddress[]>> {
    // Whoever gave up may have done so before this name's turn: nobody is told of that again.
    signal.throwIfAborted();
    const families = family === 0 ? ([6, 4] as const) : ([family] as const);
    const late = new AbortController();
    const giveUp = () => late.abort(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    const answers = families.map((each) => outcomeOf(this.records(name, each, late.signal)));
    const isPartial = family === 0 && !(await bothInTime(answers));
    const known = await Promise.all(answers.map((answer) => (isPartial ? Promise.race([answer, PENDING]) : answer)));
    // Whoever else waits for the rest goes on waiting.
    giveUp();
    signal.removeEventListener("abort", giveUp);
    const records = known.flatMap((answer) => (answer !== undefined && "value" in answer ? answer.value : []));
    const errors = known.flatMap((answer) => (answer !== undefined && "error" in answer ? [answer.error] : []));
    const failure = errors.find((error) => !isNegative(error));
    if (records.length === 0) throw failure ?? errors[0] ?? notFound(name, "ENODATA");
    const seconds = Math.min(...records.map(({ ttl }) => ttl));
    // The other family's are only not known yet: it is asked for again soon.
    const isWhole = !isPartial && failure === undefined;
    const life = isWhole ? lifeOfTtl(seconds) : Math.min(lifeOfTtl(seconds), NAME_FAILURE_LIFE);
    const sorted = orderAddresses(
      records.map(({ address }) => address),
      this.#sourceAddresses(),
    );
    const value = sorted.slice(0, NAME_ADDRESS_LIMIT).map((each) => {
      const { family: of, host } = literalAddress(each, 0) as InetAddress;
      return { family: of, host };
    });
    return { value, life };
  }

  async #query(name: string, family: 4 | 6): Promise<Found<readonly AddressRecord[]>> {
    const records = await this.#host.servers.ask((node) =>
      family === 4 ? node.resolve4(name, { ttl: true }) : node.resolve6(name, { ttl: true }),
    );
    if (records.length === 0) throw notFound(name, "ENODATA");
    const value = records.map(({ address, ttl }) => ({ address, ttl: timeToLive(ttl) }));
    return { value, life: lifeOfTtl(Math.min(...value.map(({ ttl }) => ttl))) };
  }

  #sourceAddresses(): readonly string[] {
    const now = this.#host.now();
    if (now - this.#sourcesAt >= HOSTS_CHECK_INTERVAL) {
      this.#sources = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
      this.#sourcesAt = now;
    }
    return this.#sources;
  }
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

const PENDING = Promise.resolve(undefined);

function outcomeOf<T>(work: Promise<T>): Promise<Outcome<T>> {
  return work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
}

/** RFC 8305 section 3: once one family has addresses, the other one's answer is waited for no longer than a moment. */
async function bothInTime(answers: readonly Promise<Outcome<unknown>>[]): Promise<boolean> {
  const all = Promise.all(answers);
  const found = Promise.any(
    answers.map(async (answer) => {
      const outcome = await answer;
      if ("error" in outcome) throw outcome.error;
    }),
  );
  await Promise.race([all, found.catch(() => all)]);
  let timer: NodeJS.Timeout | undefined;
  const delay = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, RESOLUTION_DELAY, false);
  });
  try {
    return await Promise.race([all.then(() => true), delay]);
  } finally {
    clearTimeout(timer);
  }
}

/** RFC 2181 section 8: a time to live with its highest bit set is none. Whether that makes it negative is up to Node. */
function timeToLive(seconds: number): number {
  return seconds > 0 && seconds <= 0x7fffffff ? seconds : 0;
}

function lifeOfTtl(seconds: number): number {
  return Math.min(seconds * 1000, MAX_NAME_LIFE);
}

/** Whether an error says that the name has nothing of what was asked for, rather than that it could not be told. */
export function isNegative(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOTFOUND" || code === "ENODATA" || code === "EAI_NODATA";
}

export function notFound(name: string, code: "ENOTFOUND" | "ENODATA"): EventMachineError {
  const what = code === "ENOTFOUND" ? "there is no such name" : "the name has no such records";
  return new EventMachineError(code, `${what}: ${JSON.stringify(name)}`, { address: name });
}
