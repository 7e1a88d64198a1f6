import { type InetAddress, unmapAddress } from "../base/addresses.js";
import { codeOf } from "../base/error_code.js";
import { EventMachineError } from "../base/errors.js";
import { isLoopbackName } from "../base/host_names.js";
import type { HostAddress } from "./lookups.js";

/** What turns names into addresses for the reactor's own parts: a `Resolver`, or the names of a simulated network. */
export interface HostNames {
  /** @internal All addresses of a name, best first. Rejects, or resolves to none, where there are none; with the reason of `signal` when that aborts. */
  addresses(host: string, signal: AbortSignal): Promise<readonly HostAddress[]>;
  /** @internal The same where they are at hand. */
  knownAddresses(host: string): readonly HostAddress[] | undefined;
}

const LOOPBACK: readonly HostAddress[] = [
  { family: "IPv6", host: "::1" },
  { family: "IPv4", host: "127.0.0.1" },
];

/**
 * All addresses of a name, in the order of RFC 8305 section 4: the resolver's first, then the families in turn.
 * `localhost` and the names below it are both loopback addresses, whatever the system's tables say.
 */
export async function resolveHost(
  host: string,
  port: number,
  names: HostNames,
  signal: AbortSignal,
): Promise<InetAddress[]> {
  let found: readonly HostAddress[];
  try {
    found = isLoopbackName(host) ? LOOPBACK : await names.addresses(host, signal);
  } catch (cause) {
    throw nameNotFound(host, cause);
  }
  if (found.length === 0) throw nameNotFound(host, undefined);
  return interleaveFamilies(found).map((address) => unmapAddress(address.host, port));
}

/** The first of them in that order, which is the one that a datagram goes to; undefined where it is not at hand. */
export function knownHost(host: string, names: HostNames): readonly HostAddress[] | undefined {
  return isLoopbackName(host) ? LOOPBACK : names.knownAddresses(host);
}

export function nameNotFound(host: string, cause: unknown): EventMachineError {
  const code = codeOf(cause);
  return new EventMachineError(
    code ?? "ENOTFOUND",
    `the name ${JSON.stringify(host)} could not be resolved${code === undefined ? "" : ` (${code})`}`,
    { cause, syscall: "getaddrinfo", address: host },
  );
}

function interleaveFamilies(addresses: readonly HostAddress[]): HostAddress[] {
  const first = addresses[0]?.family;
  const preferred = addresses.filter(({ family }) => family === first);
  const others = addresses.filter(({ family }) => family !== first);
  const result: HostAddress[] = [];
  for (let at = 0; at < Math.max(preferred.length, others.length); at++) {
    const pair = [preferred[at], others[at]];
    for (const address of pair) if (address !== undefined) result.push(address);
  }
  return result;
}
