/** What a byte may be part of: bits of `CLASSES` (RFC 9110 section 5.6.2, RFC 9112 section 3, RFC 3986). */
export const TOKEN = 1;
/** A field's value, a reason, quoted text: HTAB, SP, visible ASCII and bytes above it; no other control. */
export const TEXT = 2;
/** A request target: visible ASCII without `"`, `#`, `<` and `>`, which stand in no URI and which no browser sends. */
export const TARGET = 4;
/** A host's name: what RFC 3986 calls unreserved. Percent signs and delimiters are legal there, and in no name that resolves. */
export const HOST = 8;

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

const CLASSES_OF: readonly (readonly [number, RegExp])[] = [
  [TOKEN, /[!#$%&'*+\-.^_`|~0-9A-Za-z]/],
  [TEXT, /[\t\x20-\x7e\x80-\xff]/],
  [TARGET, /[!$-;=?-~]/],
  [HOST, /[A-Za-z0-9._~-]/],
];

export const CLASSES = Uint8Array.from({ length: 256 }, (_, byte) =>
  CLASSES_OF.reduce((bits, [bit, form]) => (form.test(String.fromCharCode(byte)) ? bits | bit : bits), 0),
);

/** What a hex digit stands for; -1 for every other byte. */
export const HEX = Int8Array.from({ length: 256 }, (_, byte) =>
  /[0-9A-Fa-f]/.test(String.fromCharCode(byte)) ? Number.parseInt(String.fromCharCode(byte), 16) : -1,
);

/** What Node's Buffer has and its types leave out; the same through `toString` takes half as long again. */
interface TextSlicing {
  latin1Slice(start: number, end: number): string;
}

/** Bytes as text, one character each. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return (bytes as unknown as TextSlicing).latin1Slice(start, end);
}

/** Whether a token's bytes are these letters, in whichever case. `lower` in lower case; both of the same length. */
export function sameToken(bytes: Uint8Array, start: number, lower: Uint8Array): boolean {
  for (let i = 0; i < lower.length; i++) if ((bytes[start + i]! | 0x20) !== lower[i]) return false;
  return true;
}
