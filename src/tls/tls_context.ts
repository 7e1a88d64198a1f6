import type { X509Certificate } from "node:crypto";
import { inspect } from "node:util";
import { describe } from "../base/describe.js";
import { ArgumentError, TlsError } from "../base/errors.js";
import { checkNames, type Names } from "../base/known_names.js";
import type { TlsContextSettings, TlsTrust } from "../engine/tls.js";
import { oneLine } from "./identity.js";
import { ServerNames } from "./server_names.js";
import { SessionCache } from "./session_cache.js";
import { renewedSessionId } from "./session_id.js";
import {
  type CheckedOptions,
  checkOcspResponse,
  checkTicketKeys,
  checkTlsSettings,
  SETTINGS,
  type TlsSettingsOptions,
} from "./tls_options.js";
import { currentTrust, NO_TRUST } from "./trust.js";

/** Which side of TLS a connection takes. */
export type TlsRole = "server" | "client";

/** What a lookup of a server name comes to: another context, undefined to go on as TLS began, null to refuse the client. */
export type SelectedContext = TlsContext | undefined | null;

/**
 * What a context is made of.
 *
 * ```ts
 * const served = new TlsContext({
 *   cert: await readFile("server.crt"),
 *   key: await readFile("server.key"),
 *   contexts: { "*.example.org": { cert: await readFile("org.crt"), key: await readFile("org.key") } },
 *   alpn: ["h2", "http/1.1"],
 * });
 * ```
 */
export interface TlsOptions extends TlsSettingsOptions {
  /**
   * Server: contexts by the name the client asks for, exact or `*.example.com`. Of such a context the identities, the trust and
   * the OCSP response count; everything else stays as TLS began. One that demands more of clients than the server's own is an
   * ArgumentError.
   */
  contexts?: Readonly<Record<string, TlsContext | TlsSettingsOptions>>;
  /** Server: is asked for names that `contexts` does not have; may return a promise, and the handshake waits for it. */
  selectContext?: (serverName: string) => SelectedContext | PromiseLike<SelectedContext>;
}

const OPTIONS: Names<TlsOptions> = { ...SETTINGS, contexts: true, selectContext: true };

/** What an engine made of a context, which has to hear of what changes. */
export interface ContextUse {
  readonly isClosed: boolean;
  /** Whether the engine reads tickets of older keys. Throws UnsupportedError where it does not. */
  requireTicketKeySets(): void;
  setTicketKeys(keys: readonly Buffer[]): void;
  setStaple(response: Buffer | undefined): void;
}

/** What the reactor needs of a context. @internal */
export interface ContextInsides extends CheckedOptions {
  readonly sessions: SessionCache;
  readonly uses: Set<ContextUse>;
  readonly names: ServerNames<TlsContext>;
  readonly selectContext: TlsOptions["selectContext"];
  settingsFor(role: TlsRole): TlsContextSettings;
  /** Whom it trusts now, in that role: another object when that has changed. */
  trustFor(role: TlsRole): TlsTrust;
}

/**
 * Keys, certificates and rules of TLS, read and checked once and shared by any number of servers, clients and reactors: make
 * it once, for what engines derive of it and the sessions that can be resumed live with it. Nothing of it changes but
 * the ticket keys and the OCSP response; to serve another certificate, make another one and call `listener.setTlsContext`.
 */
export class TlsContext {
  readonly #checked: CheckedOptions;
  readonly #insides: ContextInsides;
  #ticketKeys: readonly Buffer[];
  #staple: Buffer | undefined;

