import { receivedName } from "../../base/host_names.js";
import { MAX_CLIENT_HELLO } from "../../base/limits.js";
import { SIGNATURE } from "../proxy/binary_header.js";
import { TEXT_PREFIX } from "../proxy/text_header.js";
import { readClientHello } from "./client_hello.js";

/** A protocol that the first bytes of a client show: `none` where it said nothing, `unknown` where they show none of the others. */
export type PeekedProtocol = "tls" | "http1" | "http2" | "ssh" | "socks4" | "socks5" | "proxy" | "unknown" | "none";

export const PROTOCOLS: readonly PeekedProtocol[] = [
  "tls",
  "http1",
  "http2",
  "ssh",
  "socks4",
  "socks5",
  "proxy",
  "unknown",
  "none",
];

/** What the first bytes of a client show. */
export interface Peeked {
  /** Which protocol it speaks. */
  readonly protocol: PeekedProtocol;
  /** Of TLS, the host that it asks for (SNI), in lower case. */
  readonly serverName: string | undefined;
  /** Of TLS, the protocols it would speak inside, in its order. */
  readonly alpn: readonly string[];
  /** Of HTTP/1, the host that its first request is for, in lower case and without its port. */
  readonly host: string | undefined;
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const SSH = Buffer.from("SSH-");
const REQUEST_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} (\S+) HTTP\/1\.[01]$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\0-\x1f\x7f]/;
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(?: |$)/;
/** The host of a URL in a request line, and a Host field's, each with its port. */
const AUTHORITY = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i;
const WITH_PORT = /^(.*?)(?::\d*)?$/;

/** What a number of bytes shows that cannot be anything else. */
export function peeked(protocol: PeekedProtocol, more: Partial<Peeked> = {}): Peeked {
  return { protocol, serverName: undefined, alpn: [], host: undefined, ...more };
}

/** Looks at the first bytes that a client has sent; undefined while they do not show enough. Keeps nothing. */
export function peekProtocol(bytes: Buffer): Peeked | undefined {
  if (bytes.length === 0) return undefined;
  switch (bytes[0]) {
    case 0x16: {
      const hello = readClientHello(bytes, MAX_CLIENT_HELLO);
      if (hello === "more") return undefined;
      return hello === undefined ? peeked("unknown") : peeked("tls", hello);
    }
    case 0x04:
      return bytes.length < 2 ? undefined : peeked(bytes[1] === 1 || bytes[1] === 2 ? "socks4" : "unknown");
    case 0x05:
      return bytes.length < 2 ? undefined : peeked(bytes[1]! > 0 ? "socks5" : "unknown");
  }
  for (const [start, protocol] of [
    [SSH, "ssh"],
    [PREFACE, "http2"],
    [TEXT_PREFIX, "proxy"],
    [SIGNATURE, "proxy"],
  ] as const) {
    const length = Math.min(bytes.length, start.length);
    if (bytes.compare(start, 0, length, 0, length) !== 0) continue;
    return length < start.length ? undefined : peeked(protocol);
  }
  return peekRequest(bytes);
}

/** A request's whole header section is waited for: two hosts are none. */
function peekRequest(bytes: Buffer): Peeked | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  const text = bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
  const [line = "", ...fields] = text.split("\r\n");
  const isWhole = text.length > line.length || end >= 0;
  // Neither does a line that goes on have a control character, but for the CR of its end.
  if (CONTROLS.test(line.endsWith("\r") ? line.slice(0, -1) : line)) return peeked("unknown");
  if (!(isWhole ? REQUEST_LINE : METHOD).test(line)) {
    // A method that is not whole may go on.
    return !isWhole && /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/.test(line) ? undefined : peeked("unknown");
  }
  if (end < 0) return undefined;
  const hosts = fields.flatMap((field) => {
    const at = field.indexOf(":");
    return field.slice(0, at).toLowerCase() === "host" ? [field.slice(at + 1).trim()] : [];
  });
  const target = REQUEST_LINE.exec(line)?.[1] ?? "";
  const authority = AUTHORITY.exec(target)?.[1];
  const [first, ...others] = [...(authority === undefined ? [] : [authority]), ...hosts].map(hostOf);
  return peeked("http1", { host: others.every((other) => other === first) ? first : undefined });
}

function hostOf(authority: string): string | undefined {
  const host = WITH_PORT.exec(authority)?.[1] ?? "";
  return receivedName(host);
}
