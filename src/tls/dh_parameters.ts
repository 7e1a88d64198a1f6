import { type PemKind, pemError, readPem } from "./pem.js";

const PARAMETERS: PemKind = {
  what: "set of DH parameters",
  label: /^(?:X9\.42 )?DH PARAMETERS$/,
  code: "ERR_EM_TLS_CONTEXT",
};

/** A shorter prime can be broken; a longer one costs every handshake. */
const MIN_BITS = 2048;
const MAX_BITS = 8192;

/** The parameters for DHE in a PEM text: a prime and a generator. Throws TlsError (ERR_EM_TLS_CONTEXT). */
export function readDhParameters(pem: Buffer, option: string): Buffer {
  const [{ base64, text }, ...others] = readPem(pem, option, PARAMETERS);
  if (others.length > 0) throw pemError(option, PARAMETERS, `it holds ${others.length + 1} sets, and may hold one`);
  const numbers = contentOf(Buffer.from(base64, "base64"), 0x30);
  const prime = numbers === undefined ? undefined : contentOf(numbers.content, 0x02);
  const generator = prime === undefined ? undefined : contentOf(prime.rest, 0x02);
  if (numbers?.rest.length !== 0 || prime === undefined || generator === undefined) {
    throw pemError(option, PARAMETERS, "they are not a prime and a generator");
  }
  const p = numberOf(prime.content);
  const bits = p.toString(2).length;
  if (bits < MIN_BITS || bits > MAX_BITS) {
    throw pemError(option, PARAMETERS, `the prime has ${bits} bits, and must have ${MIN_BITS} to ${MAX_BITS}`);
  }
  const g = numberOf(generator.content);
  if (p % 2n === 0n || g < 2n || g > p - 2n) throw pemError(option, PARAMETERS, "they are not a prime and a generator");
  return Buffer.from(text);
}

/** 0 for a negative one. */
function numberOf(bytes: Buffer): bigint {
  return bytes.length === 0 || (bytes[0] as number) >= 0x80 ? 0n : BigInt(`0x${bytes.toString("hex")}`);
}

/** What an element of DER holds, and what comes after it. */
function contentOf(der: Buffer, tag: number): { content: Buffer; rest: Buffer } | undefined {
  const [first, short = 0] = der;
  const size = short < 0x80 ? 0 : short - 0x80;
  if (first !== tag || short === 0x80 || size > 3 || der.length < 2 + size) return undefined;
  const length = size === 0 ? short : der.readUIntBE(2, size);
  const content = der.subarray(2 + size, 2 + size + length);
  return content.length === length ? { content, rest: der.subarray(2 + size + length) } : undefined;
}
