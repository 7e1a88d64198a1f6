import { isIPv4, isIPv6 } from "node:net";
import type { InetAddress } from "../../base/addresses.js";
import { MAX_PROXY_TEXT_HEADER } from "../../base/limits.js";
import { faulty, type ProxyHeader } from "./header.js";
import { inetAddress } from "./ip_bytes.js";

/** How a header of version 1 begins. */
export const TEXT_PREFIX = Buffer.from("PROXY ");

const CR = 0x0d;
const LF = 0x0a;
const IPV6 = /^[0-9A-Fa-f:.]+$/;
const PORT = /^(?:0|[1-9]\d{0,4})$/;

const UNKNOWN: ProxyHeader = Object.freeze({
  version: 1,
  command: "proxy",
  protocol: undefined,
  source: undefined,
  destination: undefined,
  tlvs: Object.freeze([]),
});

/**
 * Where a header of version 1 that begins these bytes ends, behind its line end; undefined while that is not there. Throws for a
 * line that is too long or has a stray CR or LF.
 */
export function textEnd(bytes: Buffer, length: number): number | undefined {
  const most = Math.min(length, MAX_PROXY_TEXT_HEADER);
  for (let at = TEXT_PREFIX.length; at < most; at++) {
    if (bytes[at] === LF) {
      if (bytes[at - 1] !== CR) throw faulty("a PROXY header of version 1 must end with CR LF");
      return at + 1;
    }
    if (bytes[at - 1] === CR) throw faulty("a PROXY header of version 1 must have no CR but before its LF");
  }
  if (length >= MAX_PROXY_TEXT_HEADER) {
    throw faulty(`a PROXY header of version 1 must have at most ${MAX_PROXY_TEXT_HEADER} bytes`);
  }
  return undefined;
}

/** Reads a whole header of version 1, its line end included. */
export function readText(bytes: Buffer): ProxyHeader {
  const line = bytes.toString("latin1", TEXT_PREFIX.length, bytes.length - 2);
  // Whatever else stands there is to be ignored.
  if (line === "UNKNOWN" || line.startsWith("UNKNOWN ")) return UNKNOWN;
  const [family, source, destination, sourcePort, destinationPort, ...more] = line.split(" ");
  if ((family !== "TCP4" && family !== "TCP6") || destinationPort === undefined || more.length > 0) {
    throw faulty(`this is no PROXY header of version 1: ${JSON.stringify(`PROXY ${line}`)}`);
  }
  return {
    version: 1,
    command: "proxy",
    protocol: "stream",
    source: place(family, source!, sourcePort!),
    destination: place(family, destination!, destinationPort),
    tlvs: [],
  };
}

function place(family: "TCP4" | "TCP6", host: string, port: string): InetAddress {
  const isHost = family === "TCP4" ? isIPv4(host) : isIPv6(host) && IPV6.test(host);
  if (!isHost) throw faulty(`a PROXY header of version 1 has no ${family} address: ${JSON.stringify(host)}`);
  if (!PORT.test(port) || Number(port) > 65535) {
    throw faulty(`a PROXY header of version 1 has no port: ${JSON.stringify(port)}`);
  }
  return inetAddress(host, Number(port));
}
