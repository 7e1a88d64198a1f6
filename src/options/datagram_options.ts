import { checkPort, describe, type InetAddress, literalAddress, type UnixAddress } from "../base/addresses.js";
import { checkBoolean, checkCount, checkDuration, checkInteger, checkObject } from "../base/checks.js";
import { ArgumentError } from "../base/errors.js";
import { checkHost, readHost } from "../base/host_names.js";
import { checkNames, type Names } from "../base/known_names.js";
import { DATAGRAM_SEND_LIMIT, LINGER_TIMEOUT } from "../base/limits.js";
import { isAbstractName, type UnixName } from "../base/unix_name.js";
import type { DatagramOptions as EngineOptions, Membership } from "../engine/datagrams.js";
import { checkKernelNumber } from "./kernel_numbers.js";
import { checkUnixPath, type StreamOptions, type StreamSettings } from "./options.js";
import { readOptions } from "./table.js";

/** Where a datagram goes: an address or a name with a port, or the path of a Unix socket. */
export type DatagramDestination = DatagramInetDestination | DatagramUnixDestination;

/** Where a datagram over IP goes. */
export interface DatagramInetDestination {
  /** An IP address, or a name, which is resolved. */
  readonly host: string;
  /** From 1 to 65535. */
  readonly port: number;
}

/** Where a Unix datagram goes. */
export interface DatagramUnixDestination {
  /** A path, or an abstract name with its leading NUL; bytes where it is not UTF-8. */
  readonly path: string | Uint8Array;
}

/** What a datagram socket is bound to: an internet address, … */
export interface DatagramInetAddress {
  /** Default `::`, which takes IPv4 too. For IPv4 multicast and broadcast give an IPv4 address, such as `0.0.0.0`. */
  host?: string;
  /** 0 lets the system choose. */
  port: number;
}

/** … or the path of a Unix socket; the empty path is a socket without a name, which only sends. Capability `unixDatagrams`. */
export interface DatagramUnixAddress {
  /** A path, or an abstract name with its leading NUL; bytes where it is not UTF-8. */
  path: string | Uint8Array;
  /** The file's permission bits, exactly, whatever the umask. Files only. */
  mode?: number;
}

/** Deadlines count datagrams as they do bytes; `closeConnectionAfterWriting` waits `lingerTimeout` for names and for the kernel. */
export interface DatagramSocketOptions
  extends Pick<
    StreamOptions,
    "lingerTimeout" | "commInactivityTimeout" | "firstByteTimeout" | "readTimeout" | "writeTimeout" | "lifetimeTimeout"
  > {
  /** The one peer: nobody else is heard, and `sendData` sends to it from anywhere. */
  remote?: DatagramDestination;
  /** Share the port with other sockets that ask for it too; the kernel spreads senders over them. Capability `reusePort`. */
  reusePort?: boolean;
  /** Share a multicast port with other sockets that ask for it too; each gets every datagram (SO_REUSEADDR). Default false. */
  reuseAddress?: boolean;
  /** On an IPv6 address, refuse IPv4. Default false: `::` is dual-stack. */
  ipv6Only?: boolean;
  /** Allow sending to broadcast addresses. Default false. */
  broadcast?: boolean;
  /** Tell of each datagram to which address and by which interface it came: `datagramInfo`. Capability `packetInfo`. */
  packetInfo?: boolean;
  /** Tell of each datagram its TTL and its ECN bits: `datagramInfo`. Capability `trafficInfo`. */
  trafficInfo?: boolean;
  /** IP_MTU_DISCOVER. Default: the system's. Capability `mtuDiscovery`. */
  mtuDiscovery?: "off" | "want" | "always" | "probe";
  /** SO_RCVBUF and SO_SNDBUF. Default: the system's. */
  receiveBufferSize?: number;
  /** SO_SNDBUF. */
  sendBufferSize?: number;
  /** How much may wait for the kernel: what would be above it is dropped and counted. Default 1 MiB. */
  outboundLimit?: number;
}

