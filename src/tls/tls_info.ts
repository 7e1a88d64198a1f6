import type { X509Certificate } from "node:crypto";
import { receivedName } from "../base/host_names.js";
import type { TlsState, TlsVersion } from "../engine/tls.js";
import { ShownCertificates } from "./certificates.js";

/** A cipher suite: OpenSSL's name, IANA's, and the strength in bits (undefined where the engine cannot know). */
export interface TlsCipher {
  /** OpenSSL's name: `ECDHE-RSA-AES128-GCM-SHA256`; TLS 1.3's suites have IANA's. */
  readonly name: string;
  /** IANA's name: `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`. */
  readonly standardName: string;
  /** The strength in bits; undefined where the engine cannot know. */
  readonly bits: number | undefined;
}

/** What a handshake came to: what `sslHandshakeCompleted` gets and `connection.tls` keeps. */
export class TlsInfo {
  /** The version of TLS that was agreed on. */
  readonly protocol: TlsVersion;
  /** The cipher suite that was agreed on. */
  readonly cipher: TlsCipher;
  /** The application protocol both sides agreed on, if any. */
  readonly alpnProtocol: string | undefined;
  /** The host name the client asked for, in ASCII and lower case; what it sent and is no host name counts as none. */
  readonly serverName: string | undefined;
  /** Whether the handshake resumed an earlier session: no certificate was shown anew. */
  readonly isSessionReused: boolean;
  /** OpenSSL's name of what is wrong with the peer's certificate; undefined where nothing is, or there is none. */
  readonly verifyError: string | undefined;
  /** The OCSP response the server stapled, DER, on a client that asked for it. */
  readonly ocspResponse: Buffer | undefined;
  readonly #shown: ShownCertificates;

  /** @internal */
  constructor(state: TlsState, chain: readonly Buffer[]) {
    this.protocol = state.protocol;
    this.cipher = state.cipher;
    this.alpnProtocol = state.alpnProtocol;
    this.serverName = state.serverName === undefined ? undefined : receivedName(state.serverName);
    this.isSessionReused = state.isSessionReused;
    this.verifyError = state.verifyError;
    this.ocspResponse = state.staple;
    this.#shown = new ShownCertificates(chain);
  }

  /** Whether the peer has shown a certificate, and it holds: chain, time and, on a client, the name. */
  get isAuthorized(): boolean {
    return this.#shown.ders.length > 0 && this.verifyError === undefined;
  }

  /** The peer's certificate; undefined where it showed none. (get_peer_cert, which gave PEM: `toString()` does.) */
  get peerCertificate(): X509Certificate | undefined {
    return this.#shown.leaf;
  }

  /** With those it sent along, the peer's own first. */
  get peerCertificates(): readonly X509Certificate[] {
    return this.#shown.all;
  }

  /** @internal The same in DER. */
  static chain(info: TlsInfo): readonly Buffer[] {
    return info.#shown.ders;
  }
}

/** OpenSSL's judgement of a peer's certificate, before the handshake ends. */
export interface TlsVerdict {
  /** Whether OpenSSL accepts it: chain, time and, on a client, the name. */
  readonly isAuthorized: boolean;
  /** OpenSSL's name of what is wrong (`CERT_HAS_EXPIRED`, `HOSTNAME_MISMATCH`, …); only with `rejectUnauthorized: false`. */
  readonly error: string | undefined;
  /** The certificate and those the peer sent along. */
  readonly chain: readonly X509Certificate[];
}
