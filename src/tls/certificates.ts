import { X509Certificate } from "node:crypto";
import { TlsError } from "../base/errors.js";
import { type PemKind, pemError, pemOf, readPem } from "./pem.js";

/**
 * The certificate in these bytes, which are DER.
 *
 * `new X509Certificate(bytes)` looks for PEM first, anywhere in the bytes, and a certificate may carry the PEM of another one: in an
 * extension, in its subject. What is handed over is therefore the base64 of all of them, in which nothing can be found.
 *
 * Throws TlsError (ERR_EM_TLS_VERIFY) for bytes that are not one certificate, exactly.
 */
export function certificateOf(der: Buffer): X509Certificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pemOf(der));
  } catch (cause) {
    const { message } = cause as Error;
    throw new TlsError("ERR_EM_TLS_VERIFY", `a certificate cannot be read: ${message}`, { cause, reason: message });
  }
  if (certificate.raw.equals(der)) return certificate;
  const reason = "it does not read back as it was sent";
  throw new TlsError("ERR_EM_TLS_VERIFY", `a certificate cannot be shown: ${reason}`, { reason });
}

const CERTIFICATE: PemKind = {
  what: "certificate",
  label: /^(?:X509 |TRUSTED )?CERTIFICATE$/,
  code: "ERR_EM_TLS_BAD_CERTIFICATE",
};

/**
 * Every certificate of a PEM text, in order; at least one. `option` is what the text was given as. A TRUSTED CERTIFICATE is taken
 * where it is a certificate and nothing more: rules of trust in it may say that it is trusted for nothing, and are not followed.
 */
export function readCertificates(pem: Buffer, option: string): [X509Certificate, ...X509Certificate[]] {
  const read = readPem(pem, option, CERTIFICATE).map(({ label, base64 }, index) => {
    try {
      return certificateOf(Buffer.from(base64, "base64"));
    } catch (cause) {
      const { reason = "" } = cause as TlsError;
      const isTrusted = label === "TRUSTED CERTIFICATE";
      const words = isTrusted ? "has rules of trust, which are not followed" : `is not one: ${reason}`;
      throw pemError(option, CERTIFICATE, `certificate ${index + 1} ${words}`, cause as TlsError);
    }
  });
  return read as [X509Certificate, ...X509Certificate[]];
}

/** The certificates that a peer has shown, its own first: parsed when they are asked for. */
export class ShownCertificates {
  /** DER, as they were verified. */
  readonly ders: readonly Buffer[];
  readonly #unfit: (error: TlsError) => void;
  readonly #parsed: X509Certificate[] = [];

  /** `unfit` hears of a certificate that cannot be shown, before whoever asked for it does. */
  constructor(ders: readonly Buffer[], unfit: (error: TlsError) => void = () => {}) {
    this.ders = ders;
    this.#unfit = unfit;
  }

  get leaf(): X509Certificate | undefined {
    const [der] = this.ders;
    return der === undefined ? undefined : this.#parse(der, 0);
  }

  get all(): readonly X509Certificate[] {
    return this.ders.map((der, index) => this.#parse(der, index));
  }

  #parse(der: Buffer, index: number): X509Certificate {
    try {
      const certificate = this.#parsed[index] ?? certificateOf(der);
      this.#parsed[index] = certificate;
      return certificate;
    } catch (error) {
      this.#unfit(error as TlsError);
      throw error;
    }
  }
}
