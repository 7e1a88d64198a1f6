import type { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { describe } from "../base/describe.js";
import { ArgumentError, TlsError } from "../base/errors.js";
import { checkNames, type Names } from "../base/known_names.js";
import {
  MAX_CERTIFICATE_CHAIN,
  MAX_CLIENT_HELLO,
  MAX_KEY_UPDATES,
  MAX_TIMER_DELAY,
  TLS_HANDSHAKE_TIMEOUT,
  TLS_SESSION_CACHE_SIZE,
  TLS_SESSION_TIMEOUT,
} from "../base/limits.js";
import type { TlsContextSettings, TlsIdentity, TlsVersion } from "../engine/tls.js";
import { readDhParameters } from "./dh_parameters.js";
import { keyKind, readIdentity, type TlsIdentityOptions } from "./identity.js";
import { readMaterial, type TlsMaterial } from "./material.js";
import { sessionId } from "./session_id.js";
import { readTrust, type TlsAuthorities } from "./trust.js";

/** Everything a context is made of but its names. Times in milliseconds. */
export interface TlsSettingsOptions extends Partial<TlsIdentityOptions> {
  /** Further identities, one for each kind of key (RSA, ECDSA, …): the peer's abilities decide which is shown. */
  identities?: readonly TlsIdentityOptions[];
  /** Whom to trust. Default: what Node trusts. A server that asks for client certificates has to say. */
  ca?: TlsAuthorities;
  /** The oldest version to speak. Default "TLSv1.2". (ssl_version.) */
  minVersion?: TlsVersion;
  /** The newest version to speak. Default "TLSv1.3". (ssl_version.) */
  maxVersion?: TlsVersion;
  /** Cipher suites of TLS 1.2 and below, in OpenSSL's notation. Default: those with forward secrecy and AEAD. (cipher_list.) */
  ciphers?: string;
  /** Cipher suites of TLS 1.3. Default: OpenSSL's. */
  cipherSuites?: string;
  /** Whether a server goes by its own order of suites. Default true. */
  preferServerCiphers?: boolean;
  /** Groups for the key exchange, in order, separated by colons. Default, and "auto": OpenSSL's. (ecdh_curve.) */
  curves?: string;
  /** Parameters for DHE suites: "auto", or PEM. Default: no DHE. (dhparam.) */
  dhParameters?: "auto" | TlsMaterial;
  /** Application protocols, the preferred one first (RFC 7301); their names are bytes, one character for each. A server refuses a client that offers none of them. */
  alpn?: readonly string[];
  /** Server: ask the client for a certificate. Default false, or what `requireCertificate` says. (verify_peer.) */
  requestCertificate?: boolean;
  /** Server: refuse a client that shows none. Default false. (fail_if_no_peer_cert.) */
  requireCertificate?: boolean;
  /**
   * Fail the handshake when the peer's certificate does not hold. Default true. With false the connection is secured all the
   * same, and `sslVerifyPeer` may still refuse; whoever is at the other end is then unproven.
   */
  rejectUnauthorized?: boolean;
  /** Session tickets (RFC 5077). Default true. */
  sessionTickets?: boolean;
  /** Keys of 48 bytes for session tickets, shared by servers that resume each other's sessions. Default: random ones. */
  ticketKeys?: readonly Uint8Array[];
  /** How long a session can be resumed. Default 5 minutes; at most 7 days (RFC 8446 section 4.6.1). */
  sessionTimeout?: number;
  /**
   * Sessions are resumed only in contexts with the same id that demand the same of the client and trust the same authorities. At
   * most 32 bytes. Default: made of the identities.
   */
  sessionIdContext?: string;
  /** Client: the most sessions kept for resumption. Default 256; 0 for none. */
  sessionCacheSize?: number;
  /** Server: the OCSP response to staple, DER. */
  ocspResponse?: Uint8Array;
  /** Client: ask for one. Default false. */
  requestOcsp?: boolean;
  /** Gets every line of the NSS key log, which opens the traffic to whoever has it: for debugging. */
  keyLog?: (line: string) => void;
  /** Server: the longest hello a client may send, in bytes, from 1,024 to 131,072. Default 16 KiB. Capability `tlsBounds`. */
  maxClientHello?: number;
  /** The longest certificate chain the peer may show, in bytes, from 1,024 to 1,048,576. Default 32 KiB. Capability `tlsBounds`. */
  maxCertificateChain?: number;
  /** How many KeyUpdates (TLS 1.3) the peer may send in a second, from 1 to 1,000,000. Default 32. Capability `tlsBounds`. */
  maxKeyUpdates?: number;
  /** How long a handshake may take, certificates' lookups included. Default 20 s; 0 for no limit. */
  handshakeTimeout?: number;
}

const IDENTITY: Names<TlsIdentityOptions> = { cert: true, key: true, passphrase: true };

export const SETTINGS: Names<TlsSettingsOptions> = {
  ...IDENTITY,
  identities: true,
  ca: true,
  minVersion: true,
  maxVersion: true,
  ciphers: true,
  cipherSuites: true,
  preferServerCiphers: true,
  curves: true,
  dhParameters: true,
  alpn: true,
  requestCertificate: true,
  requireCertificate: true,
  rejectUnauthorized: true,
  sessionTickets: true,
  ticketKeys: true,
  sessionTimeout: true,
  sessionIdContext: true,
  sessionCacheSize: true,
  ocspResponse: true,
  requestOcsp: true,
  keyLog: true,
  maxClientHello: true,
  maxCertificateChain: true,
  maxKeyUpdates: true,
  handshakeTimeout: true,
};

/** The options, checked. */
export interface CheckedOptions {
  /** As a client needs them; a server needs the trust only where it asks for certificates. */
  readonly settings: TlsContextSettings;
  readonly leaves: readonly X509Certificate[];
  /** Whether `ca` was given. */
  readonly namesTrust: boolean;
  /** Whether any of the bounds that need the capability `tlsBounds` was given. */
  readonly namesBounds: boolean;
  readonly sessionCacheSize: number;
  readonly keyLog: ((line: string) => void) | undefined;
  readonly handshakeTimeout: number;
}

const VERSIONS: readonly TlsVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/** Forward secrecy and authenticated encryption, nothing else. */
export const DEFAULT_CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "DHE-RSA-AES128-GCM-SHA256",
  "DHE-RSA-AES256-GCM-SHA384",
  "DHE-RSA-CHACHA20-POLY1305",
].join(":");

