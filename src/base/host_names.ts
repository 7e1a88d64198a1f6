import { isIPv4, isIPv6, SocketAddress } from "node:net";
import { domainToASCII } from "node:url";
import { describe } from "./describe.js";
import { ArgumentError } from "./errors.js";

/** A host as it was given, read: an IP address or a name, each in its one spelling. */
export interface Host {
  /** An address's; undefined for a name. */
  readonly family: "IPv4" | "IPv6" | undefined;
  /** A canonical address without its zone, or a name in ASCII and lower case without the root's dot. */
  readonly text: string;
  /** Where a link-local address is (RFC 4007 section 11): the name or the number of an interface. No part of who it is. */
  readonly zone: string | undefined;
  /** A name that ended with the root's dot: resolvers do not complete it. */
  readonly isAbsolute: boolean;
}

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const MAX_NAME = 253;
const ASCII_NAME = /^[A-Za-z0-9_.-]+$/;
/** A number in one of the spellings of inet_aton. */
const NUMBER = /^(?:0x[0-9a-f]+|\d+)$/;
/** What Node takes in an address; numbers fit the kernel's 32 bits. */
const ZONE = /^[0-9A-Za-z.:-]{1,15}$/;
const MAX_ZONE = 0xffffffff;
const IPV4_MAPPED = "::ffff:";

/**
 * What a name may hold besides ASCII: letters, marks and digits, the three other full stops of IDNA, and what RFC 5892
 * allows in context. Of the rest some would vanish on the way to ASCII.
 */
const OTHER_CHARACTERS =
  /^(?:[\u3002\uff0e\uff61\u00b7\u0375\u05f3\u05f4\u30fb\u200c\u200d]|(?!\p{Default_Ignorable_Code_Point})[\p{L}\p{M}\p{Nd}])+$/u;

/**
 * Reads a host; undefined for what is neither an address nor a name. Whatever a resolver would take for an address is one:
 * `127.1`, `0x7f.1`, `0177.0.0.1`, `2130706433`, `[::1]`, `::ffff:127.0.0.1`. So nothing whose last label is a number is a name.
 */
export function readHost(given: string): Host | undefined {
  if (isIPv4(given)) return address("IPv4", given);
  if (given.startsWith("[") && given.endsWith("]")) return readAddress(given.slice(1, -1));
  if (given.includes(":")) return readIPv6(given);
  const ascii = toAscii(given);
  if (ascii === undefined) return undefined;
  const isAbsolute = ascii.endsWith(".");
  const text = isAbsolute ? ascii.slice(0, -1) : ascii;
  const labels = text.split(".");
  if (NUMBER.test(labels.at(-1) as string)) return readNumbers(labels);
  if (text.length > MAX_NAME || !labels.every((label) => LABEL.test(label))) return undefined;
  return { family: undefined, text, zone: undefined, isAbsolute };
}

/** Checks a host as options take it; returns its one spelling, an address with its zone, a name with the root's dot if it had one. */
export function checkHost(host: unknown, option = "host"): string {
  const found = typeof host === "string" ? readHost(host) : undefined;
  if (found === undefined) {
    throw new ArgumentError(`${option} must be a host name or an IP address, not ${describe(host)}`);
  }
  return spell(found);
}

/** An address with its zone, a name with the root's dot if it had one. */
export function spell({ text, zone, isAbsolute }: Host): string {
  return zone === undefined ? (isAbsolute ? `${text}.` : text) : `${text}%${zone}`;
}

/** Checks a name that a certificate, or a client's question for one, can have; returns its one spelling. */
export function checkName(name: unknown, option: string): string {
  const found = typeof name === "string" ? readHost(name) : undefined;
  if (found === undefined) throw new ArgumentError(`${option} must be a host name, not ${describe(name)}`);
  if (found.family !== undefined) {
    throw new ArgumentError(`${option} must be a host name, not the address ${describe(name)}`);
  }
  return found.text;
}

/** The host name among the bytes that a peer sent for one (one character for each), in its one spelling; undefined for anything else. */
export function receivedName(name: string): string | undefined {
  if (!ASCII_NAME.test(name)) return undefined;
  const found = readHost(name);
  return found === undefined || found.family !== undefined ? undefined : found.text;
}

/** RFC 6761 section 6.3: `localhost` and every name below it are this machine. */
export function isLoopbackName(name: string): boolean {
  const plain = (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
  return plain === "localhost" || plain.endsWith(".localhost");
}

function toAscii(name: string): string | undefined {
  if (ASCII_NAME.test(name)) return name.toLowerCase();
  // Converting parses a URL, which ends a name at one character, drops another and decodes a third: none may be in it.
  const others = name.replace(/[A-Za-z0-9_.-]/g, "");
  if (name.length > MAX_NAME || !OTHER_CHARACTERS.test(others)) return undefined;
  const ascii = domainToASCII(name).toLowerCase();
  return ASCII_NAME.test(ascii) ? ascii : undefined;
}

function address(family: "IPv4" | "IPv6", text: string, zone?: string): Host {
  return { family, text, zone, isAbsolute: false };
}

function readAddress(text: string): Host | undefined {
  return isIPv4(text) ? address("IPv4", text) : readIPv6(text);
}

function readIPv6(given: string): Host | undefined {
  const at = given.indexOf("%");
  const bare = at < 0 ? given : given.slice(0, at);
  const zone = at < 0 ? undefined : given.slice(at + 1);
  if (!isIPv6(bare) || (zone !== undefined && !isZone(zone))) return undefined;
  const { address: text } = new SocketAddress({ address: bare, family: "ipv6" });
  const tail = text.startsWith(IPV4_MAPPED) ? text.slice(IPV4_MAPPED.length) : "";
  return isIPv4(tail) ? address("IPv4", tail) : address("IPv6", text, zone);
}

function isZone(zone: string): boolean {
  return ZONE.test(zone) && (!/^\d+$/.test(zone) || Number(zone) <= MAX_ZONE);
}

/** As inet_aton: up to four numbers, decimal, octal or hexadecimal; the last one fills the rest. */
function readNumbers(parts: readonly string[]): Host | undefined {
  const numbers = parts.map(numberOf);
  const last = numbers.pop() as number;
  if (numbers.length > 3 || numbers.some((number) => !(number <= 0xff)) || !(last < 256 ** (4 - numbers.length))) {
    return undefined;
  }
  const all = numbers.reduce((sum, number, index) => sum + number * 256 ** (3 - index), last);
  return address("IPv4", [24, 16, 8, 0].map((shift) => Math.floor(all / 2 ** shift) % 256).join("."));
}

/** NaN for what is no number. */
function numberOf(part: string): number {
  if (!NUMBER.test(part)) return Number.NaN;
  if (part.startsWith("0x") || part === "0" || !part.startsWith("0")) return Number(part);
  return /^[0-7]+$/.test(part) ? Number.parseInt(part, 8) : Number.NaN;
}