/** The address and the options of a datagram socket, in one object. */
export type DatagramAddress = (DatagramInetAddress | DatagramUnixAddress) & DatagramSocketOptions;

/** Where in a group, or from whom, a socket listens. */
export interface MulticastOptions {
  /** By which interface: an IPv4 address of it for an IPv4 group, its name or index for an IPv6 one. Default: the system's choice. */
  interface?: string | number;
  /** Only what this address sends (source-specific multicast). */
  source?: string;
}

type Row<T> = { readonly check: (value: unknown, name: string) => T; readonly otherwise: T };

function row<T>(check: (value: unknown, name: string) => T, otherwise: T): Row<T> {
  return { check, otherwise };
}

type Discovery = EngineOptions["mtuDiscovery"];

const TABLE = {
  reusePort: row(checkBoolean, false),
  reuseAddress: row(checkBoolean, false),
  ipv6Only: row(checkBoolean, false),
  broadcast: row(checkBoolean, false),
  packetInfo: row(checkBoolean, false),
  trafficInfo: row(checkBoolean, false),
  mtuDiscovery: row<Discovery>(checkDiscovery, undefined),
  receiveBufferSize: row<number | undefined>((value) => checkKernelNumber(value, "receiveBufferSize"), undefined),
  sendBufferSize: row<number | undefined>((value) => checkKernelNumber(value, "sendBufferSize"), undefined),
  outboundLimit: row((value, name) => checkCount(value, name), DATAGRAM_SEND_LIMIT),
  lingerTimeout: row(checkDuration, LINGER_TIMEOUT),
  commInactivityTimeout: row(checkDuration, 0),
  firstByteTimeout: row(checkDuration, 0),
  readTimeout: row(checkDuration, 0),
  writeTimeout: row(checkDuration, 0),
  lifetimeTimeout: row(checkDuration, 0),
} satisfies Record<Exclude<keyof DatagramSocketOptions, "remote">, Row<unknown>>;

const NAMES: Names<DatagramInetAddress | DatagramUnixAddress | DatagramSocketOptions | { family: 1; onConnection: 1 }> =
  {
    host: true,
    port: true,
    path: true,
    mode: true,
    remote: true,
    family: true,
    onConnection: true,
    ...(Object.fromEntries(Object.keys(TABLE).map((name) => [name, true])) as Record<keyof typeof TABLE, true>),
  };

export type DatagramTarget = { host: string | undefined; port: number } | { path: UnixName; mode: number | undefined };

/** Where datagrams go: a name is not an address yet. */
export type Destination = InetAddress | UnixAddress | { family: undefined; host: string; port: number };

/** What a datagram socket is opened with, checked and complete. */
export interface DatagramSettings {
  readonly target: DatagramTarget;
  readonly remote: Destination | undefined;
  /** For the engine, but for where the socket is. */
  readonly engine: Omit<EngineOptions, "remote" | "file">;
  /** For the connection. Its marks say what is so: it is full as soon as anything waits, and has drained when nothing does. */
  readonly life: StreamSettings;
}

export function checkDatagramAddress(address: DatagramAddress): DatagramSettings {
  checkObject(address, "address");
  checkNames(address, NAMES, "address");
  const { outboundLimit, lingerTimeout, ...values } = readOptions(TABLE, address);
  const { commInactivityTimeout, firstByteTimeout, readTimeout, writeTimeout, lifetimeTimeout, ...engine } = values;
  const deadlines = {
    lingerTimeout,
    commInactivityTimeout,
    firstByteTimeout,
    readTimeout,
    writeTimeout,
    lifetimeTimeout,
  };
  const target = checkTarget(address);
  const remote = address.remote === undefined ? undefined : checkDestination(address.remote, "remote");
  if (remote !== undefined && (remote.family === "unix") !== "path" in target) {
    throw new ArgumentError("remote must be of the same kind as the address: both a path, or both a host and a port");
  }
  return {
    target,
    remote,
    engine: { ...engine, sendLimit: outboundLimit },
    life: { halfOpen: false, highWaterMark: 1, lowWaterMark: 0, outboundLimit, ...deadlines, socket: {} },
  };
}