const TICKET_KEY_SIZE = 48;
const MAX_TICKET_KEYS = 16;
const MAX_SESSION_TIMEOUT = 604_800_000;

export function checkTlsSettings(options: TlsSettingsOptions): CheckedOptions {
  const { identities, leaves } = readIdentities(options);
  const minVersion = version(options.minVersion, "minVersion", "TLSv1.2");
  const maxVersion = version(options.maxVersion, "maxVersion", "TLSv1.3");
  if (VERSIONS.indexOf(minVersion) > VERSIONS.indexOf(maxVersion)) {
    throw new ArgumentError(`minVersion (${minVersion}) must not be above maxVersion (${maxVersion})`);
  }
  const requireCertificate = flag(options.requireCertificate, "requireCertificate", false);
  const requestCertificate = flag(options.requestCertificate, "requestCertificate", requireCertificate);
  if (requireCertificate && !requestCertificate) {
    throw new ArgumentError("requireCertificate is true, and so requestCertificate must not be false");
  }
  const trust = readTrust(options.ca);
  const { sessionCacheSize = TLS_SESSION_CACHE_SIZE, keyLog } = options;
  if (!Number.isSafeInteger(sessionCacheSize) || sessionCacheSize < 0) {
    throw new ArgumentError(`sessionCacheSize must be a whole number of at least 0, not ${describe(sessionCacheSize)}`);
  }
  if (keyLog !== undefined && typeof keyLog !== "function") {
    throw new ArgumentError(`keyLog must be a function, not ${describe(keyLog)}`);
  }
  const demands = {
    identities,
    trust,
    requestCertificate,
    requireCertificate,
    rejectUnauthorized: flag(options.rejectUnauthorized, "rejectUnauthorized", true),
  };
  const settings: TlsContextSettings = {
    ...demands,
    minVersion,
    maxVersion,
    ciphers: text(options.ciphers, "ciphers") ?? DEFAULT_CIPHERS,
    cipherSuites: text(options.cipherSuites, "cipherSuites"),
    preferServerCiphers: flag(options.preferServerCiphers, "preferServerCiphers", true),
    curves: options.curves === "auto" ? undefined : text(options.curves, "curves"),
    dhParameters:
      options.dhParameters === undefined || options.dhParameters === "auto"
        ? options.dhParameters
        : readDhParameters(readMaterial(options.dhParameters, "dhParameters"), "dhParameters"),
    alpn: checkAlpn(options.alpn),
    sessionTickets: flag(options.sessionTickets, "sessionTickets", true),
    ticketKeys: options.ticketKeys === undefined ? [] : checkTicketKeys(options.ticketKeys),
    sessionTimeout: Math.ceil(
      duration(options.sessionTimeout, "sessionTimeout", TLS_SESSION_TIMEOUT, MAX_SESSION_TIMEOUT) / 1000,
    ),
    sessionIdContext: sessionId(options.sessionIdContext, demands),
    reportSessions: sessionCacheSize > 0,
    keyLog: keyLog !== undefined,
    maxClientHello: bound(options.maxClientHello, "maxClientHello", MAX_CLIENT_HELLO, 1024, 131_072),
    maxCertificateChain: bound(
      options.maxCertificateChain,
      "maxCertificateChain",
      MAX_CERTIFICATE_CHAIN,
      1024,
      1_048_576,
    ),
    maxKeyUpdates: bound(options.maxKeyUpdates, "maxKeyUpdates", MAX_KEY_UPDATES, 1, 1_000_000),
    staple: options.ocspResponse === undefined ? undefined : checkOcspResponse(options.ocspResponse),
    requestStaple: flag(options.requestOcsp, "requestOcsp", false),
  };
  checkWithOpenSsl(settings);
  return {
    settings,
    leaves,
    namesTrust: options.ca !== undefined,
    namesBounds: [options.maxClientHello, options.maxCertificateChain, options.maxKeyUpdates].some(
      (each) => each !== undefined,
    ),
    sessionCacheSize,
    keyLog,
    handshakeTimeout: duration(options.handshakeTimeout, "handshakeTimeout", TLS_HANDSHAKE_TIMEOUT),
  };
}

