import type { Names } from "../base/known_names.js";
import type { ClientTls } from "../tls/tls_start.js";
import type {
  ConnectOptions,
  InetConnectAddress,
  InetServerAddress,
  ServerOptions,
  StreamOptions,
  UnixConnectAddress,
  UnixServerAddress,
} from "./options.js";

/** The names that each way to a connection or a listener takes. */

const STREAM: Names<StreamOptions> = {
  noDelay: true,
  keepAlive: true,
  allowHalfOpen: true,
  highWaterMark: true,
  lowWaterMark: true,
  outboundLimit: true,
  lingerTimeout: true,
  commInactivityTimeout: true,
  firstByteTimeout: true,
  readTimeout: true,
  writeTimeout: true,
  lifetimeTimeout: true,
  receiveBufferSize: true,
  sendBufferSize: true,
  tcpUserTimeout: true,
};

const SERVER: Names<ServerOptions> = {
  ...STREAM,
  backlog: true,
  reusePort: true,
  ipv6Only: true,
  maxConnections: true,
  whenFull: true,
  acceptQuota: true,
  tls: true,
  maxHandshakes: true,
};

const CONNECT: Names<ConnectOptions> = {
  ...STREAM,
  connectTimeout: true,
  connectionAttemptDelay: true,
  localAddress: true,
  signal: true,
  tls: true,
};

/** Of every call that makes connections of a class. */
interface Made {
  onConnection: unknown;
}

/** `family` comes with an address that a connection or a listener has told. */
interface Told {
  family: unknown;
}

export const START_SERVER: Names<InetServerAddress | UnixServerAddress | ServerOptions | Told | Made> = {
  family: true,
  onConnection: true,
  host: true,
  port: true,
  path: true,
  mode: true,
  ...SERVER,
};

export const ATTACH_SERVER: Names<{ fd: number } | ServerOptions | Made> = { fd: true, onConnection: true, ...SERVER };

export const CONNECT_TO: Names<InetConnectAddress | UnixConnectAddress | ConnectOptions | Told | Made> = {
  family: true,
  onConnection: true,
  host: true,
  port: true,
  path: true,
  ...CONNECT,
};

export const ATTACH: Names<{ fd: number; tls: ClientTls } | StreamOptions | Made> = {
  fd: true,
  onConnection: true,
  tls: true,
  ...STREAM,
};

export const FROM_DUPLEX: Names<{ duplex: unknown; tls: unknown } | StreamOptions | Made> = {
  onConnection: true,
  duplex: true,
  tls: true,
  ...STREAM,
};
