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
import { DIAL, LISTEN, SOCKET, STREAM } from "./table.js";

/** The names that each way to a connection or a listener takes. */

/** The names of tables' rows. */
function named<R extends object>(...tables: R[]): Readonly<Record<R extends unknown ? keyof R & string : never, true>> {
  const names = tables.flatMap((table) => Object.keys(table).map((name) => [name, true]));
  return Object.fromEntries(names);
}

const STREAM_NAMES: Names<StreamOptions> = named<typeof SOCKET | typeof STREAM>(SOCKET, STREAM);
const SERVER: Names<ServerOptions> = { ...STREAM_NAMES, ...named(LISTEN), tls: true };
const CONNECT: Names<ConnectOptions> = { ...STREAM_NAMES, ...named(DIAL), proxyHeader: true, tls: true };

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

export const OPEN_KEYBOARD: Names<{ raw: boolean } | StreamOptions | Made> = {
  raw: true,
  onConnection: true,
  ...STREAM_NAMES,
};

export const ATTACH: Names<{ fd: number; tls: ClientTls } | StreamOptions | Made> = {
  fd: true,
  onConnection: true,
  tls: true,
  ...STREAM_NAMES,
};

export const FROM_DUPLEX: Names<{ duplex: unknown; tls: unknown } | StreamOptions | Made> = {
  onConnection: true,
  duplex: true,
  tls: true,
  ...STREAM_NAMES,
};

export const WATCH: Names<{ fd: unknown; notifiesReadable: unknown; notifiesWritable: unknown } | Made> = {
  fd: true,
  notifiesReadable: true,
  notifiesWritable: true,
  onConnection: true,
};
