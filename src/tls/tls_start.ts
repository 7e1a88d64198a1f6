import { describe } from "../base/describe.js";
import { ArgumentError, TlsError } from "../base/errors.js";
import { checkHost, checkName, readHost } from "../base/host_names.js";
import { defaultClientContext, TlsContext, type TlsOptions, type TlsRole } from "./tls_context.js";

/** How TLS is to begin on one connection: a context, or the options of one made for this connection alone. */
export interface TlsStartOptions extends TlsOptions {
  /** A shared context; the options it is made of must then be absent. */
  context?: TlsContext;
  /** Default: server on accepted connections, client on those that were connected. */
  role?: TlsRole;
  /** Client: the name sent as SNI; false sends none. Default: the host connected to, unless it is an IP address. (sni_hostname.) */
  serverName?: string | false;
  /**
   * Client: the host name or IP address that the certificate must be for; false checks the chain alone. Default: `serverName`
   * where that is given, else the host connected to.
   */
  verifyName?: string | false;
  /**
   * Bytes that the handler was given in clear and that belong to the TLS stream: what stood behind a PROXY header, or behind a
   * request for TLS in a protocol that does not wait for an answer.
   */
  received?: Uint8Array;
}

/** What `tls` in the options of `connect` takes: true is a client with all defaults, false is none. */
export type ClientTls = boolean | TlsContext | Omit<TlsStartOptions, "received">;

/** What `tls` in the options of `startServer` takes. */
export type ServerTls = TlsContext | TlsOptions;

/** What a start takes from where its connection comes from. */
export interface TlsPlace {
  /** The side of TLS where the options do not say; undefined where they have to. */
  readonly tlsRole: TlsRole | undefined;
  /** Whom a client was told to connect to; undefined where it was no host. */
  readonly peer: { readonly host: string; readonly port: number } | undefined;
}

/** A start of TLS, checked. */
export interface TlsPlan {
  readonly context: TlsContext;
  /** The context was made for this connection, or this listener, alone: it goes with it. */
  readonly isOwned: boolean;
  readonly role: TlsRole;
  readonly serverName: string | undefined;
  readonly verifyName: string | undefined;
  /** Under which the context keeps the client's session. */
  readonly sessionKey: string;
  readonly received: Uint8Array | undefined;
}

const OF_THE_START = new Set(["context", "role", "serverName", "verifyName", "received"]);

/** Checks what `startTls` was given on a connection of this origin. */
export function planStart(given: unknown, origin: TlsPlace): TlsPlan {
  const options = startOptions(given);
  const role = options.role ?? origin.tlsRole;
  if (role === undefined) throw new ArgumentError('role must be "server" or "client" on an adopted descriptor');
  if (role !== "server" && role !== "client") {
    throw new ArgumentError(`role must be "server" or "client", not ${describe(role)}`);
  }
  const { received } = options;
  if (received !== undefined && !(received instanceof Uint8Array)) {
    throw new ArgumentError(`received must be bytes, not ${describe(received)}`);
  }
  const found = contextOf(options, role);
  if (role === "server") {
    for (const name of ["serverName", "verifyName"] as const) {
      if (options[name] !== undefined) throw new ArgumentError(`${name} is a client's option, and the role is server`);
    }
    TlsContext.requireServer(found.context);
    return { ...found, role, serverName: undefined, verifyName: undefined, sessionKey: "", received };
  }
  const names = clientNames(options, found.context, origin.peer);
  return { ...found, ...names, role, received };
}

/** Checks the `tls` option of a server. */
export function planServer(given: unknown): TlsPlan {
  if (typeof given === "boolean") {
    throw new TlsError(
      "ERR_EM_TLS_NO_CERTIFICATE",
      `tls: ${given} is no context: a server needs a certificate, cert and key`,
    );
  }
  const options = startOptions(given);
  for (const name of ["role", "serverName", "verifyName", "received"] as const) {
    if (options[name] !== undefined) throw new ArgumentError(`${name} is not an option of a server's tls`);
  }
  return planStart(given, { tlsRole: "server", peer: undefined });
}

function startOptions(given: unknown): TlsStartOptions {
  if (given === undefined || given === true) return {};
  if (given instanceof TlsContext) return { context: given };
  if (typeof given !== "object" || given === null) {
    throw new ArgumentError(`tls must be a TlsContext or an object of options, not ${describe(given)}`);
  }
  return given;
}

function contextOf(options: TlsStartOptions, role: TlsRole): { context: TlsContext; isOwned: boolean } {
  const { context } = options;
  const others = Object.fromEntries(Object.entries(options).filter(([name]) => !OF_THE_START.has(name)));
  const [first] = Object.keys(others);
  if (context === undefined) {
    if (first === undefined && role === "client") return { context: defaultClientContext(), isOwned: false };
    return { context: new TlsContext(others), isOwned: true };
  }
  if (!(context instanceof TlsContext))
    throw new ArgumentError(`context must be a TlsContext, not ${describe(context)}`);
  if (first !== undefined) throw new ArgumentError(`${first} is the context's: it cannot be given beside one`);
  return { context, isOwned: false };
}

function clientNames(
  { serverName, verifyName }: TlsStartOptions,
  context: TlsContext,
  peer: TlsPlace["peer"],
): { serverName: string | undefined; verifyName: string | undefined; sessionKey: string } {
  const host = peer === undefined ? undefined : readHost(peer.host);
  // RFC 6066 section 3: addresses are not sent.
  const hostName = host?.family === undefined ? host?.text : undefined;
  const sent = serverName === false ? undefined : serverName === undefined ? hostName : givenName(serverName);
  const fallback = typeof serverName === "string" ? sent : host?.text;
  const checked = verifyName === false ? undefined : verifyName === undefined ? fallback : identityOf(verifyName);
  const { rejectUnauthorized } = TlsContext.insides(context).settings;
  if (checked === undefined && verifyName !== false && rejectUnauthorized) {
    throw new ArgumentError("verifyName is needed, for this connection has no host: whom the certificate must be for");
  }
  const place = peer === undefined ? "" : `${peer.host}:${peer.port}`;
  return { serverName: sent, verifyName: checked, sessionKey: `${place} ${sent ?? ""} ${checked ?? ""}` };
}

function givenName(name: unknown): string {
  if (typeof name === "string" && readHost(name)?.family !== undefined) {
    throw new ArgumentError(`serverName must be a host name, not the address ${name}: verifyName takes addresses`);
  }
  return checkName(name, "serverName");
}

/** Whom a certificate is for: a name, or an address without the zone, which only says where it is. */
function identityOf(name: unknown): string {
  return (readHost(checkHost(name, "verifyName")) as { text: string }).text;
}
