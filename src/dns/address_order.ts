import { isIPv4 } from "node:net";

/**
 * The order in which a host tries the addresses of a name: RFC 6724 section 6, with the sources of section 5. Which of a machine's
 * addresses are deprecated, are home addresses or lie behind a tunnel is not to be known here: rules 3, 4 and 7 are left out.
 * Rule 9 compares prefixes of IPv6 alone: among IPv4 addresses the order is the server's.
 */

/** Precedence and label by prefix: section 2.1. */
const POLICY: readonly { prefix: Uint8Array; bits: number; precedence: number; label: number }[] = [
  policy("::1", 128, 50, 0),
  policy("::ffff:0:0", 96, 35, 4),
  policy("::", 96, 1, 3),
  policy("2002::", 16, 30, 2),
  policy("2001::", 32, 5, 5),
  policy("fc00::", 7, 3, 13),
  policy("fec0::", 10, 1, 11),
  policy("3ffe::", 16, 1, 12),
  policy("::", 0, 40, 1),
];

const LINK_LOCAL = 2;
const SITE_LOCAL = 5;
const GLOBAL = 14;
/** Source prefixes are compared up to here: the rest says which host it is, not where. */
const PREFIX = 64;

interface Place {
  readonly bytes: Uint8Array;
  readonly isIPv4: boolean;
  readonly isLoopback: boolean;
  readonly scope: number;
  readonly precedence: number;
  readonly label: number;
}

/** Sorts addresses, best first, by what `sources`, the addresses of this machine, can reach. Equals keep their order. */
export function orderAddresses(addresses: readonly string[], sources: readonly string[]): string[] {
  const from = sources.map(placeOf);
  const rated = addresses.map((address) => {
    const place = placeOf(address);
    return { address, place, source: sourceFor(place, from) };
  });
  type Rated = (typeof rated)[number];
  const matches = ({ place, source }: Rated, of: (each: Place) => number) =>
    source !== undefined && of(source) === of(place) ? 1 : 0;
  const compare = (a: Rated, b: Rated): number =>
    Number(b.source !== undefined) - Number(a.source !== undefined) ||
    matches(b, scopeOf) - matches(a, scopeOf) ||
    matches(b, labelOf) - matches(a, labelOf) ||
    b.place.precedence - a.place.precedence ||
    a.place.scope - b.place.scope ||
    commonPrefix(b) - commonPrefix(a);
  const commonPrefix = ({ place, source }: Rated): number =>
    source === undefined || place.isIPv4 ? 0 : common(place.bytes, source.bytes);
  // Addresses of different families have no prefix in common; the rules before tell them apart, or nothing does.
  return rated
    .sort((a, b) => (a.place.isIPv4 === b.place.isIPv4 ? compare(a, b) : compare(withoutPrefix(a), withoutPrefix(b))))
    .map(({ address }) => address);

  function withoutPrefix(each: Rated): Rated {
    return { ...each, place: { ...each.place, isIPv4: true } };
  }
}

/** The machine's own address that a connection there would come from: section 5. */
function sourceFor(destination: Place, sources: readonly Place[]): Place | undefined {
  let best: Place | undefined;
  for (const source of sources) {
    if (source.isIPv4 !== destination.isIPv4 || source.isLoopback !== destination.isLoopback) continue;
    // An address of one link alone, on a machine that has no other, leads nowhere else.
    if (!source.isIPv4 && source.scope < destination.scope && source.scope === LINK_LOCAL) continue;
    if (best === undefined || isBetterSource(source, best, destination)) best = source;
  }
  return best;
}

function isBetterSource(a: Place, b: Place, destination: Place): boolean {
  const [isSame, isOther] = [common(a.bytes, destination.bytes, 128), common(b.bytes, destination.bytes, 128)];
  if (isSame === 128 || isOther === 128) return isSame === 128 && isOther !== 128;
  if (a.scope !== b.scope) return a.scope < b.scope ? a.scope >= destination.scope : b.scope < destination.scope;
  const [labelled, other] = [a.label === destination.label, b.label === destination.label];
  if (labelled !== other) return labelled;
  return common(a.bytes, destination.bytes) > common(b.bytes, destination.bytes);
}

function scopeOf({ scope }: Place): number {
  return scope;
}

function labelOf({ label }: Place): number {
  return label;
}

function placeOf(address: string): Place {
  const isFour = isIPv4(address);
  const bytes = bytesOf(isFour ? `::ffff:${address}` : address);
  const { precedence, label } = POLICY.find((each) => common(each.prefix, bytes, each.bits) >= each.bits) as {
    precedence: number;
    label: number;
  };
  const isLoopback = isFour ? bytes[12] === 127 : label === 0;
  return { bytes, isIPv4: isFour, isLoopback, scope: scopeOfBytes(bytes, isFour), precedence, label };
}

/** Section 3.1, and 3.2 for IPv4: loopback and autoconfigured addresses are of the link, private ones are global. */
function scopeOfBytes(bytes: Uint8Array, isFour: boolean): number {
  const [first = 0, second = 0] = bytes;
  if (isFour) return bytes[12] === 127 || (bytes[12] === 169 && bytes[13] === 254) ? LINK_LOCAL : GLOBAL;
  if (first === 0xff) return second & 0x0f;
  if (first === 0xfe && (second & 0xc0) === 0x80) return LINK_LOCAL;
  if (first === 0xfe && (second & 0xc0) === 0xc0) return SITE_LOCAL;
  return bytes.every((byte, index) => byte === (index === 15 ? 1 : 0)) ? LINK_LOCAL : GLOBAL;
}

/** How many leading bits are the same, at most `most`. */
function common(a: Uint8Array, b: Uint8Array, most = PREFIX): number {
  for (let index = 0; index * 8 < most; index++) {
    const different = (a[index] as number) ^ (b[index] as number);
    if (different !== 0) return Math.min(most, index * 8 + Math.clz32(different) - 24);
  }
  return most;
}

function policy(prefix: string, bits: number, precedence: number, label: number) {
  return { prefix: bytesOf(prefix), bits, precedence, label };
}

/** The sixteen bytes of an IPv6 address; its zone is no part of them. */
function bytesOf(address: string): Uint8Array {
  const [plain = ""] = address.split("%");
  const [head = "", tail] = plain.split("::");
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const bytes = new Uint8Array(16);
  bytes.set(left);
  bytes.set(right, 16 - right.length);
  return bytes;
}

function groups(part: string): number[] {
  if (part === "") return [];
  return part.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
