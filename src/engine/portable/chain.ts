import { X509Certificate } from "node:crypto";

/**
 * A leaf that stands alone with those of `authorities` that vouch for it, as far as they go; without the root, which whoever
 * verifies it has. A chain stays as it was given. (OpenSSL does so by itself, but not for a context that was chosen by name.)
 */
export function completeChain(certificate: Buffer, authorities: readonly (string | Buffer)[]): Buffer {
  if (certificate.toString("latin1").split("-----BEGIN CERTIFICATE-----").length > 2) return certificate;
  let last = new X509Certificate(certificate);
  const above = authorities.map((each) => new X509Certificate(each)).filter((each) => !each.checkIssued(each));
  const chain: X509Certificate[] = [];
  for (;;) {
    const next = above.find((each) => !chain.includes(each) && last.checkIssued(each) && last.verify(each.publicKey));
    if (next === undefined) return Buffer.concat([certificate, Buffer.from(`\n${chain.join("")}`)]);
    chain.push(next);
    last = next;
  }
}
