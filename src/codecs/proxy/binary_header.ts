import type { SocketAddress } from "../../base/addresses.js";
import { MAX_PROXY_HEADER } from "../../base/limits.js";
import { unixName } from "../../base/unix_name.js";
import { crc32c } from "./crc32c.js";
import { faulty, type ProxyHeader, type ProxyTlv, ProxyTlvType } from "./header.js";
import { inetAddress, ipv4At, ipv6At } from "./ip_bytes.js";

/** How a header of version 2 begins. */
export const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** The signature, version and command, family and protocol, and the length of the rest. */
export const FIXED_PART = 16;
/** Of each of the two Unix names. */
export const UNIX_NAME = 108;
/** Of type and length. */
export const TLV_HEAD = 3;

export const Command = { local: 0, proxy: 1 } as const;
export const Family = { unspecified: 0, ipv4: 1, ipv6: 2, unix: 3 } as const;
export const Transport = { unspecified: 0, stream: 1, datagram: 2 } as const;

/** What the addresses of each family take. */
const SIZES: Readonly<Record<number, number>> = {
  [Family.unspecified]: 0,
  [Family.ipv4]: 12,
  [Family.ipv6]: 36,
  [Family.unix]: 2 * UNIX_NAME,
};

/** How long the header is whose fixed part this is. Throws for what is no header of version 2. */
export function binaryLength(bytes: Buffer): number {
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 0xf;
  if (version !== 2) throw faulty(`a binary PROXY header must be of version 2, not ${version}`);
  if (command > Command.proxy) throw faulty(`a PROXY header must have the command LOCAL or PROXY, not ${command}`);
  const length = FIXED_PART + bytes.readUInt16BE(14);
  if (length > MAX_PROXY_HEADER) {
    throw faulty(`a PROXY header of version 2 must have at most ${MAX_PROXY_HEADER} bytes, not ${length}`);
  }
  // Of a LOCAL one everything is to be ignored but the length.
  if (command === Command.local) return length;
  const family = bytes[13]! >> 4;
  const transport = bytes[13]! & 0xf;
  const isKnown = family <= Family.unix && transport <= Transport.datagram;
  if (!isKnown || (family === Family.unspecified) !== (transport === Transport.unspecified)) {
    throw faulty(`a PROXY header has no family and protocol 0x${bytes[13]!.toString(16).padStart(2, "0")}`);
  }
  const size = SIZES[family]!;
  if (length < FIXED_PART + size) {
    throw faulty(`a PROXY header of this family must have ${size} bytes of addresses, not ${length - FIXED_PART}`);
  }
  return length;
}

/** Reads a whole header of version 2, whose length `binaryLength` has told. */
export function readBinary(bytes: Buffer): ProxyHeader {
  if ((bytes[12]! & 0xf) === Command.local) {
    return {
      version: 2,
      command: "local",
      protocol: undefined,
      source: undefined,
      destination: undefined,
      tlvs: [],
    };
  }
  const family = bytes[13]! >> 4;
  const transport = bytes[13]! & 0xf;
  const [source, destination] = places(bytes, family);
  const protocol =
    transport === Transport.stream ? "stream" : transport === Transport.datagram ? "datagram" : undefined;
  return { version: 2, command: "proxy", protocol, source, destination, tlvs: readTlvs(bytes, family) };
}

function places(bytes: Buffer, family: number): [SocketAddress | undefined, SocketAddress | undefined] {
  const at = FIXED_PART;
  switch (family) {
    case Family.ipv4:
      return [
        inetAddress(ipv4At(bytes, at), bytes.readUInt16BE(at + 8)),
        inetAddress(ipv4At(bytes, at + 4), bytes.readUInt16BE(at + 10)),
      ];
    case Family.ipv6:
      return [
        inetAddress(ipv6At(bytes, at), bytes.readUInt16BE(at + 32)),
        inetAddress(ipv6At(bytes, at + 16), bytes.readUInt16BE(at + 34)),
      ];
    case Family.unix:
      return [unixAt(bytes, at), unixAt(bytes, at + UNIX_NAME)];
    default:
      return [undefined, undefined];
  }
}

/** A path ends with its first NUL; an abstract name, which begins with one, with the last byte that is none. */
function unixAt(bytes: Buffer, at: number): SocketAddress {
  const name = bytes.subarray(at, at + UNIX_NAME);
  let end = name.indexOf(0);
  if (end < 0) end = UNIX_NAME;
  if (end === 0) {
    end = UNIX_NAME;
    while (end > 0 && name[end - 1] === 0) end--;
  }
  return { family: "unix", path: unixName(name.subarray(0, end)) };
}

function readTlvs(bytes: Buffer, family: number): readonly ProxyTlv[] {
  const tlvs: ProxyTlv[] = [];
  let at = FIXED_PART + SIZES[family]!;
  let isChecked = false;
  while (at < bytes.length) {
    const length = at + TLV_HEAD <= bytes.length ? bytes.readUInt16BE(at + 1) : Number.POSITIVE_INFINITY;
    const start = at + TLV_HEAD;
    if (start + length > bytes.length) throw faulty("a PROXY header has a TLV that reaches beyond its end");
    const type = bytes[at]!;
    if (type === ProxyTlvType.crc32c) {
      if (isChecked) throw faulty("a PROXY header has two checksums");
      isChecked = true;
      checkSum(bytes, start, length);
    } else if (type !== ProxyTlvType.noop) {
      tlvs.push({ type, value: Buffer.from(bytes.subarray(start, start + length)) });
    }
    at = start + length;
  }
  return tlvs;
}

/** It is that of the whole header, with zeros in its own place. */
function checkSum(bytes: Buffer, at: number, length: number): void {
  if (length !== 4) throw faulty(`a PROXY header's checksum must have 4 bytes, not ${length}`);
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(0, at);
  if (crc32c(copy) !== bytes.readUInt32BE(at)) throw faulty("a PROXY header's checksum is wrong");
}
