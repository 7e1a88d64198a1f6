import type { AddressList } from "../base/address_list.js";
import { checkPort, describe } from "../base/addresses.js";
import { checkInteger, checkObject } from "../base/checks.js";
import { ArgumentError } from "../base/errors.js";
import { checkHost } from "../base/host_names.js";
import { LOW_WATER_MARK, MAX_ABSTRACT_NAME, MAX_UNIX_PATH } from "../base/limits.js";
import { isAbstractName, type UnixName, unixName, unixNameBytes } from "../base/unix_name.js";
import type { ProxyHeaderOptions } from "../codecs/proxy/serializer.js";
import type { KeepAlive, SocketOptions } from "../engine/socket_options.js";
import type { ClientTls, ServerTls } from "../tls/tls_start.js";
import { DIAL, LISTEN, readOptions, SOCKET, STREAM } from "./table.js";

/** What every connection takes, whichever side opened it. Times in milliseconds, 0 for off; sizes in bytes. */
export interface StreamOptions {
  /** Send small segments at once (TCP_NODELAY). Default true. */
  noDelay?: boolean;
  /** TCP keep-alive: true for the system's intervals, or `{ idle, interval, count }`. Default off. */
  keepAlive?: boolean | KeepAlive;
  /** Leave the connection open for writing when the peer has sent its FIN, and call `receiveEnd`. Default false. */
  allowHalfOpen?: boolean;
  /** `sendData` returns false from this much unsent output on. Default 64 KiB. */
  highWaterMark?: number;
  /** `drained` comes when unsent output has fallen to this. Default 16 KiB, or the high-water mark if that is less. */
  lowWaterMark?: number;
  /** With more unsent output than this the next `sendData` closes the connection. Default 16 MiB. */
  outboundLimit?: number;
  /** How long `closeConnectionAfterWriting` waits without progress. Default 5 s. */
  lingerTimeout?: number;
  /** Close when nothing was read or written for so long. Default off. (EventMachine's comm_inactivity_timeout.) */
  commInactivityTimeout?: number;
  /** Close when the peer's first byte has not come so long after opening; stands still while paused. Default off. */
  firstByteTimeout?: number;
  /** Close when nothing was read for so long; stands still while paused. Default off. */
  readTimeout?: number;
  /** Close when queued output has made no progress for so long. Default off. */
  writeTimeout?: number;
  /** Close when the connection has been open for so long. Default off. */
  lifetimeTimeout?: number;
  /** SO_RCVBUF, in bytes. Default: the system's own tuning. Capability `bufferSizes`. */
  receiveBufferSize?: number;
  /** SO_SNDBUF, in bytes. Default: the system's own tuning. Capability `bufferSizes`. */
  sendBufferSize?: number;
  /** TCP_USER_TIMEOUT: how long sent data may stay unacknowledged. Default: the system's. Capability `tcpUserTimeout`. */
  tcpUserTimeout?: number;
}

/** Where to listen: an internet address (`host` default `::`, which takes IPv4 too; `port` 0 lets the system choose), … */
export interface InetServerAddress {
  /** An IP address of this machine, or a name that has some: then it listens on each of them. Default `::`. */
  host?: string;
  /** From 0 to 65535; 0 lets the system choose. */
  port: number;
}
/** … or a Unix socket's path; a leading NUL is the abstract name space. */
export interface UnixServerAddress {
  /** Relative to the folder that is the process's when the server starts. Bytes where it is not UTF-8. */
  path: string | Uint8Array;
  /** The file's permission bits, exactly, whatever the umask. Default: what the umask leaves of 0o777. Files only. */
  mode?: number;
}

/** What a server takes beside its address: options of the listener, and those of every connection it accepts. */
export interface ServerOptions extends StreamOptions {
  /** Length of the kernel's accept queue. Default 1024. */
  backlog?: number;
  /** Share the port with other listeners that ask for it too (SO_REUSEPORT). Default false. */
  reusePort?: boolean;
  /** On an IPv6 address, refuse IPv4. Default false: `::` is dual-stack. */
  ipv6Only?: boolean;
  /** Most connections at a time. Default none. */
  maxConnections?: number;
  /** At `maxConnections`: leave newcomers waiting in the queue, or accept and close them. Default "pause". */
  whenFull?: "pause" | "close";
  /** Most connections accepted in one turn. Default 64. Capability `acceptQuota`. */
  acceptQuota?: number;
  /** Every connection begins with TLS: a context, or what one is made of. Default: none. */
  tls?: ServerTls;
  /**
   * Peers in this list are balancers that speak the PROXY protocol, versions 1 and 2: each begins with a header that tells whom it
   * proxies, and its connection is made when that has come. See `ProxyProtocolOptions`. Default: none, and nothing is parsed as a header.
   */
  proxyProtocol?: ProxyProtocolOptions;
  /**
   * Most TLS handshakes that are under way at a time, those of `startTls` included: the next one ends the oldest, with
   * `ERR_EM_TLS_HANDSHAKE_LIMIT`. Default 1,024.
   */
  maxHandshakes?: number;
}

