import { isIPv4, isIPv6 } from "node:net";
import { describe } from "./describe.js";
import { ArgumentError } from "./errors.js";
import { readHost, spell } from "./host_names.js";
import { showUnixName } from "./unix_name.js";

export { describe };

/** An internet socket's address. What a connection reports can be passed back to `connect` as it is. */
export interface InetAddress {
  /** Of the literal address. */
  readonly family: "IPv4" | "IPv6";
  /** The literal address; an IPv4 address mapped into IPv6 is given as IPv4. */
  readonly host: string;
  /** From 0 to 65535. */
  readonly port: number;
}

/**
 * A Unix socket's address; the empty path is an unnamed socket's, a leading NUL is the abstract name space. A name whose
 * bytes are not UTF-8 is a Buffer of them.
 */
export interface UnixAddress {
  /** What tells it from an internet address. */
  readonly family: "unix";
  /** The path, an abstract name with its leading NUL, or empty. */
  readonly path: string | Buffer;
}

/** What a connection or a listener reports; `family` says of which kind it is. */
export type SocketAddress = InetAddress | UnixAddress;

/** The address that a host is already, in whatever spelling: no resolution needed. */
export function literalAddress(host: string, port: number): InetAddress | undefined {
  if (isIPv4(host)) return { family: "IPv4", host, port };
  const found = readHost(host);
  if (found?.family === undefined) return undefined;
  return { family: found.family, host: spell(found), port };
}

/** Checks a TCP port: a whole number from `least` (0 where the system may choose) to 65535. */
export function checkPort(port: unknown, least: 0 | 1, name = "port"): number {
  if (typeof port !== "number" || !Number.isInteger(port) || port < least || port > 65535) {
    throw new ArgumentError(`${name} must be a whole number from ${least} to 65535, not ${describe(port)}`);
  }
  return port;
}

/**
 * Reads an address as the command line writes it: `host:port`, `[v6]:port`, `:port` (every interface) or `unix:/path`
 * (`unix:@name` for the abstract name space). Throws ArgumentError for anything else.
 */
export function parseAddress(text: string): { host?: string; port: number } | { path: string } {
  if (typeof text !== "string") throw new ArgumentError(`address must be a string, not ${describe(text)}`);
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (path === "") throw new ArgumentError(`address ${JSON.stringify(text)} lacks the path after unix:`);
    return { path: path.startsWith("@") ? `\0${path.slice(1)}` : path };
  }
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = match === null ? Number.NaN : Number(match[3]);
  if (match === null || !(port <= 65535)) {
    throw new ArgumentError(`address ${JSON.stringify(text)} must be host:port, [v6]:port, :port or unix:/path`);
  }
  const [, v6, host] = match;
  if (v6 !== undefined) {
    if (!isIPv6(v6)) throw new ArgumentError(`address ${JSON.stringify(text)} has no IPv6 address in its brackets`);
    return { host: v6, port };
  }
  return host === undefined || host === "" ? { port } : { host, port };
}

/**
 * The form `parseAddress` reads, for logs and messages; bytes that are not UTF-8 are shown as `\xff`, which it does not
 * read. Throws ArgumentError for what is no address.
 */
export function formatAddress(address: SocketAddress): string {
  if (typeof address !== "object" || address === null) {
    throw new ArgumentError(`address must be an address, not ${describe(address)}`);
  }
  if (address.family === "unix") {
    const path = Buffer.isBuffer(address.path) ? showName(address.path) : checkText(address.path, "path");
    return path.startsWith("\0") ? `unix:@${path.slice(1)}` : `unix:${path}`;
  }
  if (address.family !== "IPv4" && address.family !== "IPv6") {
    const { family } = address as { family: unknown };
    throw new ArgumentError(`address.family must be "IPv4", "IPv6" or "unix", not ${describe(family)}`);
  }
  const host = checkText(address.host, "host");
  const port = checkPort(address.port, 0, "address.port");
  return address.family === "IPv6" ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The NUL of an abstract name stays, for `@` is written in its place. */
function showName(path: Buffer): string {
  return path[0] === 0 ? `\0${showUnixName(path.subarray(1))}` : showUnixName(path);
}

function checkText(text: unknown, name: string): string {
  if (typeof text === "string") return text;
  throw new ArgumentError(`address.${name} must be a string, not ${describe(text)}`);
}

/** An IPv4 address that is given as one number. */
export function ipv4Address(ip: number, port: number): InetAddress {
  const host = `${(ip >>> 24) & 255}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
  return { family: "IPv4", host, port };
}

/** `::ffff:192.0.2.1` is said as the IPv4 address it stands for, so that one peer has one name. */
export function unmapAddress(host: string, port: number): InetAddress {
  const tail = host.startsWith("::ffff:") ? host.slice("::ffff:".length) : "";
  if (isIPv4(tail)) return { family: "IPv4", host: tail, port };
  return { family: isIPv4(host) ? "IPv4" : "IPv6", host, port };
}
