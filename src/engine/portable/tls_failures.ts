import type { TlsFailure } from "../tls.js";

/** An error as node:tls gives it: OpenSSL's, when `code` begins like this. */
interface OpenSslError extends NodeJS.ErrnoException {
  reason?: string;
}

/** The peer's alert in the code that Node makes of OpenSSL's words: what is "SSLV3" with OpenSSL 3.0 is "SSL/TLS" with 3.5. */
const ALERT =
  /^ERR_SSL_(?:(?:SSLV3|TLSV1|TLSV13|SSL\/TLS)_ALERT_(\w+)|TLSV1_(UNRECOGNIZED_NAME|UNSUPPORTED_EXTENSION|BAD_CERTIFICATE_\w+|CERTIFICATE_UNOBTAINABLE))$/;

/** Whether it is TLS that failed, and not the connection under it. */
export function isTlsError(error: NodeJS.ErrnoException): boolean {
  return error.errno === undefined && error.code !== undefined && /^ERR_(SSL|OSSL|TLS|CRYPTO)_/.test(error.code);
}

/** What node:tls says where the peer's end comes in a client's handshake; a real reset has an errno. */
export function isEarlyEnd(error: NodeJS.ErrnoException): boolean {
  return error.code === "ECONNRESET" && error.errno === undefined;
}

export function failureOf(error: OpenSslError, isSecured: boolean): TlsFailure {
  const [, named, other] = ALERT.exec(error.code ?? "") ?? [];
  const alert = named ?? other;
  const isNone = error.code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE";
  return {
    code: isNone ? "ERR_EM_TLS_VERIFY" : isSecured ? "ERR_EM_TLS_PROTOCOL" : "ERR_EM_TLS_HANDSHAKE",
    reason: error.reason ?? error.message,
    alert: alert === undefined ? undefined : { name: alert.toLowerCase(), from: "peer" },
    verifyError: undefined,
  };
}

export function failure(code: string, reason: string, verifyError?: string): TlsFailure {
  return { code, reason, alert: undefined, verifyError };
}