/** Whose PROXY protocol headers a server takes. */
export interface ProxyProtocolOptions {
  /**
   * The balancers: IP addresses, networks such as `10.0.0.0/8`, and `unix` for peers on a Unix socket. Each of them must begin with a
   * header, before TLS where there is some; the one whose bytes are none is closed.
   */
  from: string | readonly string[];
  /**
   * What becomes of everybody else: `"close"` closes them unread, `"direct"` serves them as they are, and nothing they send is parsed as
   * a header. Default `"close"`.
   */
  untrusted?: "close" | "direct";
  /** How long a balancer may take for its whole header, before it is closed. Default 5 s; 0 for no limit. */
  timeout?: number;
}

/** The address and the options of a server, in one object. */
export type ServerAddress = (InetServerAddress | UnixServerAddress) & ServerOptions;

/** Where to connect: an internet address, … */
export interface InetConnectAddress {
  /** An IP address, or a name: its addresses are tried as RFC 8305 says. */
  host: string;
  /** From 1 to 65535. */
  port: number;
}
/** … or a Unix socket's path; a leading NUL is the abstract name space. */
export interface UnixConnectAddress {
  /** Bytes where it is not UTF-8. */
  path: string | Uint8Array;
}

/** Where a connection comes from: an IP address or a name that has some, and a port or 0 for any. */
export interface LocalAddress {
  /** An IP address of this machine, or a name that has some. */
  host: string;
  /** Default 0: any. */
  port?: number;
}

/** What a client takes beside its address. */
export interface ConnectOptions extends StreamOptions {
  /** How long the connect may take, names and all attempts together. Default 20 s; 0 for no limit. */
  connectTimeout?: number;
  /** RFC 8305: how long one attempt stands alone before the next address is tried beside it. Default 250 ms. */
  connectionAttemptDelay?: number;
  /** Bind to this address first; those of the server that are of another family are left out. (EventMachine's bind_connect.) */
  localAddress?: LocalAddress;
  /** Calls the connect off; the connection ends with reason `connect-aborted`. Without effect once it is open. */
  signal?: AbortSignal;
  /**
   * Begin with this PROXY protocol header, in clear and before TLS, to tell the server whom the connection is made for. `reconnect` begins with it
   * again unless its own address says otherwise. Default: none.
   */
  proxyHeader?: ProxyHeaderOptions;
  /**
   * Begin with TLS: true for a client with all defaults, a context, or how to start. `reconnect` begins with it again unless its own
   * address says otherwise. Default: none.
   */
  tls?: ClientTls;
}

/** The address and the options of a client, in one object. */
export type ConnectAddress = (InetConnectAddress | UnixConnectAddress) & ConnectOptions;

/** Stream options as a connection keeps them: checked, complete, shared by all connections made the same way. */
export interface StreamSettings {
  readonly halfOpen: boolean;
  readonly highWaterMark: number;
  readonly lowWaterMark: number;
  readonly outboundLimit: number;
  readonly lingerTimeout: number;
  readonly commInactivityTimeout: number;
  readonly firstByteTimeout: number;
  readonly readTimeout: number;
  readonly writeTimeout: number;
  readonly lifetimeTimeout: number;
  readonly socket: SocketOptions;
}

export interface ListenSettings {
  readonly backlog: number;
  readonly reusePort: boolean;
  readonly ipv6Only: boolean;
  readonly maxConnections: number;
  readonly whenFull: "pause" | "close";
  readonly acceptQuota: number;
  readonly maxHandshakes: number;
  readonly proxyProtocol: ProxyTrust | undefined;
}

/** `ProxyProtocolOptions`, checked. */
export interface ProxyTrust {
  readonly from: AddressList;
  readonly untrusted: "close" | "direct";
  readonly timeout: number;
}

export interface DialSettings {
  readonly connectTimeout: number;
  readonly attemptDelay: number;
  readonly localAddress: { readonly host: string; readonly port: number } | undefined;
  readonly signal: AbortSignal | undefined;
}

