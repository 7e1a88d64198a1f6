import { checkFunction, checkObject } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkName } from "../base/host_names.js";
import { checkNames, type Names } from "../base/known_names.js";
import { type Peeked, type PeekedProtocol, PROTOCOLS, peeked, peekProtocol } from "../codecs/peek/peek.js";
import { TlsContext } from "../tls/tls_context.js";

/** Where clients go whose first bytes show all of this; of several routes the first that fits. */
export interface RouteOptions {
  /** The protocol, or several. Default any. */
  protocol?: PeekedProtocol | readonly PeekedProtocol[];
  /** The host that TLS asks for, `*.example.com` for any label in its first place; or several. Default any, and none. */
  serverName?: string | readonly string[];
  /** A protocol that the client offers inside TLS. Default any, and none. */
  alpn?: string;
  /** The host of the first request of HTTP/1, as `serverName`. Default any, and none. */
  host?: string | readonly string[];
  /** Whether these bytes are for this route: asked when everything else fits. */
  matches?: (bytes: Buffer, peeked: Peeked) => boolean;
  /** The names of the backends that serve it, less those of other routes' clients. */
  backends: readonly string[];
  /** Terminate TLS with this context. Default: the backend does. */
  tls?: TlsContext;
}

/** A route, checked. */
export interface Route {
  readonly names: ReadonlySet<string>;
  readonly tls: TlsContext | undefined;
}

const ROUTE: Names<RouteOptions> = {
  protocol: true,
  serverName: true,
  alpn: true,
  host: true,
  matches: true,
  backends: true,
  tls: true,
};

type Rule = Route & { readonly fits: (bytes: Buffer, peeked: Peeked) => boolean };

/** Decides by the first bytes of a client where it goes. */
export class Router {
  readonly #rules: readonly Rule[];
  readonly #serving: ReadonlySet<string>;

  constructor(routes: readonly RouteOptions[]) {
    if (!Array.isArray(routes)) throw new ArgumentError(`routes must be an array, not ${describe(routes)}`);
    this.#rules = routes.map(ruleOf);
    this.#serving = new Set(this.#rules.flatMap(({ names }) => [...names]));
  }

  /** What fits none goes to the backends that no route names. */
  isForOthers(name: string): boolean {
    return !this.#serving.has(name);
  }

  /** Undefined while the bytes do not show enough; `isLate`: there will be no more. */
  decide(bytes: Buffer, isLate: boolean): { readonly peeked: Peeked; readonly route: Route | undefined } | undefined {
    const found = peekProtocol(bytes) ?? (isLate ? peeked(bytes.length === 0 ? "none" : "unknown") : undefined);
    if (found === undefined) return undefined;
    return { peeked: found, route: this.#rules.find(({ fits }) => fits(bytes, found)) };
  }
}

function ruleOf(given: RouteOptions): Rule {
  checkObject(given, "routes");
  checkNames(given, ROUTE, "routes");
  const { protocol, serverName, alpn, host, matches, backends, tls } = given;
  const protocols = protocol === undefined ? undefined : [protocol].flat();
  for (const each of protocols ?? []) {
    if (PROTOCOLS.includes(each as PeekedProtocol)) continue;
    throw new ArgumentError(`routes.protocol must be one of ${PROTOCOLS.join(", ")}, not ${describe(each)}`);
  }
  if (alpn !== undefined && typeof alpn !== "string") {
    throw new ArgumentError(`routes.alpn must be a string, not ${describe(alpn)}`);
  }
  if (matches !== undefined) checkFunction(matches, "routes.matches");
  if (tls !== undefined && !(tls instanceof TlsContext)) {
    throw new ArgumentError(`routes.tls must be a TlsContext, not ${describe(tls)}`);
  }
  if (!Array.isArray(backends) || backends.length === 0 || !backends.every((name) => typeof name === "string")) {
    throw new ArgumentError(`routes.backends must be names of backends, not ${describe(backends)}`);
  }
  const isServer = namesOf(serverName, "routes.serverName");
  const isHost = namesOf(host, "routes.host");
  return {
    names: new Set(backends),
    tls,
    fits: (bytes, found) =>
      (protocols === undefined || protocols.includes(found.protocol)) &&
      (isServer === undefined || isServer(found.serverName)) &&
      (isHost === undefined || isHost(found.host)) &&
      (alpn === undefined || found.alpn.includes(alpn)) &&
      (matches === undefined || matches(bytes, found) === true),
  };
}

function namesOf(
  given: string | readonly string[] | undefined,
  option: string,
): ((name: string | undefined) => boolean) | undefined {
  if (given === undefined) return undefined;
  const exact = new Set<string>();
  const tails: string[] = [];
  for (const name of [given].flat()) {
    if (typeof name === "string" && name.startsWith("*.")) tails.push(`.${checkName(name.slice(2), option)}`);
    else exact.add(checkName(name, option));
  }
  return (name) => {
    if (name === undefined) return false;
    if (exact.has(name)) return true;
    const dot = name.indexOf(".");
    return dot > 0 && tails.includes(name.slice(dot));
  };
}
