import { receivedName } from "../../base/host_names.js";

const HANDSHAKE = 0x16;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
const MOST_RECORD = 16384 + 2048;

/** What a client says of itself when it begins with TLS. */
export interface ClientHello {
  /** The host it asks for, in lower case; undefined where it names none, or none that is a host's name. */
  readonly serverName: string | undefined;
  /** The protocols it would speak, in its order. */
  readonly alpn: readonly string[];
}

/** Reads vectors of TLS (RFC 8446 section 3.4) one after another; `isBroken` where they reach beyond their end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  isBroken = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.isBroken ? 0 : this.#bytes.length - this.#at;
  }

  number(size: 1 | 2): number {
    const bytes = this.bytes(size);
    return bytes.length === size ? bytes.readUIntBE(0, size) : 0;
  }

  bytes(size: number): Buffer {
    if (this.isBroken || this.#at + size > this.#bytes.length) {
      this.isBroken = true;
      return Buffer.alloc(0);
    }
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  vector(size: 1 | 2): Buffer {
    return this.bytes(this.number(size));
  }
}

/**
 * Reads the hello of a client that begins with TLS, without taking part in it: "more" while it is not whole, undefined for what is none. It may stand in several
 * records. `most` is the longest that is read.
 */
export function readClientHello(bytes: Buffer, most: number): ClientHello | "more" | undefined {
  const message = messageOf(bytes, most);
  return Buffer.isBuffer(message) ? readHello(message) : message;
}

/** The first handshake message, of as many records as it takes. */
function messageOf(bytes: Buffer, most: number): Buffer | "more" | undefined {
  const parts: Buffer[] = [];
  let have = 0;
  for (let at = 0; ; ) {
    if (bytes.length > at && bytes[at] !== HANDSHAKE) return undefined;
    if (bytes.length > at + 1 && bytes[at + 1] !== 3) return undefined;
    if (bytes.length < at + 5) return "more";
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > MOST_RECORD) return undefined;
    const part = bytes.subarray(at + 5, at + 5 + length);
    parts.push(part);
    have += part.length;
    const message = parts.length === 1 ? part : Buffer.concat(parts);
    if (have > 0 && message[0] !== CLIENT_HELLO) return undefined;
    if (have >= 4) {
      const size = 4 + message.readUIntBE(1, 3);
      if (size > most) return undefined;
      if (have >= size) return message.subarray(4, size);
    }
    if (part.length < length) return "more";
    at += 5 + length;
  }
}

function readHello(message: Buffer): ClientHello | undefined {
  const reader = new Reader(message);
  reader.bytes(2 + 32);
  reader.vector(1);
  reader.vector(2);
  reader.vector(1);
  const extensions = new Reader(reader.left > 0 ? reader.vector(2) : Buffer.alloc(0));
  let serverName: string | undefined;
  let alpn: string[] = [];
  const seen = new Set<number>();
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const body = new Reader(extensions.vector(2));
    // RFC 8446 section 4.2: none comes twice.
    if (seen.has(type)) return undefined;
    seen.add(type);
    if (type === SERVER_NAME) serverName = nameIn(body);
    if (type === ALPN) alpn = protocolsIn(body);
    if (body.isBroken) return undefined;
  }
  return reader.isBroken || extensions.isBroken ? undefined : { serverName, alpn };
}

function nameIn(body: Reader): string | undefined {
  const list = new Reader(body.vector(2));
  const type = list.number(1);
  const name = list.vector(2);
  if (list.isBroken || list.left > 0 || type !== 0) {
    body.isBroken = true;
    return undefined;
  }
  return receivedName(name.toString("latin1"));
}

function protocolsIn(body: Reader): string[] {
  const list = new Reader(body.vector(2));
  const names: string[] = [];
  while (list.left > 0) names.push(list.vector(1).toString("latin1"));
  if (list.isBroken) body.isBroken = true;
  return names;
}
