import { lookup } from "node:dns";
import { isIP } from "node:net";
import { describe, type InetAddress, unmapAddress } from "../base/addresses.js";
import { ArgumentError, EventMachineError } from "../base/errors.js";

/** Turns a host name into its addresses, best first. It rejects, or resolves to none, where there are none. */
export type Resolver = (host: string, signal?: AbortSignal) => Promise<readonly InetAddress["host"][]>;

/** The system's resolver (getaddrinfo on libuv's threads), both families, in the system's order of preference. */
export const systemResolver: Resolver = (host) =>
  new Promise((resolve, reject) => {
    lookup(host, { all: true, verbatim: true }, (error, found) => {
      if (error === null) resolve(found.map(({ address }) => address));
      else reject(error);
    });
  });

/**
 * All addresses of a name, in the order of RFC 8305 section 4: the resolver's first, then the families in turn.
 * `localhost` is both loopback addresses, whatever the system's tables say (RFC 6761 section 6.3).
 */
export async function resolveHost(host: string, port: number, resolver: Resolver): Promise<InetAddress[]> {
  if (host === "localhost") {
    return [unmapAddress("::1", port), unmapAddress("127.0.0.1", port)];
  }
  let found: readonly string[];
  try {
    found = checkFound(await resolver(host));
  } catch (cause) {
    throw nameNotFound(host, cause);
  }
  if (found.length === 0) throw nameNotFound(host, undefined);
  return interleaveFamilies(found.map((address) => unmapAddress(address, port)));
}

/** A resolver may be the user's own: what it gives is checked before an engine sees it. */
function checkFound(found: readonly string[]): readonly string[] {
  if (!Array.isArray(found)) {
    throw new ArgumentError(`the resolver must give an array of IP addresses, not ${describe(found)}`);
  }
  for (const address of found) {
    if (typeof address !== "string" || isIP(address) === 0) {
      throw new ArgumentError(`the resolver must give IP addresses, not ${describe(address)}`);
    }
  }
  return found;
}

function nameNotFound(host: string, cause: unknown): EventMachineError {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return new EventMachineError(
    typeof code === "string" ? code : "ENOTFOUND",
    `the name ${JSON.stringify(host)} could not be resolved${typeof code === "string" ? ` (${code})` : ""}`,
    { cause, syscall: "getaddrinfo", address: host },
  );
}

function interleaveFamilies(addresses: readonly InetAddress[]): InetAddress[] {
  const first = addresses[0]?.family;
  const preferred = addresses.filter(({ family }) => family === first);
  const others = addresses.filter(({ family }) => family !== first);
  const result: InetAddress[] = [];
  for (let at = 0; at < Math.max(preferred.length, others.length); at++) {
    const pair = [preferred[at], others[at]];
    for (const address of pair) if (address !== undefined) result.push(address);
  }
  return result;
}
