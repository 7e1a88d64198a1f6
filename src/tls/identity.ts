import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { describe } from "../base/describe.js";
import { ArgumentError, TlsError } from "../base/errors.js";
import type { TlsIdentity } from "../engine/tls.js";
import { readMaterial, type TlsMaterial } from "./material.js";

/** Who one is: a certificate with those that vouch for it, and its key. */
export interface TlsIdentityOptions {
  /**
   * The certificate, and after it the intermediate ones; where it stands alone, those in `ca` that vouch for it are sent along.
   * (cert_chain_file, cert.)
   */
  cert: TlsMaterial;
  /** The certificate's private key; default: it stands beside the certificate in `cert`. (private_key_file, private_key.) */
  key?: TlsMaterial;
  /** What the key is encrypted with. (private_key_pass.) */
  passphrase?: string;
}

const CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[\s\S]+?-----END \1-----/g;

/** Control characters that no text has, and every certificate in DER: its version and serial number are integers, of tag 2. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BINARY = /[\x00-\x08\x0e-\x1f]/;

/** Every certificate of a PEM text, in order; at least one. */
export function readCertificates(pem: Buffer, name: string): X509Certificate[] {
  // A certificate in DER may carry the PEM of another one, and that is not the one that was given.
  if (BINARY.test(pem.toString("latin1"))) {
    throw new TlsError(
      "ERR_EM_TLS_BAD_CERTIFICATE",
      `${name} holds no certificate in PEM: it is not text, perhaps DER`,
    );
  }
  const blocks = pem.toString("latin1").match(CERTIFICATE);
  if (blocks === null) throw new TlsError("ERR_EM_TLS_BAD_CERTIFICATE", `${name} holds no certificate in PEM`);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      const { message } = cause as Error;
      throw new TlsError("ERR_EM_TLS_BAD_CERTIFICATE", `${name}: certificate ${index + 1} is not one: ${message}`, {
        cause,
        reason: message,
      });
    }
  });
}

/** Reads and checks an identity: the certificate is one, the key is one, and they belong together. */
export function readIdentity(
  options: TlsIdentityOptions,
  name: string,
): { identity: TlsIdentity; leaf: X509Certificate } {
  const { passphrase } = options;
  if (passphrase !== undefined && typeof passphrase !== "string") {
    throw new ArgumentError(`${name}passphrase must be a string, not ${describe(passphrase)}`);
  }
  if (options.cert === undefined) {
    throw new TlsError("ERR_EM_TLS_NO_CERTIFICATE", `${name}key stands alone: ${name}cert is needed beside it`);
  }
  const certificate = readMaterial(options.cert, `${name}cert`);
  const [leaf] = readCertificates(certificate, `${name}cert`) as [X509Certificate];
  const key = options.key === undefined ? certificate : readMaterial(options.key, `${name}key`);
  const keyObject = readKey(key, passphrase, options.key === undefined ? `${name}cert` : `${name}key`);
  if (!leaf.checkPrivateKey(keyObject)) {
    throw new TlsError(
      "ERR_EM_TLS_KEY_MISMATCH",
      `${name}key is not the key of the certificate for ${oneLine(leaf.subject)}`,
    );
  }
  const identity = { certificate, key, ...(passphrase === undefined ? {} : { passphrase }) };
  return { identity, leaf };
}

function readKey(pem: Buffer, passphrase: string | undefined, name: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: "pem", ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    let what = `holds no private key in PEM: ${message}`;
    const isEncrypted = code === "ERR_MISSING_PASSPHRASE" || pem.includes("ENCRYPTED");
    if (passphrase === undefined && isEncrypted) what = "is encrypted: a passphrase is needed";
    else if (passphrase !== undefined && /bad decrypt|bad password|maybe wrong password/.test(message)) {
      what = "cannot be decrypted with this passphrase";
    }
    throw new TlsError("ERR_EM_TLS_BAD_KEY", `${name} ${what}`, { cause, reason: message });
  }
}

/** What kind of key a certificate has: a context takes one identity of each. */
export function keyKind(leaf: X509Certificate): string {
  return leaf.publicKey.asymmetricKeyType ?? "unknown";
}

export function oneLine(subject: string | undefined): string {
  return (subject ?? "nobody").replaceAll("\n", ", ");
}
