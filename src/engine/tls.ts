import type { Handle } from "./streams.js";

/**
 * The TLS facet of the contract between the reactor and its engines.
 *
 * A connection is plain until `startTls`. From then on its `write` and `data` are about what TLS carries, and nothing is
 * delivered or sent until `secured`: bytes written before wait in the queue and count as outbound. No event of this facet
 * is ever delivered from inside OpenSSL or from inside a command.
 */

/** A context of one engine; whole numbers, never used twice while the engine runs. */
export type TlsContextId = number;

/** The versions of TLS, by OpenSSL's names. Those below 1.2 take a `minVersion` that allows them. */
export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** A certificate chain, the leaf first, and its key; both PEM. */
export interface TlsIdentity {
  readonly certificate: Buffer;
  readonly key: Buffer;
  readonly passphrase?: string;
}

/** Whom to trust. An engine may keep what it makes of one for as long as the object lives: share it. */
export interface TlsTrust {
  /** PEM certificates. */
  readonly certificates: readonly (string | Buffer)[];
  /** OpenSSL's own default file and folder too. */
  readonly openSslDefaults: boolean;
  /** The above is what Node itself trusts in this process: an engine on node:tls leaves it to Node. Another object when that has changed. */
  readonly isNodeDefault: boolean;
}

/** Everything a context is made of: checked, complete, plain data. */
export interface TlsContextSettings {
  /** One for each kind of key (RSA, ECDSA) at most; empty on a client that shows none. */
  readonly identities: readonly TlsIdentity[];
  readonly trust: TlsTrust;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** TLS 1.2 and below, and TLS 1.3, in OpenSSL's notation; undefined for the defaults. */
  readonly ciphers: string | undefined;
  readonly cipherSuites: string | undefined;
  readonly preferServerCiphers: boolean;
  /** Groups in order of preference, colon-separated. */
  readonly curves: string | undefined;
  /** PEM parameters for DHE suites, or OpenSSL's own choice by key strength. */
  readonly dhParameters: Buffer | "auto" | undefined;
  readonly alpn: readonly string[];
  /** Server: ask the client for a certificate; refuse one that shows none. */
  readonly requestCertificate: boolean;
  readonly requireCertificate: boolean;
  /** A peer certificate that OpenSSL does not accept fails the handshake, with the alert that says why. */
  readonly rejectUnauthorized: boolean;
  readonly sessionTickets: boolean;
  /** Keys of 48 bytes; the first encrypts, the others still decrypt. Empty: OpenSSL's own. */
  readonly ticketKeys: readonly Buffer[];
  /** Seconds. */
  readonly sessionTimeout: number;
  /** Server: sessions are resumed only under the same one; 1 to 32 bytes. */
  readonly sessionIdContext: Buffer;
  /** The most bytes of a client's hello and of the peer's certificate chain, and key updates in a second. Capability `tlsBounds`. */
  readonly maxClientHello: number;
  readonly maxCertificateChain: number;
  readonly maxKeyUpdates: number;
  /** Client: tell of sessions by `tlsSession`. */
  readonly reportSessions: boolean;
  /** Tell of secrets by `tlsKeyLog`. */
  readonly keyLog: boolean;
  /** Server: the OCSP response to staple, DER. Client: ask for one. */
  readonly staple: Buffer | undefined;
  readonly requestStaple: boolean;
}

export interface TlsStart {
  readonly role: "server" | "client";
  readonly context: TlsContextId;
  /** Client: the name sent as SNI; undefined sends none. */
  readonly serverName: string | undefined;
  /** Client: the host name or IP address the certificate must be for; undefined checks none. */
  readonly verifyName: string | undefined;
  /** Client: the session to resume, as `tlsSession` gave it. */
  readonly session: Buffer | undefined;
  /** Server: suspend the handshake with `tlsServerName` until `answerServerName`. */
  readonly asksServerName: boolean;
  /** Hold the end of the handshake with `tlsVerify` until `answerVerify`, where the peer has shown a certificate. */
  readonly asksVerify: boolean;
  /** Bytes that the reactor took in clear and that belong to the TLS stream, ahead of what the engine reads next. */
  readonly received: Uint8Array | undefined;
}

