import { CLASSES, HTAB, latin1, SP, sameToken, TOKEN } from "./characters.js";
import { HeadFlag } from "./head.js";

const COMMA = 0x2c;
const CLOSE = Buffer.from("close");
const KEEP_ALIVE = Buffer.from("keep-alive");
const UPGRADE = Buffer.from("upgrade");
const CHUNKED = Buffer.from("chunked");
const CONTINUE = Buffer.from("100-continue");
/** Digits of the largest length: 2^53 - 1 has 16. */
const MOST_DIGITS = 16;

function isBlank(byte: number | undefined): boolean {
  return byte === SP || byte === HTAB;
}

/** Calls back with each element of a comma-separated list, without its blanks; those that are empty too. */
function eachElement(bytes: Buffer, start: number, end: number, found: (start: number, end: number) => void): void {
  let at = start;
  while (at <= end) {
    let to = at;
    while (to < end && bytes[to] !== COMMA) to++;
    let from = at;
    while (from < to && isBlank(bytes[from])) from++;
    let last = to;
    while (last > from && isBlank(bytes[last - 1])) last--;
    found(from, last);
    at = to + 1;
  }
}

/** The bits of HeadFlag that a Connection field sets. */
export function connectionFlags(bytes: Buffer, start: number, end: number): number {
  const length = end - start;
  if (length === 10 && sameToken(bytes, start, KEEP_ALIVE)) return HeadFlag.keepAlive;
  if (length === 5 && sameToken(bytes, start, CLOSE)) return HeadFlag.close;
  let flags = 0;
  eachElement(bytes, start, end, (from, to) => {
    if (to - from === 5 && sameToken(bytes, from, CLOSE)) flags |= HeadFlag.close;
    else if (to - from === 10 && sameToken(bytes, from, KEEP_ALIVE)) flags |= HeadFlag.keepAlive;
    else if (to - from === 7 && sameToken(bytes, from, UPGRADE)) flags |= HeadFlag.upgrade;
  });
  return flags;
}

/** The bit of HeadFlag that an Expect field sets. */
export function expectFlag(bytes: Buffer, start: number, end: number): number {
  const known = end - start === CONTINUE.length && sameToken(bytes, start, CONTINUE);
  return known ? HeadFlag.expectsContinue : HeadFlag.expectsOther;
}

/**
 * A Content-Length: digits, without a leading zero. -1 for anything else, also where the number is none that JavaScript can
 * count to.
 */
export function lengthOf(bytes: Buffer, start: number, end: number): number {
  const digits = end - start;
  if (digits === 0 || digits > MOST_DIGITS || (digits > 1 && bytes[start] === 0x30)) return -1;
  let length = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1;
}

/** What the Transfer-Encoding fields of a head name, in their order. */
export const Codings = {
  /** There is no such field. */
  none: 0,
  /** `chunked` alone. */
  chunked: 1,
  /** Others, `chunked` last. */
  othersChunked: 2,
  /** Others alone. */
  open: 3,
  /** `chunked` twice, with parameters or before others, an empty element, or no coding at all. */
  faulty: 4,
} as const;
export type Codings = (typeof Codings)[keyof typeof Codings];

/** What is named when one more field comes after those that named `before`. */
export function codingsOf(bytes: Buffer, start: number, end: number, before: Codings): Codings {
  let codings: number = before;
  eachElement(bytes, start, end, (from, to) => {
    const isChunked = to - from >= CHUNKED.length && sameToken(bytes, from, CHUNKED);
    if (codings === Codings.faulty || from === to || (CLASSES[bytes[from]!]! & TOKEN) === 0) codings = Codings.faulty;
    else if (isChunked && (to - from === CHUNKED.length || !isTokenByte(bytes[from + CHUNKED.length]))) {
      const again = codings === Codings.chunked || codings === Codings.othersChunked;
      if (again || to - from > CHUNKED.length) codings = Codings.faulty;
      else codings = codings === Codings.none ? Codings.chunked : Codings.othersChunked;
    } else codings = codings === Codings.none || codings === Codings.open ? Codings.open : Codings.faulty;
  });
  return codings as Codings;
}

function isTokenByte(byte: number | undefined): boolean {
  return byte !== undefined && (CLASSES[byte]! & TOKEN) !== 0;
}

/** For messages of errors: the value, cut off where it is long. */
export function shown(bytes: Buffer, start: number, end: number): string {
  const text = latin1(bytes, start, Math.min(end, start + 60));
  return JSON.stringify(end - start > 60 ? `${text}…` : text);
}