function readIdentities(options: TlsSettingsOptions): { identities: TlsIdentity[]; leaves: X509Certificate[] } {
  const { identities: more = [] } = options;
  if (!Array.isArray(more)) throw new ArgumentError(`identities must be an array, not ${describe(more)}`);
  const found: { identity: TlsIdentity; leaf: X509Certificate }[] = [];
  if (options.cert !== undefined || options.key !== undefined) {
    found.push(readIdentity(options as TlsIdentityOptions, ""));
  } else if (options.passphrase !== undefined) {
    throw new ArgumentError("passphrase stands alone: cert and key are needed beside it");
  }
  for (const [index, each] of more.entries()) {
    if (typeof each !== "object" || each === null) {
      throw new ArgumentError(`identities[${index}] must be an object, not ${describe(each)}`);
    }
    checkNames(each, IDENTITY, `identities[${index}]`);
    found.push(readIdentity(each, `identities[${index}].`));
  }
  const kinds = new Set<string>();
  for (const { leaf } of found) {
    const kind = keyKind(leaf);
    if (kinds.has(kind))
      throw new ArgumentError(`a context takes one identity for each kind of key: there are two of ${kind}`);
    kinds.add(kind);
  }
  return { identities: found.map(({ identity }) => identity), leaves: found.map(({ leaf }) => leaf) };
}

function version(value: unknown, name: string, otherwise: TlsVersion): TlsVersion {
  if (value === undefined) return otherwise;
  const found = VERSIONS.find((each) => each === value);
  if (found !== undefined) return found;
  throw new ArgumentError(`${name} must be "TLSv1", "TLSv1.1", "TLSv1.2" or "TLSv1.3", not ${describe(value)}`);
}

