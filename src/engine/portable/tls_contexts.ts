import { constants } from "node:crypto";
import {
  createSecureContext,
  createServer,
  DEFAULT_CIPHERS,
  type SecureContext,
  type SecureContextOptions,
  type Server,
} from "node:tls";
import { TlsError, UnsupportedError } from "../../base/errors.js";
import type { TlsContextId, TlsContextSettings } from "../tls.js";
import { completeChain } from "./chain.js";

/** One context of the engine: node:tls's secure context, and what node:tls takes beside it for each connection. */
export class PortableTlsContext {
  readonly settings: TlsContextSettings;
  /** Replaced as a whole when the ticket keys change: connections keep the one they began with. */
  secureContext: SecureContext;
  #withoutTickets: SecureContext | undefined;
  /** node:tls asks a server for the staple, and nobody else: this one never listens. */
  stapler: Server | undefined;

  constructor(settings: TlsContextSettings) {
    this.settings = settings;
    this.secureContext = makeSecureContext(settings, settings.ticketKeys);
    this.setStaple(settings.staple);
  }

  /** The same, but that no session is resumed. */
  get withoutTickets(): SecureContext {
    this.#withoutTickets ??= makeSecureContext({ ...this.settings, sessionTickets: false }, []);
    return this.#withoutTickets;
  }

  setTicketKeys(keys: readonly Buffer[]): void {
    this.secureContext = makeSecureContext(this.settings, keys);
  }

  setStaple(response: Buffer | undefined): void {
    this.stapler = undefined;
    if (response === undefined) return;
    const [identity] = this.settings.identities;
    if (identity === undefined) return;
    const { certificate: cert, key, passphrase } = identity;
    this.stapler = createServer({ cert, key, ...(passphrase === undefined ? {} : { passphrase }) });
    this.stapler.on("OCSPRequest", (_certificate, _issuer, answer) => answer(null, response));
  }
}

/** The engine's contexts by their numbers. */
export class TlsContextTable {
  readonly #contexts = new Map<TlsContextId, PortableTlsContext>();
  #next = 1;

  make(settings: TlsContextSettings): TlsContextId {
    const id = this.#next++;
    this.#contexts.set(id, new PortableTlsContext(settings));
    return id;
  }

  get(id: TlsContextId): PortableTlsContext | undefined {
    return this.#contexts.get(id);
  }

  release(id: TlsContextId): void {
    this.#contexts.delete(id);
  }
}

/** What node:tls itself calls for each certificate of `ca`. */
interface Adding {
  readonly context: { addCACert(pem: string | Buffer): void };
}

function makeSecureContext(settings: TlsContextSettings, ticketKeys: readonly Buffer[]): SecureContext {
  if (ticketKeys.length > 1) throw new UnsupportedError("ticketKeySets", "portable");
  try {
    const made = createSecureContext(secureContextOptions(settings, ticketKeys[0]));
    // OpenSSL's own file and folder are what Node trusts then, and no list can say so: the others are added to them.
    const { trust } = settings;
    if (!trust.isNodeDefault && trust.openSslDefaults) {
      const { context } = made as unknown as Adding;
      for (const certificate of trust.certificates) context.addCACert(certificate);
    }
    return made;
  } catch (cause) {
    const { message, reason = message } = cause as Error & { reason?: string };
    throw new TlsError("ERR_EM_TLS_CONTEXT", `OpenSSL does not take the context: ${message}`, { cause, reason });
  }
}

function secureContextOptions(settings: TlsContextSettings, ticketKey: Buffer | undefined): SecureContextOptions {
  const { identities, trust, ciphers, cipherSuites, curves, dhParameters } = settings;
  const options: SecureContextOptions = {
    cert: identities.map(({ certificate }) =>
      trust.isNodeDefault ? certificate : completeChain(certificate, trust.certificates),
    ),
    key: identities.map(({ key: pem, passphrase }) => ({ pem, ...(passphrase === undefined ? {} : { passphrase }) })),
    minVersion: settings.minVersion,
    maxVersion: settings.maxVersion,
    // node:tls takes both kinds of suites in one list, and without any of TLS 1.2 it would speak TLS 1.3 alone.
    ciphers: [cipherSuites, ciphers ?? DEFAULT_CIPHERS].filter((list) => list !== undefined).join(":"),
    honorCipherOrder: settings.preferServerCiphers,
    sessionTimeout: settings.sessionTimeout,
    sessionIdContext: settings.sessionIdContext.toString(),
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (settings.sessionTickets ? 0 : constants.SSL_OP_NO_TICKET),
  };
  // Node's own trust, with all that its flags and environment say, is what it takes when it is not told.
  if (!trust.isNodeDefault && !trust.openSslDefaults) options.ca = [...trust.certificates];
  if (curves !== undefined) options.ecdhCurve = curves;
  if (dhParameters !== undefined) options.dhparam = dhParameters;
  if (ticketKey !== undefined) options.ticketKeys = ticketKey;
  return options;
}
