import { checkPort, describe, literalAddress, type SocketAddress } from "../../base/addresses.js";
import { checkBoolean, checkInteger, checkObject } from "../../base/checks.js";
import { ArgumentError } from "../../base/errors.js";
import { checkOptions, type Names } from "../../base/known_names.js";
import { MAX_PROXY_HEADER } from "../../base/limits.js";
import { isAbstractName, unixNameBytes } from "../../base/unix_name.js";
import { Command, Family, FIXED_PART, SIGNATURE, TLV_HEAD, Transport, UNIX_NAME } from "./binary_header.js";
import { crc32c } from "./crc32c.js";
import { ProxyTlvType } from "./header.js";
import { addressBytes } from "./ip_bytes.js";

/** What a PROXY protocol header is to say. */
export interface ProxyHeaderOptions {
  /** 1 is a line of text, 2 is binary and may have TLVs. Default 2. */
  version?: 1 | 2;
  /** Who is proxied. Default: it is not said (`UNKNOWN`). With it `destination` has to be given. */
  source?: SocketAddress | undefined;
  /** Whom that peer connected to. */
  destination?: SocketAddress | undefined;
  /** How that peer speaks. Default `"stream"`; `"datagram"` is version 2's. */
  protocol?: "stream" | "datagram";
  /** Nobody is proxied: the connection is the sender's own, as a health check's is. Default false; version 2. */
  local?: boolean;
  /** Further facts, of version 2: a type from 0 to 255, and bytes or text. Default none. */
  tlvs?: readonly { readonly type: number; readonly value: Uint8Array | string }[];
  /** Add a CRC-32C over the whole header, of version 2. Default false. */
  checksum?: boolean;
}

const OPTIONS: Names<ProxyHeaderOptions> = {
  version: true,
  source: true,
  destination: true,
  protocol: true,
  local: true,
  tlvs: true,
  checksum: true,
};

/** Makes the bytes of a PROXY protocol header. Throws ArgumentError for what a header of that version cannot say. */
export function proxyHeader(options: ProxyHeaderOptions = {}, what = "options"): Buffer {
  checkOptions(options, OPTIONS, what);
  const { version = 2, protocol = "stream", local = false, checksum = false, tlvs = [] } = options;
  if (version !== 1 && version !== 2) throw new ArgumentError(`version must be 1 or 2, not ${describe(version)}`);
  if (protocol !== "stream" && protocol !== "datagram") {
    throw new ArgumentError(`protocol must be "stream" or "datagram", not ${describe(protocol)}`);
  }
  checkBoolean(local, "local");
  checkBoolean(checksum, "checksum");
  if (!Array.isArray(tlvs)) throw new ArgumentError(`tlvs must be an array, not ${describe(tlvs)}`);
  const ends = endsOf(options);
  if (local && (ends !== undefined || tlvs.length > 0 || checksum)) {
    throw new ArgumentError("a local header says nothing else: source, destination, tlvs and checksum must be absent");
  }
  if (version === 2) return binary(ends, protocol, local, tlvs, checksum);
  if (local || tlvs.length > 0 || checksum || protocol === "datagram") {
    throw new ArgumentError("version 1 has no local, tlvs, checksum and datagrams: they are version 2's");
  }
  return text(ends);
}

/** A host and a port, or the bytes of a Unix socket's name, of both. */
type Ends =
  | { family: "IPv4" | "IPv6"; source: InetEnd; destination: InetEnd }
  | { family: "unix"; source: Buffer; destination: Buffer };
type InetEnd = { host: string; port: number };

function endsOf({ source, destination }: ProxyHeaderOptions): Ends | undefined {
  if (source === undefined && destination === undefined) return undefined;
  if (source === undefined || destination === undefined) {
    throw new ArgumentError("source and destination must be given together");
  }
  const from = endOf(source, "source");
  const to = endOf(destination, "destination");
  if (Buffer.isBuffer(from) && Buffer.isBuffer(to)) return { family: "unix", source: from, destination: to };
  if (Buffer.isBuffer(from) || Buffer.isBuffer(to)) {
    throw new ArgumentError("source and destination must both be Unix sockets, or none of them");
  }
  const isIPv6 = from.host.includes(":") || to.host.includes(":");
  return { family: isIPv6 ? "IPv6" : "IPv4", source: from, destination: to };
}

