import { lookup } from "node:dns";
import { describe, type InetAddress, literalAddress, unmapAddress } from "../base/addresses.js";
import { codeOf } from "../base/error_code.js";
import { ArgumentError, EventMachineError } from "../base/errors.js";
import { isLoopbackName } from "../base/host_names.js";

/**
 * Turns a host name into its addresses, best first. It rejects, or resolves to none, where there are none. The name comes in its
 * one spelling: ASCII, lower case, with the root's dot where it was given. `signal` aborts when the answer is not wanted any more.
 */
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
 * `localhost` and the names below it are both loopback addresses, whatever the system's tables say.
 */
export async function resolveHost(
  host: string,
  port: number,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<InetAddress[]> {
  if (isLoopbackName(host)) return [unmapAddress("::1", port), unmapAddress("127.0.0.1", port)];
  let found: readonly InetAddress[];
  try {
    found = checkFound(await resolver(host, signal), port);
  } catch (cause) {
    throw nameNotFound(host, cause);
  }
  if (found.length === 0) throw nameNotFound(host, undefined);
  return interleaveFamilies(found);
}

/** A resolver may be the user's own: what it gives is checked before an engine sees it. */
function checkFound(found: readonly string[], port: number): readonly InetAddress[] {
  if (!Array.isArray(found)) {
    throw new ArgumentError(`the resolver must give an array of IP addresses, not ${describe(found)}`);
  }
  return found.map((each: unknown) => {
    const address = typeof each === "string" ? literalAddress(each, port) : undefined;
    if (address === undefined) throw new ArgumentError(`the resolver must give IP addresses, not ${describe(each)}`);
    return address;
  });
}

function nameNotFound(host: string, cause: unknown): EventMachineError {
  const code = codeOf(cause);
  return new EventMachineError(
    code ?? "ENOTFOUND",
    `the name ${JSON.stringify(host)} could not be resolved${code === undefined ? "" : ` (${code})`}`,
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
