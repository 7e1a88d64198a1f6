import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** Certificates as no honest authority would issue them: every field is what the test says. */

/** One certificate with its key, as a context takes them. */
export interface Issued {
  readonly der: Buffer;
  readonly cert: string;
  readonly key: string;
  /** What signs in its name. */
  readonly issuer: { readonly name: Buffer; readonly key: KeyObject };
}

export interface CertificateOptions {
  /** Common names, each an attribute of its own. Default: none, an empty subject. */
  names?: readonly (string | Buffer)[];
  /** Who signs it; default: itself. */
  by?: Issued;
  /** Subject alternative names: DNS names, or addresses as bytes. */
  hosts?: readonly (string | Buffer)[];
  isAuthority?: boolean;
  /** The bytes of a private extension that nobody knows. */
  extension?: Buffer;
  notAfter?: string;
}

export function issue(options: CertificateOptions = {}): Issued {
  const { names = [], by, hosts = [], isAuthority = false, extension, notAfter = "21250101000000Z" } = options;
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const subject = sequence(
    ...names.map((name) =>
      der(0x31, sequence(oid("2.5.4.3"), der(0x0c, Buffer.isBuffer(name) ? name : Buffer.from(name)))),
    ),
  );
  const signer = by?.issuer ?? { name: subject, key: privateKey };
  const extensions: Buffer[] = [];
  const extend = (id: string, value: Buffer) => extensions.push(sequence(oid(id), der(0x04, value)));
  if (isAuthority) extend("2.5.29.19", sequence(der(0x01, Buffer.of(0xff))));
  if (hosts.length > 0) {
    extend(
      "2.5.29.17",
      sequence(
        ...hosts.map((host) => (Buffer.isBuffer(host) ? der(0x87, host) : der(0x82, Buffer.from(host, "latin1")))),
      ),
    );
  }
  if (extension !== undefined) extend("1.3.6.1.4.1.99999.1", extension);
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"));
  const toSign = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    signer.name,
    sequence(der(0x18, Buffer.from("20200101000000Z")), der(0x18, Buffer.from(notAfter))),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions))]),
  );
  const signature = sign("sha256", toSign, signer.key);
  const bytes = sequence(toSign, algorithm, der(0x03, Buffer.concat([Buffer.of(0), signature])));
  return {
    der: bytes,
    cert: pem(bytes),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    issuer: { name: subject, key: privateKey },
  };
}

export function pem(bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  let size: number[];
  if (length < 0x80) size = [length];
  else if (length < 0x100) size = [0x81, length];
  else if (length < 0x1_0000) size = [0x82, length >> 8, length & 0xff];
  else size = [0x83, length >> 16, (length >> 8) & 0xff, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const each of rest) {
    const digits = [each & 0x7f];
    for (let left = Math.floor(each / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return der(0x06, Buffer.from(bytes));
}
