/** Names of application protocols as the wire has them (RFC 7301 section 3.1): each behind its length. A character is a byte. */
export function alpnList(protocols: readonly string[]): Buffer {
  return Buffer.concat(protocols.flatMap((name) => [Buffer.of(name.length), Buffer.from(name, "latin1")]));
}
