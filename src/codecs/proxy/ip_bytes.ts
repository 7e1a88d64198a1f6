import { type InetAddress, literalAddress } from "../../base/addresses.js";

const IPV4_MAPPED = "::ffff:";

/** The four bytes of an address in dots. */
function ipv4Bytes(host: string): number[] {
  return host.split(".").map(Number);
}

/** The groups of one side of `::`, as bytes; the last may be an IPv4 address. */
function groupBytes(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return ipv4Bytes(group);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** The bytes of a literal address: 4, or 16 where an IPv4 address is to be mapped into IPv6 too. */
export function addressBytes(host: string, family: "IPv4" | "IPv6"): Buffer {
  if (family === "IPv4") return Buffer.from(ipv4Bytes(host));
  const text = host.includes(":") ? host : IPV4_MAPPED + host;
  const at = text.indexOf("::");
  if (at < 0) return Buffer.from(groupBytes(text));
  const bytes = Buffer.alloc(16);
  bytes.set(groupBytes(text.slice(0, at)));
  const tail = groupBytes(text.slice(at + 2));
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** As connections report an address: in its one spelling, and mapped ones as IPv4. */
export function inetAddress(host: string, port: number): InetAddress {
  return literalAddress(host, port) as InetAddress;
}

export function ipv4At(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join(".");
}

export function ipv6At(bytes: Buffer, at: number): string {
  return Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(at + 2 * group).toString(16)).join(":");
}
