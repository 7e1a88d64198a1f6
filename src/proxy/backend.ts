import { checkPort, formatAddress, parseAddress } from "../base/addresses.js";
import { checkCount, checkInteger, checkObject } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkHost } from "../base/host_names.js";
import { checkNames, type Names } from "../base/known_names.js";
import { checkUnixPath } from "../options/options.js";
import type { ClientTls } from "../tls/tls_start.js";

/** Where connections may be passed on to. */
export interface BackendOptions {
  /** Its host, an IP address or a name; with `port`. */
  host?: string;
  /** Its port, from 1. */
  port?: number;
  /** Its Unix socket, in place of host and port. */
  path?: string;
  /** What it is called in hooks, logs and figures. Default: its address, as `formatAddress` writes it. */
  name?: string;
  /** Its share beside the others', from 1 to 256. Default 1. */
  weight?: number;
  /** Most connections to it at a time; further ones go elsewhere, or wait. Default none. */
  maxConnections?: number;
  /** Speak TLS to it: what `connect` takes as `tls`. Default: none. */
  tls?: ClientTls;
  /** Begin with a PROXY protocol header of this version, which tells it who the client is. Default: none. */
  proxyProtocol?: 1 | 2;
}

/** Addresses such as `127.0.0.1:6379` and `unix:/run/app.sock`, or objects. */
export type BackendList = readonly (string | BackendOptions)[];

const OPTIONS: Names<BackendOptions> = {
  host: true,
  port: true,
  path: true,
  name: true,
  weight: true,
  maxConnections: true,
  tls: true,
  proxyProtocol: true,
};

/** How a backend stands: `up`; `down` by its checks; `ejected` for failed connects; `removed`, with connections left. */
export type BackendState = "up" | "down" | "ejected" | "removed";

/** Figures of one backend. */
export interface BackendStatus {
  /** What it is called. */
  readonly name: string;
  /** How it stands. */
  readonly state: BackendState;
  /** Its share beside the others'. */
  readonly weight: number;
  /** Connections to it now, those under way included. */
  readonly active: number;
  /** Connections that were opened to it so far. */
  readonly opened: number;
  /** Connects to it that failed. */
  readonly failed: number;
  /** Bytes that clients sent to it, and that it sent to them, of connections that have ended. */
  readonly bytesIn: number;
  /** See `bytesIn`. */
  readonly bytesOut: number;
}

export type BackendTarget = { host: string; port: number } | { path: string };

/** One backend: where it is, and how it has done. */
export class Backend {
  readonly name: string;
  readonly target: BackendTarget;
  readonly weight: number;
  readonly maxConnections: number;
  readonly tls: ClientTls | undefined;
  readonly proxyProtocol: 1 | 2 | undefined;

  active = 0;
  opened = 0;
  failed = 0;
  bytesIn = 0;
  bytesOut = 0;

  /** By its checks. */
  isUp = true;
  isRemoved = false;
  /** Failed connects since the last that did not. */
  failures = 0;
  /** How often in a row it was ejected, and until when. */
  ejections = 0;
  ejectedUntil = Number.NEGATIVE_INFINITY;
  /** Its time out is over, and one connect tries it. */
  isTried = false;
  /** When it came back, for the slow start. */
  backAt = Number.NEGATIVE_INFINITY;
  /** Of the smooth round robin. */
  current = 0;

  constructor(given: string | BackendOptions) {
    const options = typeof given === "string" ? readBackend(given) : given;
    checkObject(options, "backend");
    checkNames(options, OPTIONS, "backend");
    const { name, weight = 1, maxConnections = Number.POSITIVE_INFINITY, tls, proxyProtocol } = options;
    this.target = targetOf(options);
    if (name !== undefined && (typeof name !== "string" || name === "")) {
      throw new ArgumentError(`backend.name must be a string that is not empty, not ${describe(name)}`);
    }
    if (proxyProtocol !== undefined && proxyProtocol !== 1 && proxyProtocol !== 2) {
      throw new ArgumentError(`backend.proxyProtocol must be 1 or 2, not ${describe(proxyProtocol)}`);
    }
    this.name = name ?? shownTarget(this.target);
    this.weight = checkInteger(weight, "backend.weight", 1, 256);
    this.maxConnections = checkCount(maxConnections, "backend.maxConnections", 1);
    this.tls = tls === false ? undefined : tls;
    this.proxyProtocol = proxyProtocol;
  }

  state(now: number): BackendState {
    if (this.isRemoved) return "removed";
    if (!this.isUp) return "down";
    return this.isEjected(now) ? "ejected" : "up";
  }

  isEjected(now: number): boolean {
    return this.ejections > 0 && now < this.ejectedUntil;
  }

  /** Whether it can be given a connection, now or when there is room. */
  isServing(now: number): boolean {
    return !this.isRemoved && this.isUp && !this.isEjected(now);
  }

  /** Whether it can be given one now. Of one that was ejected a single connect finds out how it is. */
  takes(now: number): boolean {
    return this.isServing(now) && this.active < this.maxConnections && !(this.ejections > 0 && this.isTried);
  }

  status(now: number): BackendStatus {
    const { name, weight, active, opened, failed, bytesIn, bytesOut } = this;
    return { name, state: this.state(now), weight, active, opened, failed, bytesIn, bytesOut };
  }
}

function readBackend(text: string): BackendOptions {
  const address = parseAddress(text);
  if ("path" in address) return address;
  if (address.host === undefined) throw new ArgumentError(`backend ${JSON.stringify(text)} must have a host`);
  return { host: address.host, port: address.port };
}

function targetOf({ host, port, path }: BackendOptions): BackendTarget {
  if (path === undefined) return { host: checkHost(host, "backend.host"), port: checkPort(port, 1, "backend.port") };
  if (host !== undefined || port !== undefined) {
    throw new ArgumentError("backend must have a path, or a host and a port, not both");
  }
  checkUnixPath(path);
  return { path };
}

function shownTarget(target: BackendTarget): string {
  if ("path" in target) return formatAddress({ family: "unix", path: target.path });
  return target.host.includes(":") ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
}