export function checkUnixPath(path: unknown): UnixName {
  if (typeof path !== "string" && !(path instanceof Uint8Array)) {
    throw new ArgumentError(`path must be a string, or bytes in a Uint8Array, not ${describe(path)}`);
  }
  if (path.length === 0) throw new ArgumentError("path must not be empty");
  if (typeof path === "string" && /\p{Surrogate}/u.test(path)) {
    throw new ArgumentError(`path must be well-formed text, without lone surrogates, not ${describe(path)}`);
  }
  const name = typeof path === "string" ? path : unixName(path);
  const bytes = unixNameBytes(name);
  const isAbstract = isAbstractName(name);
  if (!isAbstract && bytes.includes(0)) throw new ArgumentError(`path must not contain a NUL: ${describe(path)}`);
  const most = isAbstract ? MAX_ABSTRACT_NAME : MAX_UNIX_PATH;
  if (bytes.length > most) {
    throw new ArgumentError(
      isAbstract
        ? `path must fit a socket address: at most ${most} bytes with the leading NUL, not ${bytes.length}`
        : `path must fit a socket address: at most ${most} bytes, not ${bytes.length}`,
      "ERR_EM_PATH_TOO_LONG",
    );
  }
  return name;
}

type StreamValues = ReturnType<typeof readOptions<typeof STREAM>>;

const NO_STREAM_OPTIONS = readOptions(STREAM, {});
const NO_SOCKET_OPTIONS = readOptions(SOCKET, {});
const DEFAULT_SOCKET = socketOptions(NO_SOCKET_OPTIONS);
const DEFAULTS = streamSettings(NO_STREAM_OPTIONS, DEFAULT_SOCKET);

/** Where nothing is given the result is the same object each time. */
export function checkStreamOptions(options: StreamOptions): StreamSettings {
  const values = readOptions(STREAM, options);
  const socketValues = readOptions(SOCKET, options);
  const socket = socketValues === NO_SOCKET_OPTIONS ? DEFAULT_SOCKET : socketOptions(socketValues);
  if (values === NO_STREAM_OPTIONS && socket === DEFAULT_SOCKET) return DEFAULTS;
  return streamSettings(values, socket);
}

function streamSettings(given: StreamValues, socket: SocketOptions): StreamSettings {
  const { allowHalfOpen, lowWaterMark, ...values } = given;
  const low = lowWaterMark ?? Math.min(LOW_WATER_MARK, values.highWaterMark);
  checkWaterMarks(low, values.highWaterMark);
  return { ...values, halfOpen: allowHalfOpen, lowWaterMark: low, socket };
}

export function checkWaterMarks(low: number, high: number): void {
  if (low > high) throw new ArgumentError(`lowWaterMark (${low}) must not be above highWaterMark (${high})`);
}

/** Those that were given, and those that are set without being asked for. */
function socketOptions(values: ReturnType<typeof readOptions<typeof SOCKET>>): SocketOptions {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

export function checkListenOptions(options: ServerOptions): ListenSettings {
  return readOptions(LISTEN, options);
}

export function checkConnectOptions(options: ConnectOptions): DialSettings {
  const { connectionAttemptDelay: attemptDelay, connectTimeout, localAddress, signal } = readOptions(DIAL, options);
  return { connectTimeout, attemptDelay, localAddress, signal };
}

export type ServerTarget =
  | { host: string | undefined; port: number }
  | { path: UnixName; mode: number | undefined }
  | { fd: number };

export function checkServerAddress(address: InetServerAddress | UnixServerAddress): ServerTarget {
  checkObject(address, "address");
  if (isPath(address)) {
    const { mode } = address;
    if (mode !== undefined && checkInteger(mode, "mode", 0) > 0o777) {
      throw new ArgumentError(`mode must be permission bits from 0 to 0o777, not 0o${mode.toString(8)}`);
    }
    const path = checkUnixPath(address.path);
    if (mode !== undefined && isAbstractName(path)) {
      throw new ArgumentError("mode is a file's: an abstract name has no permissions, anybody may connect to it");
    }
    return { path, mode };
  }
  return {
    host: address.host === undefined ? undefined : checkHost(address.host),
    port: checkPort(address.port, 0),
  };
}

export type ConnectTarget = { host: string; port: number } | { path: UnixName };

export function checkConnectAddress(address: InetConnectAddress | UnixConnectAddress): ConnectTarget {
  checkObject(address, "address");
  if (isPath(address)) return { path: checkUnixPath(address.path) };
  return { host: checkHost(address.host), port: checkPort(address.port, 1) };
}

/** Whether an address is a Unix socket's. */
function isPath<A extends { path: string | Uint8Array }>(address: A | { host?: string; port: number }): address is A {
  if (!("path" in address)) return false;
  const { host, port } = address as { host?: unknown; port?: unknown };
  if (host === undefined && port === undefined) return true;
  throw new ArgumentError("address must have a path or a port, not both");
}
