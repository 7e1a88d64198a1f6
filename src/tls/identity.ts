import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import { describe } from "../base/describe.js";
import { ArgumentError, TlsError } from "../base/errors.js";
import type { TlsIdentity } from "../engine/tls.js";
import { readCertificates } from "./certificates.js";
import { readMaterial, type TlsMaterial } from "./material.js";
import { type PemKind, pemError, readPem } from "./pem.js";

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

const PRIVATE_KEY: PemKind = { what: "private key", label: /PRIVATE KEY$/, code: "ERR_EM_TLS_BAD_KEY" };

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
  const pem = readMaterial(options.cert, `${name}cert`);
  const chain = readCertificates(pem, `${name}cert`);
  const [leaf] = chain;
  const from = options.key === undefined ? `${name}cert` : `${name}key`;
  const key = readKey(options.key === undefined ? pem : readMaterial(options.key, from), passphrase, from);
  if (!leaf.checkPrivateKey(key.object)) {
    throw new TlsError(
      "ERR_EM_TLS_KEY_MISMATCH",
      `${from} is not the key of the certificate for ${oneLine(leaf.subject)}`,
    );
  }
  const certificate = Buffer.from(chain.join(""));
  const identity = { certificate, key: Buffer.from(key.text), ...(passphrase === undefined ? {} : { passphrase }) };
  return { identity, leaf };
}

function readKey(pem: Buffer, passphrase: string | undefined, name: string): { object: KeyObject; text: string } {
  const [{ text }, ...others] = readPem(pem, name, PRIVATE_KEY);
  if (others.length > 0)
    throw pemError(name, PRIVATE_KEY, `it holds ${others.length + 1} private keys, and may hold one`);
  try {
    const object = createPrivateKey({ key: text, format: "pem", ...(passphrase === undefined ? {} : { passphrase }) });
    return { object, text };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    let what = `it holds no private key that can be read: ${message}`;
    const isEncrypted = code === "ERR_MISSING_PASSPHRASE" || text.includes("ENCRYPTED");
    if (passphrase === undefined && isEncrypted) what = "it is encrypted: a passphrase is needed";
    else if (passphrase !== undefined && /bad decrypt|bad password|maybe wrong password/.test(message)) {
      what = "it cannot be decrypted with this passphrase";
    }
    throw pemError(name, PRIVATE_KEY, what, cause as Error);
  }
}

/** What kind of key a certificate has: a context takes one identity of each. */
export function keyKind(leaf: X509Certificate): string {
  return leaf.publicKey.asymmetricKeyType ?? "unknown";
}

export function oneLine(subject: string | undefined): string {
  return (subject ?? "nobody").replaceAll("\n", ", ");
}