  /**
   * Reads the files that are named, synchronously. Throws ArgumentError for a value it cannot take, and TlsError:
   * `ERR_EM_TLS_FILE`, `ERR_EM_TLS_BAD_CERTIFICATE`, `ERR_EM_TLS_BAD_KEY`, `ERR_EM_TLS_KEY_MISMATCH`,
   * `ERR_EM_TLS_NO_CERTIFICATE`, `ERR_EM_TLS_SYSTEM_CA`, and `ERR_EM_TLS_CONTEXT` for what OpenSSL does not take.
   */
  constructor(options: TlsOptions = {}) {
    if (typeof options !== "object" || options === null) {
      throw new ArgumentError(`options must be an object, not ${describe(options)}`);
    }
    checkNames(options, OPTIONS, "options");
    this.#checked = checkTlsSettings(options);
    this.#ticketKeys = this.#checked.settings.ticketKeys;
    this.#staple = this.#checked.settings.staple;
    const names = new ServerNames<TlsContext>();
    const { contexts = {}, selectContext } = options;
    if (typeof contexts !== "object" || contexts === null) {
      throw new ArgumentError(`contexts must be an object of names, not ${describe(contexts)}`);
    }
    for (const [name, given] of Object.entries(contexts)) {
      const context = given instanceof TlsContext ? given : new TlsContext(given);
      context.#requireCertificate(`contexts[${JSON.stringify(name)}]`);
      this.#requireNoLess(context, `contexts[${JSON.stringify(name)}]`);
      names.add(name, context);
    }
    if (selectContext !== undefined && typeof selectContext !== "function") {
      throw new ArgumentError(`selectContext must be a function, not ${describe(selectContext)}`);
    }
    this.#insides = {
      ...this.#checked,
      sessions: new SessionCache(this.#checked.sessionCacheSize),
      uses: new Set(),
      names,
      selectContext,
      settingsFor: (role) => this.#settingsFor(role),
      trustFor: (role) => (this.#needsTrust(role) ? currentTrust(this.#checked.settings.trust) : NO_TRUST),
    };
  }

  /** The certificates it shows, one for each kind of key. */
  get certificates(): readonly X509Certificate[] {
    return this.#checked.leaves;
  }

  /**
   * Other keys for session tickets, on every reactor, from the next handshake on: the first makes tickets, the others still
   * read them. Several servers that are given the same keys resume each other's sessions. More than one key needs the capability
   * `ticketKeySets` (UnsupportedError). Throws ArgumentError for keys that are not 48 bytes.
   */
  setTicketKeys(keys: readonly Uint8Array[]): void {
    const checked = checkTicketKeys(keys);
    const uses = this.#living();
    if (checked.length > 1) for (const use of uses) use.requireTicketKeySets();
    this.#ticketKeys = checked;
    for (const use of uses) use.setTicketKeys(checked);
  }

  /** Another OCSP response to staple, from the next handshake on; undefined staples none. Throws ArgumentError. */
  setOcspResponse(response: Uint8Array | undefined): void {
    this.#staple = response === undefined ? undefined : checkOcspResponse(response);
    for (const use of this.#living()) use.setStaple(this.#staple);
  }

  /** Sessions kept for resumption by clients. */
  get sessionCount(): number {
    return this.#insides.sessions.size;
  }

  /** What `console.log` shows: the subjects of its certificates, and no key. */
  [inspect.custom](): string {
    const subjects = this.#checked.leaves.map(({ subject }) => oneLine(subject));
    return `TlsContext { ${subjects.length === 0 ? "no certificate" : subjects.join("; ")} }`;
  }

  #living(): ContextUse[] {
    const { uses } = this.#insides;
    for (const use of uses) if (use.isClosed) uses.delete(use);
    return [...uses];
  }

  #requireCertificate(what: string): void {
    if (this.#checked.leaves.length > 0) return;
    throw new TlsError("ERR_EM_TLS_NO_CERTIFICATE", `${what} is a server's, and needs a certificate: cert and key`);
  }

  #requireServer(): void {
    this.#requireCertificate("the TLS context");
    const { settings, namesTrust } = this.#checked;
    if (settings.requestCertificate && settings.rejectUnauthorized && !namesTrust) {
      throw new ArgumentError(
        'requestCertificate needs ca: whose certificates are accepted from clients ("default" is everybody\'s)',
      );
    }
  }

  /** What a server demands of clients is settled when TLS begins: a context by name that demands more would seem to. */
  #requireNoLess(named: TlsContext, what: string): void {
    const own = this.#checked.settings;
    const { requestCertificate, requireCertificate, rejectUnauthorized } = named.#checked.settings;
    if (!requestCertificate) return;
    const ignored =
      (!own.requestCertificate && "requestCertificate") ||
      (requireCertificate && !own.requireCertificate && "requireCertificate") ||
      (rejectUnauthorized && !own.rejectUnauthorized && "rejectUnauthorized");
    if (ignored === false) return;
    throw new ArgumentError(
      `${what} has ${ignored}, and the server's own context has not: what is demanded of clients is the same for all names`,
    );
  }

  #needsTrust(role: TlsRole): boolean {
    return role === "client" || this.#checked.settings.requestCertificate || this.#checked.namesTrust;
  }

  #settingsFor(role: TlsRole): TlsContextSettings {
    const { settings } = this.#checked;
    const current = { ...settings, ticketKeys: this.#ticketKeys, staple: role === "server" ? this.#staple : undefined };
    if (!this.#needsTrust(role)) return { ...current, trust: NO_TRUST };
    const trust = currentTrust(settings.trust);
    if (trust === settings.trust) return current;
    return { ...current, trust, sessionIdContext: renewedSessionId(settings.sessionIdContext, trust) };
  }

  /** @internal Throws where the context cannot be a server's. */
  static requireServer(context: TlsContext): void {
    context.#requireServer();
  }

  /**
   * Throws for a context that cannot serve a client of the server `own` by name.
   *
   * @internal
   */
  static requireNamed(context: TlsContext, own: TlsContext): void {
    context.#requireServer();
    own.#requireNoLess(context, "what selectContext returned");
  }

  /** @internal */
  static insides(context: TlsContext): ContextInsides {
    return context.#insides;
  }
}

let clientDefault: TlsContext | undefined;

/** The context of `tls: true`: no certificate of one's own, the default trust. */
export function defaultClientContext(): TlsContext {
  clientDefault ??= new TlsContext();
  return clientDefault;
}
