import type { X509Certificate } from "node:crypto";
import { Duplex } from "node:stream";
import type { PeerCertificate } from "node:tls";
import type { StreamTls } from "../core/stream_port.js";
import type { TlsVersion } from "../engine/tls.js";
import type { TlsInfo } from "../tls/tls_info.js";

/** As `TLSSocket.getCipher` gives it. */
export interface CipherNameAndProtocol {
  name: string;
  standardName: string;
  version: string;
}

/**
 * What a `TLSSocket` shows, on the stream of a connection under TLS; on that of a plain connection all of it is undefined, the
 * methods too, so that who asks whether there is `encrypted` or `getPeerCertificate` is answered as by a `net.Socket`.
 */
export abstract class TlsMembers extends Duplex {
  /** TLS on the connection, from `startTls` on. */
  protected abstract tlsLife(): StreamTls | undefined;

  /** True from `startTls` on. */
  get encrypted(): true | undefined {
    return this.tlsLife() === undefined ? undefined : true;
  }

  /** Whether the peer has shown a certificate that holds. */
  get authorized(): boolean | undefined {
    return this.#shown((info) => info?.isAuthorized ?? false);
  }

  /** OpenSSL's name of what is wrong with the peer's certificate; null where nothing is, or there is none. */
  get authorizationError(): string | null | undefined {
    return this.#shown((info) => info?.verifyError ?? null);
  }

  /** False for none; null before the handshake is through. */
  get alpnProtocol(): string | false | null | undefined {
    return this.#shown((info) => (info === undefined ? null : (info.alpnProtocol ?? false)));
  }

  /** The name the client asked for, on the same terms. */
  get servername(): string | false | null | undefined {
    return this.#shown((info) => (info === undefined ? null : (info.serverName ?? false)));
  }

  /** The peer's certificate, with `detailed` those that it sent along as `issuerCertificate`; an empty object for none. */
  get getPeerCertificate(): ((detailed?: boolean) => PeerCertificate | Record<string, never>) | undefined {
    return this.#asked(
      (info) =>
        (detailed = false) =>
          legacyCertificate(info()?.peerCertificates ?? [], detailed),
    );
  }

  /** The peer's certificate as an X509Certificate; undefined for none. */
  get getPeerX509Certificate(): (() => X509Certificate | undefined) | undefined {
    return this.#asked((info) => () => info()?.peerCertificate);
  }

  /** The version of TLS; null before the handshake is through. */
  get getProtocol(): (() => TlsVersion | null) | undefined {
    return this.#asked((info) => () => info()?.protocol ?? null);
  }

  /** The cipher suite; undefined before the handshake is through. */
  get getCipher(): (() => CipherNameAndProtocol | undefined) | undefined {
    return this.#asked((info) => () => {
      const { cipher, protocol } = info() ?? {};
      if (cipher === undefined || protocol === undefined) return undefined;
      return { name: cipher.name, standardName: cipher.standardName, version: protocol };
    });
  }

  /** The session that a client has got last; undefined for none. */
  get getSession(): (() => Buffer | undefined) | undefined {
    return this.#asked(() => () => this.tlsLife()?.session);
  }

  /** Whether the handshake resumed an earlier session. */
  get isSessionReused(): (() => boolean) | undefined {
    return this.#asked((info) => () => info()?.isSessionReused ?? false);
  }

  #shown<T>(show: (info: TlsInfo | undefined) => T): T | undefined {
    const tls = this.tlsLife();
    return tls === undefined ? undefined : show(tls.info);
  }

  #asked<F>(method: (info: () => TlsInfo | undefined) => F): F | undefined {
    const tls = this.tlsLife();
    return tls === undefined ? undefined : method(() => tls.info);
  }
}

/** A chain as Node's older calls give it; one that vouches for itself is its own issuer. */
function legacyCertificate(
  chain: readonly X509Certificate[],
  detailed: boolean,
): PeerCertificate | Record<string, never> {
  const [leaf, ...issuers] = chain;
  if (leaf === undefined) return {};
  const first = leaf.toLegacyObject();
  if (!detailed) return first;
  let last = leaf;
  let at = first as PeerCertificate & { issuerCertificate?: PeerCertificate };
  for (const issuer of issuers) {
    if (!last.checkIssued(issuer)) break;
    const next = issuer.toLegacyObject();
    at.issuerCertificate = next;
    at = next as typeof at;
    last = issuer;
  }
  if (last.checkIssued(last)) at.issuerCertificate = at;
  return first;
}