function checkTarget(address: DatagramInetAddress | DatagramUnixAddress): DatagramTarget {
  if (!isPath(address, "address")) {
    const { host, port } = address;
    return { host: host === undefined ? undefined : checkHost(host), port: checkPort(port, 0) };
  }
  const { mode } = address;
  const path = isEmpty(address.path) ? "" : checkUnixPath(address.path);
  if (mode === undefined) return { path, mode };
  if (path === "" || isAbstractName(path)) {
    throw new ArgumentError("mode is a file's: a socket without one has no permissions");
  }
  return { path, mode: checkInteger(mode, "mode", 0, 0o777) };
}

/** Checks where a datagram is to go. */
export function checkDestination(address: DatagramDestination, name: string): Destination {
  checkObject(address, name);
  if (isPath(address, name)) return { family: "unix", path: checkUnixPath(address.path) };
  const { host, port } = address as DatagramInetDestination;
  const literal = typeof host === "string" ? literalAddress(host, checkPort(port, 1, `${name}.port`)) : undefined;
  return (
    literal ?? { family: undefined, host: checkHost(host, `${name}.host`), port: checkPort(port, 1, `${name}.port`) }
  );
}

export function checkMembership(group: string, options: MulticastOptions): Membership {
  const address = typeof group === "string" ? readHost(group) : undefined;
  const isGroup = address?.family === "IPv4" ? /^(22[4-9]|23\d)\./.test(address.text) : /^ff/.test(address?.text ?? "");
  if (address?.family === undefined || !isGroup) {
    throw new ArgumentError(`group must be a multicast address, not ${describe(group)}`);
  }
  checkObject(options, "options");
  checkNames(options, { interface: true, source: true } satisfies Names<MulticastOptions>, "options");
  const { source } = options;
  const from = source === undefined ? undefined : literal(source, "source");
  if (from !== undefined && (from.includes(":") ? "IPv6" : "IPv4") !== address.family) {
    throw new ArgumentError(`source must be an address of the group's family, not ${describe(source)}`);
  }
  return { group: address.text, interface: checkInterface(options.interface), source: from };
}

/** An interface by an address of it, its name or its index. */
export function checkInterface(value: unknown, name = "interface"): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number") return String(checkInteger(value, name, 0));
  if (typeof value !== "string" || !/^[0-9A-Za-z_.:@%-]{1,64}$/.test(value)) {
    throw new ArgumentError(
      `${name} must be an address of an interface, its name or its index, not ${describe(value)}`,
    );
  }
  return value;
}

function literal(value: unknown, name: string): string {
  const address = typeof value === "string" ? literalAddress(value, 0) : undefined;
  if (address === undefined) throw new ArgumentError(`${name} must be an IP address, not ${describe(value)}`);
  return address.host;
}

function checkDiscovery(value: unknown, name: string): Discovery {
  if (value === "off" || value === "want" || value === "always" || value === "probe") return value;
  throw new ArgumentError(`${name} must be "off", "want", "always" or "probe", not ${describe(value)}`);
}

function isEmpty(path: unknown): boolean {
  return path === "" || (path instanceof Uint8Array && path.length === 0);
}

/** Whether an address is a Unix socket's. */
function isPath<P extends { path: string | Uint8Array }>(
  address: P | { host?: string; port: number },
  name: string,
): address is P {
  if (!("path" in address) || address.path === undefined) return false;
  const { host, port } = address as { host?: unknown; port?: unknown };
  if (host === undefined && port === undefined) return true;
  throw new ArgumentError(`${name} must have a path or a port, not both`);
}
