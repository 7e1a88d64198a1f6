import { isIPv6 } from "node:net";
import { CLASSES, COLON, HEX, HOST, latin1, sameToken } from "./characters.js";

const SLASH = 0x2f;
const QUESTION = 0x3f;
const PERCENT = 0x25;
const BACKSLASH = 0x5c;
const ASTERISK = 0x2a;
const BRACKET = 0x5b;
const DOT = 0x2e;

const HTTP = Buffer.from("http://");
const HTTPS = Buffer.from("https://");

/** Where an absolute-form's authority stands, or CONNECT's; `end` is 0 for the other forms. */
export interface Authority {
  start: number;
  end: number;
  /** The port that may be left out. */
  defaultPort: string;
}

/**
 * Checks a target of at least one byte, all of class TARGET, by the forms that its method may have (RFC 9112 section 3.2).
 * Returns what is wrong, and undefined where nothing is. Where it has an authority it says where that stands.
 */
export function faultOfTarget(
  bytes: Buffer,
  start: number,
  end: number,
  method: string,
  authority: Authority,
): string | undefined {
  authority.end = 0;
  if (method === "CONNECT") {
    // RFC 9110 section 9.3.6: a port is a must, for there is no scheme that has one.
    const port = isAuthority(bytes, start, end) ? portOf(bytes, start, end) : "";
    if (port === "") return "the target of CONNECT must be a host and a port";
    authority.start = start;
    authority.end = end;
    // Of the two that have a scheme Host may leave out the port.
    authority.defaultPort = port === "80" || port === "443" ? port : "";
    return undefined;
  }
  const first = bytes[start];
  if (first === SLASH) return end - start === 1 ? undefined : faultOfPath(bytes, start, end);
  if (first === ASTERISK && end - start === 1) {
    return method === "OPTIONS" ? undefined : "the target * is for OPTIONS";
  }
  const prefix = [HTTP, HTTPS].find(
    ({ length }, i) => start + length < end && sameToken(bytes, start, [HTTP, HTTPS][i]!),
  );
  if (prefix === undefined) return "the target must be a path, or a URL of http or https";
  const from = start + prefix.length;
  let to = from;
  while (to < end && bytes[to] !== SLASH && bytes[to] !== QUESTION) to++;
  if (!isAuthority(bytes, from, to)) return "the URL's host is not valid";
  authority.start = from;
  authority.end = to;
  authority.defaultPort = prefix === HTTP ? "80" : "443";
  return faultOfPath(bytes, to, end);
}

/**
 * A path's percent signs must encode something, and neither NUL nor a line end, which no file's name and no header may
 * have; a backslash is a slash to some. The query is the program's.
 */
function faultOfPath(bytes: Buffer, start: number, end: number): string | undefined {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === QUESTION) return undefined;
    if (byte === BACKSLASH) return "a path must not have a backslash";
    if (byte !== PERCENT) continue;
    const high = at + 2 < end ? HEX[bytes[at + 1]!]! : -1;
    const low = at + 2 < end ? HEX[bytes[at + 2]!]! : -1;
    if (high < 0 || low < 0) return "a percent sign in a path must be followed by two hex digits";
    const encoded = high * 16 + low;
    if (encoded === 0 || encoded === 10 || encoded === 13) return "a path must not encode NUL, CR or LF";
  }
  return undefined;
}

/** Whether it is a host, and maybe a port behind it: RFC 3986 section 3.2, without a user, and with names that can be. */
export function isAuthority(bytes: Buffer, start: number, end: number): boolean {
  let at = start;
  if (bytes[at] === BRACKET) {
    const close = bytes.indexOf("]", at, "latin1");
    if (close < 0 || close >= end || !isAddress(latin1(bytes, at + 1, close))) return false;
    at = close + 1;
  } else {
    // Between dots, and before the first, stands something; behind the last nothing need.
    let label = 0;
    while (at < end && (CLASSES[bytes[at]!]! & HOST) !== 0) {
      if (bytes[at++] !== DOT) label++;
      else if (label === 0) return false;
      else label = 0;
    }
    if (at === start) return false;
  }
  if (at === end) return true;
  if (bytes[at] !== COLON || end - at > 6) return false;
  let port = 0;
  while (++at < end) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65535;
}

/** A zone (`%eth0`) means something on one machine alone. */
function isAddress(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function portOf(bytes: Buffer, start: number, end: number): string {
  return /:(\d*)$/.exec(latin1(bytes, start, end))?.[1] ?? "";
}

/** Whether two authorities are the same host and port, one that is left out being the scheme's. */
export function sameAuthority(one: string, other: string, defaultPort: string): boolean {
  const normal = (text: string) => text.toLowerCase().replace(/:(\d*)$/, (port) => normalPort(port, defaultPort));
  return normal(one) === normal(other);
}

function normalPort(port: string, defaultPort: string): string {
  const digits = port.slice(1).replace(/^0+/, "");
  // Port 0 is none that could be left out.
  return (digits === "" && !port.includes("0")) || digits === defaultPort ? "" : `:${digits}`;
}
