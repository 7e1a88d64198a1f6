import { AddressList } from "../base/address_list.js";
import { checkPort } from "../base/addresses.js";
import { checkBoolean, checkCount, checkDuration, checkInteger, checkObject, checkSignal } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkHost } from "../base/host_names.js";
import { checkNames, type Names } from "../base/known_names.js";
import {
  ACCEPT_QUOTA,
  CONNECT_TIMEOUT,
  CONNECTION_ATTEMPT_DELAY,
  HIGH_WATER_MARK,
  LINGER_TIMEOUT,
  LISTEN_BACKLOG,
  OUTBOUND_LIMIT,
  PROXY_HEADER_TIMEOUT,
  TLS_HANDSHAKES,
} from "../base/limits.js";
import {
  KERNEL_OPTIONS,
  type KeepAlive,
  type KernelNumberName,
  type KernelOptionName,
  kernelOptionNames,
  type SocketOptions,
} from "../engine/socket_options.js";
import { checkKernelNumber } from "./kernel_numbers.js";
import type {
  ConnectOptions,
  LocalAddress,
  ProxyProtocolOptions,
  ProxyTrust,
  ServerOptions,
  StreamOptions,
} from "./options.js";

/** One option: how a value is checked, and what stands where none is given. Its name, meaning and unit are in options.ts. */
interface Row<T> {
  readonly check: (value: unknown, name: string) => T;
  readonly otherwise: T;
}

type Rows = Readonly<Record<string, Row<unknown>>>;
type Values<R extends Rows> = { readonly [Name in keyof R]: R[Name] extends Row<infer T> ? T : never };

function row<T>(check: (value: unknown, name: string) => T, otherwise: T): Row<T> {
  return { check, otherwise };
}

const duration = (otherwise = 0) => row(checkDuration, otherwise);
const count = (least: number, otherwise: number) => row((value, name) => checkCount(value, name, least), otherwise);

/** A row for each option that goes to the kernel as it is; none given is the system's. */
function kernelRows(): { readonly [Name in KernelOptionName]: Row<StreamOptions[Name]> } {
  const rows = kernelOptionNames.map((name) => {
    const isFlag = KERNEL_OPTIONS[name].takes === "flag";
    const check = isFlag ? checkBoolean : (value: unknown) => checkKernelNumber(value, name as KernelNumberName);
    return [name, row<unknown>(check, undefined)];
  });
  return Object.fromEntries(rows);
}

/** Of the socket, whichever side opened it; engine/socket_options.ts says which capability each needs. */
export const SOCKET = {
  ...kernelRows(),
  noDelay: row<boolean | undefined>(checkBoolean, true),
  keepAlive: row<KeepAlive | undefined>(checkKeepAlive, undefined),
} satisfies Record<keyof SocketOptions, Row<unknown>>;

/** Of every connection. */
export const STREAM = {
  allowHalfOpen: row(checkBoolean, false),
  highWaterMark: count(1, HIGH_WATER_MARK),
  /** Where none is given it depends on the other mark. */
  lowWaterMark: row<number | undefined>(checkCount, undefined),
  outboundLimit: count(0, OUTBOUND_LIMIT),
  lingerTimeout: duration(LINGER_TIMEOUT),
  commInactivityTimeout: duration(),
  firstByteTimeout: duration(),
  readTimeout: duration(),
  writeTimeout: duration(),
  lifetimeTimeout: duration(),
} satisfies Record<Exclude<keyof StreamOptions, keyof SocketOptions>, Row<unknown>>;

/** Of a server; `tls` is checked where TLS is. */
export const LISTEN = {
  backlog: row((value) => checkKernelNumber(value, "backlog"), LISTEN_BACKLOG),
  reusePort: row(checkBoolean, false),
  ipv6Only: row(checkBoolean, false),
  maxConnections: count(1, Number.POSITIVE_INFINITY),
  whenFull: row<"pause" | "close">(checkWhenFull, "pause"),
  acceptQuota: row((value, name) => checkInteger(value, name, 1), ACCEPT_QUOTA),
  maxHandshakes: count(1, TLS_HANDSHAKES),
  proxyProtocol: row<ProxyTrust | undefined>(checkProxyTrust, undefined),
} satisfies Record<Exclude<keyof ServerOptions, keyof StreamOptions | "tls">, Row<unknown>>;

