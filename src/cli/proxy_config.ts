import { readFileSync } from "node:fs";
import {
  ArgumentError,
  type BackendOptions,
  formatAddress,
  type HealthOptions,
  type PeekedProtocol,
  type ProxyProtocolOptions,
  type ProxyServerOptions,
  parseAddress,
  type ServerAddress,
  type SocketAddress,
  TlsContext,
} from "../index.js";
import { UsageError } from "./usage_error.js";

/** Files of a certificate, PEM. */
interface CertificateFiles {
  cert: string;
  key?: string;
}

/** TLS to a backend: whom to trust, and under which name. */
interface BackendTls {
  ca?: string;
  serverName?: string;
  verifyName?: string;
}

/** Options of `startProxy` that a file has under the same name … */
const OF_THE_PROXY = [
  ...(["access", "balance", "discover", "ejection", "health", "queue", "slowStart", "connectTimeout"] as const),
  ...(["retries", "idleTimeout", "bufferSize", "peekLimit", "peekTimeout"] as const),
] as const;
/** … and as they are: in `health` a file has text where the program has bytes, too. */
type Shared = Exclude<(typeof OF_THE_PROXY)[number], "health">;

/** The file that `--config` names; docs/proxy.schema.json describes it for editors. Times in milliseconds. */
export interface ProxyConfig extends Pick<ProxyServerOptions, Shared> {
  $schema?: string;
  listen?: string | readonly string[];
  tls?: CertificateFiles;
  proxyProtocol?: ProxyProtocolOptions;
  maxConnections?: number;
  backends?: readonly (string | (Omit<BackendOptions, "tls"> & { tls?: boolean | BackendTls }))[];
  routes?: readonly {
    protocol?: PeekedProtocol | readonly PeekedProtocol[];
    serverName?: string | readonly string[];
    alpn?: string;
    host?: string | readonly string[];
    backends: readonly string[];
    tls?: CertificateFiles;
  }[];
  health?: Omit<HealthOptions, "expect"> & { expect?: string };
  /** Where figures are served; a loopback address unless `statsHosts` names others. */
  stats?: string;
  /** Names, beside loopback's, that a request for figures may be for. */
  statsHosts?: readonly string[];
  /** Write a line of JSON to standard output for each connection that has ended. */
  log?: boolean;
  drainDeadline?: number;
}

/** What is not an option of `startProxy` under the same name. */
const OWN = ["$schema", "listen", "tls", "proxyProtocol", "maxConnections", "backends", "routes"] as const;
const OF_THE_COMMAND = ["stats", "statsHosts", "log", "drainDeadline"] as const;

/** Every name that a file may have. */
export const CONFIG_NAMES: readonly (keyof ProxyConfig)[] = [...OF_THE_PROXY, ...OWN, ...OF_THE_COMMAND];
/** What a reload leaves as it is. */
export const NEEDS_RESTART = ["listen", "proxyProtocol", "maxConnections", "stats", "statsHosts"] as const;

export function readConfig(file: string): ProxyConfig {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`--config: ${(error as Error).message}`);
  }
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`);
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new UsageError(`${file} must have an object`);
  }
  return config;
}

/** What `startProxy` takes of a configuration; it checks what is not checked here. */
export function proxyOptions(config: ProxyConfig): ProxyServerOptions {
  const { listen, tls, proxyProtocol, maxConnections, backends = [], routes } = config;
  const rest = without(config, [...OWN, ...OF_THE_COMMAND]);
  const server = {
    ...(tls === undefined ? {} : { tls: contextOf(tls, "tls") }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(maxConnections === undefined ? {} : { maxConnections }),
  };
  return {
    ...rest,
    listen: addressesOf(listen).map((address): ServerAddress => ({ ...address, ...server })),
    backends: listOf(backends, "backends").map((each) => {
      if (typeof each !== "object" || each === null || each.tls === undefined) return each as string | BackendOptions;
      return { ...each, tls: backendTls(each.tls) };
    }),
    ...(routes === undefined
      ? {}
      : {
          routes: listOf(routes, "routes").map((route) => {
            const { tls: files, ...others } = route;
            return files === undefined ? others : { ...others, tls: contextOf(files, "routes.tls") };
          }),
        }),
  };
}

export function addressesOf(listen: ProxyConfig["listen"]): ReturnType<typeof parseAddress>[] {
  const given = listen === undefined ? [] : typeof listen === "string" ? [listen] : listOf(listen, "listen");
  if (given.length === 0) throw new UsageError("--listen ADDR is needed: host:port, [v6]:port, :port or unix:/path");
  return given.map((text) => parseAddress(text));
}

export function shown(address: SocketAddress): string {
  return formatAddress(address);
}

function listOf<T>(value: readonly T[], name: string): readonly T[] {
  if (!Array.isArray(value)) throw new ArgumentError(`${name} must be an array`);
  return value;
}

function contextOf(files: CertificateFiles, name: string): TlsContext {
  if (typeof files !== "object" || files === null || typeof files.cert !== "string") {
    throw new ArgumentError(`${name} must have cert, and key where that is another file`);
  }
  return new TlsContext({ cert: files.cert, ...(files.key === undefined ? {} : { key: files.key }) });
}

function backendTls(tls: boolean | BackendTls): Exclude<BackendOptions["tls"], undefined> {
  if (typeof tls !== "object" || tls === null) return tls;
  const { ca, ...names } = tls;
  return { ...names, ...(ca === undefined ? {} : { context: new TlsContext({ ca }) }) };
}

function without<T extends object, K extends keyof T>(given: T, names: readonly K[]): Omit<T, K> {
  const left = { ...given };
  for (const name of names) delete left[name];
  return left;
}