/** What is known of a secured connection, or of one that failed after its handshake; also while `closed` is delivered. */
export interface TlsState {
  readonly protocol: TlsVersion;
  /** OpenSSL's name, IANA's name, and the strength in bits (undefined where the engine cannot know). */
  readonly cipher: { readonly name: string; readonly standardName: string; readonly bits: number | undefined };
  readonly alpnProtocol: string | undefined;
  /** What the client sent as SNI. */
  readonly serverName: string | undefined;
  readonly isSessionReused: boolean;
  /** DER, the leaf first; empty where the peer showed none. */
  readonly peerCertificates: readonly Buffer[];
  /** OpenSSL's name of what is wrong with the peer's certificate (`CERT_HAS_EXPIRED`, …); undefined where nothing is. */
  readonly verifyError: string | undefined;
  readonly staple: Buffer | undefined;
}

/** Why TLS ended a connection: asked for while `closed(tls)` is delivered. */
export interface TlsFailure {
  /**
   * `ERR_EM_TLS_HANDSHAKE` (failed, or ended by the peer), `ERR_EM_TLS_VERIFY` (the peer's certificate), `ERR_EM_TLS_PROTOCOL` (a bad record
   * after the handshake), `ERR_EM_TLS_PLAINTEXT` (clear bytes after the point where TLS starts), `ERR_EM_TLS_NO_CONTEXT`
   * (no context for the name).
   */
  readonly code: string;
  /** OpenSSL's words. */
  readonly reason: string;
  /** The name of the alert that was received or sent (`unknown_ca`, …), and which of both. */
  readonly alert: { readonly name: string; readonly from: "peer" | "local" } | undefined;
  readonly verifyError: string | undefined;
}

/** Commands: down. Those of contexts, … */
export interface TlsContextCommands {
  /** Throws TlsError with OpenSSL's words: unreadable PEM, a key that does not fit, unknown ciphers, ... */
  createTlsContext(settings: TlsContextSettings): TlsContextId;
  /** From the next handshake on. Capability `ticketKeySets` for more than one. */
  setTicketKeys(context: TlsContextId, keys: readonly Buffer[]): void;
  setStaple(context: TlsContextId, response: Buffer | undefined): void;
  /** Connections that use it keep it. */
  releaseTlsContext(context: TlsContextId): void;
}

/** … and those of connections. Capability `tls`. */
export interface TlsStreamCommands {
  /** Bytes read from an open plain connection and not delivered yet, whether because it is paused or otherwise. */
  undelivered(handle: Handle): number;
  /**
   * Begins TLS on an open plain connection, behind what is queued. Bytes read in clear and not delivered end it with
   * `closed(tls)`. `tlsServerName`, `tlsVerify`, then `secured` follow, or `closed`.
   */
  startTls(handle: Handle, start: TlsStart): void;
  /**
   * Goes on with the identities, the trust and the staple of this context, or with those TLS began with, or refuses with the
   * alert `unrecognized_name`. Everything else stays as TLS began.
   */
  answerServerName(handle: Handle, answer: TlsContextId | "same" | "refuse"): void;
  answerVerify(handle: Handle, accepted: boolean): void;
  /** Undefined before the handshake is through. */
  tlsState(handle: Handle): TlsState | undefined;
  /** While `closed(tls)` is delivered. */
  tlsFailure(handle: Handle): TlsFailure;
  /**
   * While `closed` of a secured connection is delivered: whether the peer's end came without its close_notify. Undefined where the
   * engine cannot know, or the peer did not end it.
   */
  tlsTruncated(handle: Handle): boolean | undefined;
}

export interface TlsCommands extends TlsContextCommands, TlsStreamCommands {}

/** Events: up. */
export interface TlsEvents {
  /** Server: the client's hello has come, and names a server; without a name the handshake goes on by itself. */
  tlsServerName(handle: Handle, name: string): void;
  /** The handshake is through but for our word on the peer's certificate, which `tlsState` has. */
  tlsVerify(handle: Handle): void;
  /** Data flows from here on. */
  secured(handle: Handle): void;
  tlsSession(handle: Handle, session: Buffer): void;
  /** A line of the NSS key log format, without its newline. */
  tlsKeyLog(handle: Handle, line: string): void;
}
