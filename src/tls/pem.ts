import { TlsError } from "../base/errors.js";

/** A block of PEM: what it says it is, and what stands in it. */
export interface PemBlock {
  readonly label: string;
  /** Without what stands between the lines. */
  readonly base64: string;
  /** All of it, headers included, as OpenSSL reads it. */
  readonly text: string;
}

/** What a text is read for: how its errors name a block, and with which code they are thrown. */
export interface PemKind {
  readonly what: string;
  readonly label: RegExp;
  readonly code: string;
}

/** What may stand beside what is looked for: keys and certificates in one file, and the parameters of an elliptic curve's key. */
const BESIDE = /^(?:X509 |TRUSTED )?CERTIFICATE$|KEY$|PARAMETERS$/;
const BEGIN = /-----BEGIN ([A-Z0-9][A-Z0-9 .]*)-----/y;
/** Where a block begins or ends, or was to: also where the line is damaged. (Of more dashes each would be a beginning.) */
const MARK = /--(BEGIN|END)\b/g;
const DASHES_BEFORE_MARK = "-----".length - "--".length;
/** A text that ends within the first line of a block. */
const CUT_MARK = /(?:^|[\r\n])-{1,5}(?:B(?:E(?:GI?)?)?|EN?)?$/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** Control characters that no text has, and every certificate in DER: its version and serial number are integers, of tag 2. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BINARY = /[\x00-\x08\x0e-\x1f]/;

/**
 * The blocks of this kind in a PEM text, in order; at least one. The text is read to its end: whatever is damaged in it, or
 * is of no kind that may stand there, is a TlsError that names `option` and the number of the block. Left out, it would be
 * missed by nobody: a certificate that is not trusted, a list of those revoked that is not heeded. Text between the blocks is
 * passed over.
 */
export function readPem(pem: Buffer, option: string, kind: PemKind): [PemBlock, ...PemBlock[]] {
  const text = pem.toString("latin1");
  if (BINARY.test(text)) throw pemError(option, kind, "it is not text, perhaps DER");
  const found: PemBlock[] = [];
  let at = 0;
  for (;;) {
    const which = `${kind.what} ${found.length + 1}`;
    MARK.lastIndex = at;
    const mark = MARK.exec(text);
    if (mark === null) {
      if (CUT_MARK.test(text.slice(at))) throw pemError(option, kind, `${which} is cut off`);
      const [first, ...others] = found;
      if (first === undefined) throw pemError(option, kind, `it holds no ${kind.what} in PEM`);
      return [first, ...others];
    }
    if (mark[1] === "END") throw pemError(option, kind, `${which} has an end and no beginning`);
    const start = mark.index - DASHES_BEFORE_MARK;
    BEGIN.lastIndex = Math.max(start, 0);
    const [begin, label] = BEGIN.exec(text) ?? [];
    const next = MARK.exec(text);
    if (begin === undefined || label === undefined || start < at || (start > at && text[start - 1] === "-")) {
      throw pemError(option, kind, next === null ? `${which} is cut off` : `the first line of ${which} is damaged`);
    }
    const isOne = kind.label.test(label);
    const name = isOne ? which : `the ${label} before ${which}`;
    if (!isOne && !BESIDE.test(label)) throw pemError(option, kind, `${name} does not belong there`);
    const end = `-----END ${label}-----`;
    if (next === null || !text.startsWith(end, next.index - DASHES_BEFORE_MARK)) {
      throw pemError(option, kind, `${name} is cut off`);
    }
    const stop = next.index - DASHES_BEFORE_MARK;
    const { headers, base64 } = contentOf(text.slice(start + begin.length, stop));
    if (!BASE64.test(base64) || base64.length % 4 !== 0) throw pemError(option, kind, `${name} is not in base64`);
    if (isOne) found.push({ label, base64, text: blockOf(label, base64, headers) });
    at = stop + end.length;
  }
}

export function pemError(option: string, { code }: PemKind, words: string, cause?: Error): TlsError {
  return new TlsError(code, `${option}: ${words}`, cause === undefined ? {} : { cause, reason: cause.message });
}

/** Bytes as a block of PEM. */
export function pemOf(der: Buffer): string {
  return blockOf("CERTIFICATE", der.toString("base64"), []);
}

/** In lines that OpenSSL reads: it takes at most 254 characters, and an empty one for the end of a header. */
function blockOf(label: string, base64: string, headers: readonly string[]): string {
  const before = headers.length === 0 ? [] : [...headers, ""];
  const lines = [...before, ...(base64.match(/.{1,64}/g) ?? [])];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** Headers, as encrypted keys have them, come first and end with an empty line. */
function contentOf(text: string): { headers: readonly string[]; base64: string } {
  const lines = text.split(/\r\n|\n|\r/).map((line) => line.trim());
  const first = lines.findIndex((line) => line !== "");
  const end = /^[A-Za-z-]+:/.test(lines[first] ?? "") ? lines.indexOf("", first) : -1;
  return end < 0
    ? { headers: [], base64: lines.join("") }
    : { headers: lines.slice(first, end), base64: lines.slice(end).join("") };
}
