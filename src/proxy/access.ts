import { AddressList } from "../base/address_list.js";
import type { SocketAddress } from "../base/addresses.js";
import { checkCount, checkDuration, checkInteger } from "../base/checks.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { PROXY_SOURCES } from "../base/limits.js";

/** How many connections one source may begin. */
export interface RateOptions {
  /** So many on the average … */
  connections: number;
  /** … in so many milliseconds. Default 1,000. */
  per?: number;
  /** So many at once. Default `connections`. */
  burst?: number;
}

/** Who may come. */
export interface AccessOptions {
  /** Nobody else: IP addresses, networks such as `10.0.0.0/8`, and `unix`. Default everybody. */
  allow?: string | readonly string[];
  /** Not these, allowed or not. Default nobody. */
  deny?: string | readonly string[];
  /** Most connections of one source at a time. Default none. */
  maxPerSource?: number;
  /** How many connections one source may begin. Default any number. */
  rate?: RateOptions;
}

const RATE: Names<RateOptions> = { connections: true, per: true, burst: true };

const ACCESS: Names<AccessOptions> = { allow: true, deny: true, maxPerSource: true, rate: true };

export function checkAccess(options: AccessOptions): AccessOptions {
  checkOptions(options, ACCESS, "access");
  return options;
}

/** A source that was seen lately. */
interface Source {
  open: number;
  tokens: number;
  seenAt: number;
}

/**
 * Decides who may come. Sources are the addresses that the connections have, a PROXY header's where there was one; an IPv6 one is its /64 network, which is what
 * one subscriber has. At most 65,536 of them are known at a time: the one that was seen longest ago and has nothing open is forgotten.
 */
export class Access {
  readonly #allow: AddressList | undefined;
  readonly #deny: AddressList | undefined;
  readonly #most: number;
  readonly #rate: { perMillisecond: number; burst: number } | undefined;
  readonly #sources = new Map<string, Source>();

  constructor({ allow, deny, maxPerSource = Number.POSITIVE_INFINITY, rate }: AccessOptions) {
    this.#allow = allow === undefined ? undefined : new AddressList(allow, "allow");
    this.#deny = deny === undefined ? undefined : new AddressList(deny, "deny");
    this.#most = checkCount(maxPerSource, "maxPerSource", 1);
    if (rate === undefined) return;
    checkOptions(rate, RATE, "rate");
    const connections = checkInteger(rate.connections, "rate.connections", 1);
    const per = checkDuration(rate.per ?? 1000, "rate.per");
    this.#rate = {
      perMillisecond: connections / Math.max(1, per),
      burst: checkInteger(rate.burst ?? connections, "rate.burst", 1),
    };
  }

  /** Whether a newcomer may come in; then `left` is owed for it. */
  admits(address: SocketAddress | undefined, now: number): boolean {
    // Who is not known is on no list, and that is no leave to come.
    if (this.#deny !== undefined && (address === undefined || this.#deny.has(address))) return false;
    if (this.#allow !== undefined && !this.#allow.has(address)) return false;
    if (this.#rate === undefined && this.#most === Number.POSITIVE_INFINITY) return true;
    const source = this.#source(sourceOf(address), now);
    if (source === undefined || source.open >= this.#most) return false;
    if (this.#rate !== undefined) {
      if (source.tokens < 1) return false;
      source.tokens--;
    }
    source.open++;
    return true;
  }

  left(address: SocketAddress | undefined): void {
    const source = this.#sources.get(sourceOf(address));
    if (source !== undefined && source.open > 0) source.open--;
  }

  /** Undefined where there is no room for one more. */
  #source(key: string, now: number): Source | undefined {
    const burst = this.#rate?.burst ?? 0;
    let source = this.#sources.get(key);
    if (source === undefined) {
      if (this.#sources.size >= PROXY_SOURCES && !this.#forgetOne()) return undefined;
      source = { open: 0, tokens: burst, seenAt: now };
    } else {
      this.#sources.delete(key);
      const { perMillisecond } = this.#rate ?? { perMillisecond: 0 };
      source.tokens = Math.min(burst, source.tokens + (now - source.seenAt) * perMillisecond);
      source.seenAt = now;
    }
    // The table is in the order in which its sources were seen.
    this.#sources.set(key, source);
    return source;
  }

  /** Among the oldest: one that has something open is put behind the others. */
  #forgetOne(): boolean {
    for (let tries = 0; tries < 16; tries++) {
      const [oldest] = this.#sources;
      if (oldest === undefined) return true;
      this.#sources.delete(oldest[0]);
      if (oldest[1].open === 0) return true;
      this.#sources.set(oldest[0], oldest[1]);
    }
    return false;
  }
}

function sourceOf(address: SocketAddress | undefined): string {
  if (address === undefined || address.family === "unix") return "unix";
  if (address.family === "IPv4") return address.host;
  return networkOf(address.host);
}

/** The first four groups of an IPv6 address. */
function networkOf(host: string): string {
  const [head = "", tail] = host.split("%")[0]!.split("::");
  const groups = head === "" ? [] : head.split(":");
  const behind = tail === undefined || tail === "" ? [] : tail.split(":");
  while (tail !== undefined && groups.length + behind.length < 8) groups.push("0");
  return `${[...groups, ...behind].slice(0, 4).join(":")}::/64`;
}
