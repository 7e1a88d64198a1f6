import { createHash, type Hash } from "node:crypto";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import type { TlsContextSettings, TlsTrust } from "../engine/tls.js";

/** The most bytes OpenSSL takes. */
const MAX_SIZE = 32;

type Demanding = Pick<
  TlsContextSettings,
  "identities" | "requestCertificate" | "requireCertificate" | "rejectUnauthorized" | "trust"
>;

/**
 * What makes two contexts one to a session: an id somebody gave them, else the certificates they show; and in any case what
 * they demand of clients. A session that is resumed is not verified again, so it must be good only where it would have come
 * about in the same way: not where a certificate is required that was not asked for, nor where others are trusted.
 */
export function sessionId(given: unknown, settings: Demanding): Buffer {
  const { identities, requestCertificate, requireCertificate, rejectUnauthorized, trust } = settings;
  const hash = createHash("sha256");
  if (given === undefined) for (const { certificate } of identities) add(hash, certificate);
  else add(hash, `id ${checkId(given)}`);
  add(hash, `${requestCertificate} ${requireCertificate} ${rejectUnauthorized}`);
  // Also where no certificate is asked for: of a context by name the trust counts, and the server's own may ask.
  add(hash, `${trust.isNodeDefault} ${trust.openSslDefaults}`);
  if (!trust.isNodeDefault) for (const certificate of trust.certificates) add(hash, certificate);
  return Buffer.from(hash.digest("hex").slice(0, MAX_SIZE));
}

/** Of a context whose trust has changed: what was verified under the old one is not resumed. */
export function renewedSessionId(id: Buffer, { certificates }: TlsTrust): Buffer {
  const hash = createHash("sha256").update(id);
  for (const certificate of certificates) add(hash, certificate);
  return Buffer.from(hash.digest("hex").slice(0, MAX_SIZE));
}

function checkId(given: unknown): string {
  if (typeof given === "string" && given !== "" && Buffer.byteLength(given) <= MAX_SIZE) return given;
  throw new ArgumentError(`sessionIdContext must be a string of 1 to ${MAX_SIZE} bytes, not ${describe(given)}`);
}

function add(hash: Hash, part: string | Buffer): void {
  hash.update(`${part.length} `).update(part);
}