function flag(value: unknown, name: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") throw new ArgumentError(`${name} must be true or false, not ${describe(value)}`);
  return value;
}

function text(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw new ArgumentError(`${name} must be a non-empty string, not ${describe(value)}`);
  }
  return value;
}

function bound(value: unknown, name: string, otherwise: number, least: number, most: number): number {
  if (value === undefined) return otherwise;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw new ArgumentError(`${name} must be a whole number from ${least} to ${most}, not ${describe(value)}`);
  }
  return value;
}

function duration(value: unknown, name: string, otherwise: number, most = MAX_TIMER_DELAY): number {
  if (value === undefined) return otherwise;
  if (typeof value !== "number" || !(value >= 0 && value <= most)) {
    throw new ArgumentError(`${name} must be milliseconds from 0 to ${most}, not ${describe(value)}`);
  }
  return value;
}

function checkAlpn(value: unknown): readonly string[] {
  if (value === undefined) return [];
  const isList = Array.isArray(value) && value.length <= 64;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the names are bytes, any of them.
  if (!isList || !value.every((each) => typeof each === "string" && /^[\x00-\xff]{1,255}$/.test(each))) {
    throw new ArgumentError(
      "alpn must be an array of at most 64 names of 1 to 255 bytes, a character up to U+00FF for each",
    );
  }
  return [...(value as string[])];
}

/** Keys as `setTicketKeys` takes them. */
export function checkTicketKeys(keys: unknown): readonly Buffer[] {
  const isList = Array.isArray(keys) && keys.length >= 1 && keys.length <= MAX_TICKET_KEYS;
  if (!isList || !keys.every((key) => key instanceof Uint8Array && key.length === TICKET_KEY_SIZE)) {
    throw new ArgumentError(`ticketKeys must be 1 to ${MAX_TICKET_KEYS} keys of ${TICKET_KEY_SIZE} bytes`);
  }
  return (keys as Uint8Array[]).map((key) => Buffer.from(key));
}

/** An OCSP response as `setOcspResponse` takes it: a DER sequence. */
export function checkOcspResponse(response: unknown): Buffer {
  if (!(response instanceof Uint8Array) || response[0] !== 0x30) {
    throw new ArgumentError(`ocspResponse must be the bytes of an OCSP response (DER), not ${describe(response)}`);
  }
  return Buffer.from(response);
}

/** What only OpenSSL knows to be right, asked before an engine is: one setting at a time, so that the error can name it. */
function checkWithOpenSsl({ identities, ciphers, cipherSuites, curves, dhParameters }: TlsContextSettings): void {
  if (ciphers !== DEFAULT_CIPHERS && ciphers !== undefined) {
    const stray = ciphers.split(/[:, ]/).find((name) => /^[!+-]?TLS_/.test(name));
    if (stray !== undefined) {
      throw new ArgumentError(`ciphers are those of TLS 1.2 and below: ${describe(stray)} belongs into cipherSuites`);
    }
    ask("ciphers", { ciphers });
  }
  for (const suite of cipherSuites?.split(":") ?? []) {
    if (!suite.startsWith("TLS_")) {
      throw new ArgumentError(`cipherSuites are those of TLS 1.3, which begin with TLS_, not ${describe(suite)}`);
    }
    // Each by itself: in a list OpenSSL passes over those it does not know.
    ask("cipherSuites", { ciphers: suite });
  }
  if (curves !== undefined) ask("curves", { ecdhCurve: curves });
  if (dhParameters instanceof Buffer) ask("dhParameters", { dhparam: dhParameters });
  for (const { certificate: cert, key, passphrase } of identities) {
    ask("cert", { cert, key, ...(passphrase === undefined ? {} : { passphrase }) });
  }
}

function ask(name: string, setting: Parameters<typeof createSecureContext>[0]): void {
  try {
    createSecureContext({ ca: [], ...setting });
  } catch (cause) {
    const { message, reason = message } = cause as Error & { reason?: string };
    throw new TlsError("ERR_EM_TLS_CONTEXT", `${name}: OpenSSL does not take it: ${message}`, { cause, reason });
  }
}