/** Of a client; `tls` and `proxyHeader` are checked where they are used. */
export const DIAL = {
  connectTimeout: duration(CONNECT_TIMEOUT),
  connectionAttemptDelay: duration(CONNECTION_ATTEMPT_DELAY),
  localAddress: row<Required<LocalAddress> | undefined>(checkLocalAddress, undefined),
  signal: row<AbortSignal | undefined>(checkSignal, undefined),
} satisfies Record<Exclude<keyof ConnectOptions, keyof StreamOptions | "tls" | "proxyHeader">, Row<unknown>>;

/** The rows of a table in a list, and all that stands where nothing is given. */
interface Prepared {
  readonly rows: readonly (readonly [string, Row<unknown>])[];
  readonly defaults: object;
}

const prepared = new WeakMap<Rows, Prepared>();

function prepare(table: Rows): Prepared {
  let known = prepared.get(table);
  if (known === undefined) {
    const rows = Object.entries(table);
    known = {
      rows,
      defaults: Object.freeze(Object.fromEntries(rows.map(([name, { otherwise }]) => [name, otherwise]))),
    };
    prepared.set(table, known);
  }
  return known;
}

/** Every value of a table, checked and complete: the same object each time that nothing is given, for each connection reads some tables. */
export function readOptions<R extends Rows>(table: R, options: object): Values<R> {
  const given = options as Readonly<Record<string, unknown>>;
  const { rows, defaults } = prepare(table);
  let values: Record<string, unknown> | undefined;
  for (const [name, { check }] of rows) {
    const value = given[name];
    if (value === undefined) continue;
    values ??= { ...defaults };
    values[name] = check(value, name);
  }
  return (values ?? defaults) as Values<R>;
}

const KEEP_ALIVE: Names<KeepAlive> = { idle: true, interval: true, count: true };

export function checkKeepAlive(value: unknown): KeepAlive | undefined {
  if (typeof value === "boolean") return value ? {} : undefined;
  checkObject(value, "keepAlive");
  checkNames(value as object, KEEP_ALIVE, "keepAlive");
  const { idle, interval, count } = value as KeepAlive;
  const result: KeepAlive = {};
  if (idle !== undefined) result.idle = checkKernelNumber(idle, "keepAlive.idle");
  if (interval !== undefined) result.interval = checkKernelNumber(interval, "keepAlive.interval");
  if (count !== undefined) result.count = checkKernelNumber(count, "keepAlive.count");
  return result;
}

const PROXY_PROTOCOL: Names<ProxyProtocolOptions> = { from: true, untrusted: true, timeout: true };

function checkProxyTrust(value: unknown): ProxyTrust {
  checkObject(value, "proxyProtocol");
  checkNames(value as object, PROXY_PROTOCOL, "proxyProtocol");
  const { from, untrusted = "close", timeout = PROXY_HEADER_TIMEOUT } = value as ProxyProtocolOptions;
  if (untrusted !== "close" && untrusted !== "direct") {
    throw new ArgumentError(`proxyProtocol.untrusted must be "close" or "direct", not ${describe(untrusted)}`);
  }
  return {
    from: new AddressList(from, "proxyProtocol.from"),
    untrusted,
    timeout: checkDuration(timeout, "proxyProtocol.timeout"),
  };
}

function checkWhenFull(value: unknown): "pause" | "close" {
  if (value === "pause" || value === "close") return value;
  throw new ArgumentError(`whenFull must be "pause" or "close", not ${describe(value)}`);
}

/** `family` comes with an address that a connection has told. */
const LOCAL_ADDRESS: Names<LocalAddress | { family: unknown }> = { host: true, port: true, family: true };

function checkLocalAddress(value: unknown): Required<LocalAddress> {
  checkObject(value, "localAddress");
  checkNames(value as object, LOCAL_ADDRESS, "localAddress");
  const { host, port = 0 } = value as LocalAddress;
  return { host: checkHost(host, "localAddress.host"), port: checkPort(port, 0, "localAddress.port") };
}