function endOf(address: SocketAddress, name: string): InetEnd | Buffer {
  checkObject(address, name);
  if (address.family === "unix") {
    const { path } = address;
    if (typeof path !== "string" && !((path as unknown) instanceof Uint8Array)) {
      throw new ArgumentError(`${name}.path must be a string, or bytes, not ${describe(path)}`);
    }
    const bytes = unixNameBytes(path);
    // A receiver finds its end by the NULs behind it.
    const isClear = isAbstractName(path) ? bytes.at(-1) !== 0 : !bytes.includes(0);
    if (bytes.length > UNIX_NAME || !isClear) {
      throw new ArgumentError(
        `${name}.path must be a Unix socket's name that a header can carry, not ${describe(path)}`,
      );
    }
    return bytes;
  }
  const { host } = address;
  const port = checkPort(address.port, 0, `${name}.port`);
  const found = typeof host === "string" && !host.includes("%") ? literalAddress(host, port) : undefined;
  if (found === undefined) {
    throw new ArgumentError(`${name}.host must be an IP address without a zone, not ${describe(host)}`);
  }
  return { host: found.host, port };
}

function text(ends: Ends | undefined): Buffer {
  if (ends === undefined) return Buffer.from("PROXY UNKNOWN\r\n");
  if (ends.family === "unix") throw new ArgumentError("version 1 has no Unix sockets: they are version 2's");
  const { source, destination } = ends;
  const spelt = ({ host }: InetEnd): string =>
    ends.family === "IPv6" && !host.includes(":") ? `::ffff:${host}` : host;
  const family = ends.family === "IPv4" ? "TCP4" : "TCP6";
  return Buffer.from(`PROXY ${family} ${spelt(source)} ${spelt(destination)} ${source.port} ${destination.port}\r\n`);
}

function binary(
  ends: Ends | undefined,
  protocol: "stream" | "datagram",
  local: boolean,
  tlvs: NonNullable<ProxyHeaderOptions["tlvs"]>,
  checksum: boolean,
): Buffer {
  const parts = [Buffer.alloc(FIXED_PART), ...addresses(ends), ...tlvs.map(tlvBytes)];
  const sum = Buffer.from([ProxyTlvType.crc32c, 0, 4, 0, 0, 0, 0]);
  if (checksum) parts.push(sum);
  const bytes = Buffer.concat(parts);
  if (bytes.length > MAX_PROXY_HEADER) {
    throw new ArgumentError(`a PROXY header must have at most ${MAX_PROXY_HEADER} bytes, not ${bytes.length}`);
  }
  const family = { none: Family.unspecified, IPv4: Family.ipv4, IPv6: Family.ipv6, unix: Family.unix };
  const transport = ends === undefined ? Transport.unspecified : Transport[protocol];
  bytes.set(SIGNATURE);
  bytes[12] = (2 << 4) | (local ? Command.local : Command.proxy);
  bytes[13] = (family[ends?.family ?? "none"] << 4) | transport;
  bytes.writeUInt16BE(bytes.length - FIXED_PART, 14);
  if (checksum) bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4);
  return bytes;
}

function addresses(ends: Ends | undefined): Buffer[] {
  if (ends === undefined) return [];
  if (ends.family === "unix") {
    return [ends.source, ends.destination].map((name) => Buffer.concat([name], UNIX_NAME));
  }
  const { family, source, destination } = ends;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  return [addressBytes(source.host, family), addressBytes(destination.host, family), ports];
}

function tlvBytes(tlv: { type: number; value: Uint8Array | string }): Buffer {
  checkObject(tlv, "tlvs");
  const type = checkInteger(tlv.type, "tlvs.type", 0, 0xff);
  if (type === ProxyTlvType.crc32c) throw new ArgumentError("the checksum is made where checksum is true");
  const { value } = tlv;
  if (typeof value !== "string" && !((value as unknown) instanceof Uint8Array)) {
    throw new ArgumentError(`tlvs.value must be bytes or text, not ${describe(value)}`);
  }
  const bytes = Buffer.from(value as string);
  if (bytes.length > MAX_PROXY_HEADER) {
    throw new ArgumentError(`a PROXY header must have at most ${MAX_PROXY_HEADER} bytes`);
  }
  const head = Buffer.alloc(TLV_HEAD);
  head[0] = type;
  head.writeUInt16BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}
