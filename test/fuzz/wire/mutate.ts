import type { Random } from "../../support/random.js";
import { type Extension, encodeHello, type Hello, handshake, inRecords, parseHello, record } from "./hello.js";

/** The content types of records (RFC 8446 section 5.1). */
const TYPES = [20, 21, 22, 23, 24, 0, 255] as const;
const VERSIONS = [0x0300, 0x0301, 0x0302, 0x0303, 0x0304, 0x7f1c, 0, 0xffff] as const;
/** Server name, groups, signatures, ALPN, status, maximal fragment, tickets, keys, PSK, versions, cookie, early data, padding, unknown. */
const EXTENSIONS = [0, 10, 13, 16, 5, 1, 35, 51, 41, 43, 44, 42, 21, 22, 23, 49, 50, 17513, 65281, 0x1a1a] as const;

/** What has its meaning at the edges of OpenSSL's and our own sizes. */
const LENGTHS = [0, 1, 2, 255, 256, 16_384, 16_385, 16_640, 16_641, 32_768, 65_535] as const;

export function junk(random: Random, size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => random.between(0, 255)));
}

/** Changes some bytes without a thought of what they mean. */
export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0) return junk(random, random.between(0, 3));
  const copy = Buffer.from(bytes);
  const at = random.between(0, copy.length - 1);
  const until = Math.min(copy.length, at + 1 + random.size(64));
  switch (random.between(0, 8)) {
    case 0:
      copy[at] = (copy[at] ?? 0) ^ (1 << random.between(0, 7));
      return copy;
    case 1:
      copy[at] = random.pick([0, 1, 0x7f, 0x80, 0xff]);
      return copy;
    case 2:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(until)]);
    case 3:
      return Buffer.concat([copy.subarray(0, until), copy.subarray(at)]);
    case 4:
      return Buffer.concat([copy.subarray(0, at), junk(random, 1 + random.size(64)), copy.subarray(at)]);
    case 5:
      return copy.subarray(0, at);
    case 6:
      return Buffer.concat([copy, junk(random, 1 + random.size(300))]);
    case 7:
      if (copy.length > at + 1) copy.writeUInt16BE(random.pick(LENGTHS), at);
      return copy;
    default:
      return copy.fill(junk(random, until - at), at, until);
  }
}

/** A hello that differs from a real one: in its fields, in its bytes, in its records, or in all of them. */
export function mutateHello(original: Buffer, random: Random): Buffer {
  let message = encodeHello(mutateFields(parseHello(original), random));
  if (random.oneIn(3)) message = mutateBytes(message, random);
  if (message.length > 3 && random.oneIn(8)) message.writeUIntBE(random.between(0, 0xffffff), 1, 3);
  const size = random.oneIn(4) ? random.between(1, 200) : 16_384;
  let flight = inRecords(message, size);
  if (random.oneIn(6)) flight = mutateBytes(flight, random);
  if (random.oneIn(12)) flight = Buffer.concat([strayRecord(random), flight]);
  if (random.oneIn(12)) flight = Buffer.concat([flight, strayRecord(random)]);
  if (random.oneIn(40)) flight = Buffer.concat([flight, flight]);
  return flight;
}

function mutateFields(hello: Hello, random: Random): Hello {
  const { extensions } = hello;
  for (let changes = random.between(0, 4); changes > 0; changes--) {
    const at = random.between(0, Math.max(0, extensions.length - 1));
    const extension = extensions[at];
    switch (random.between(0, 12)) {
      case 0:
        hello.version = random.pick(VERSIONS);
        break;
      case 1:
        hello.sessionId = junk(random, random.between(0, 40));
        break;
      case 2:
        hello.suites = mutateBytes(hello.suites, random);
        break;
      case 3:
        hello.compression = junk(random, random.between(0, 3));
        break;
      case 4:
        extensions.splice(at, 1);
        break;
      case 5:
        if (extension !== undefined) extensions.push(extension);
        break;
      case 6:
        extensions.splice(at, 0, strayExtension(random));
        break;
      case 7:
        extensions.sort(() => random.next() - 0.5);
        break;
      case 8:
        if (extension !== undefined) extension.type = random.pick(EXTENSIONS);
        break;
      case 9:
        extensions.push(...Array.from({ length: random.between(1, 200) }, () => strayExtension(random)));
        break;
      case 10:
        extensions.push({ type: 21, data: Buffer.alloc(random.pick(LENGTHS) % 40_000) });
        break;
      default:
        if (extension !== undefined) extension.data = mutateBytes(extension.data, random);
    }
  }
  return hello;
}

function strayExtension(random: Random): Extension {
  const type = random.oneIn(3) ? random.between(0, 0xffff) : random.pick(EXTENSIONS);
  if (type === 0 && random.oneIn(2)) return { type, data: serverName(random) };
  return { type, data: junk(random, random.size(80)) };
}

/** A name that a server may be asked for, well-formed as an extension and in nothing else. */
function serverName(random: Random): Buffer {
  const names = [
    "localhost",
    "LOCALHOST.",
    "127.0.0.1",
    "[::1]",
    "a..b",
    "",
    "\0",
    "a\0b",
    "é.test",
    "x".repeat(300),
    "*.test",
  ];
  const name = random.oneIn(3) ? junk(random, random.size(60)) : Buffer.from(random.pick(names));
  const entry = Buffer.concat([Buffer.from([random.oneIn(9) ? 1 : 0, name.length >> 8, name.length & 0xff]), name]);
  return Buffer.concat([Buffer.from([entry.length >> 8, entry.length & 0xff]), entry]);
}

/** A record that nobody waits for. */
export function strayRecord(random: Random): Buffer {
  switch (random.between(0, 7)) {
    case 0:
      return record(20, Buffer.from([1]));
    case 1:
      return record(21, Buffer.from([random.between(0, 3), random.between(0, 255)]));
    case 2:
      return record(
        22,
        handshake(random.pick([0, 1, 2, 4, 8, 11, 12, 14, 16, 20, 24, 254]), junk(random, random.size(200))),
      );
    case 3:
      return record(23, junk(random, random.size(400)));
    case 4:
      return record(random.pick(TYPES), Buffer.alloc(0));
    case 5:
      return record(23, Buffer.alloc(random.pick(LENGTHS)));
    case 6:
      return Buffer.concat(
        Array.from({ length: random.between(1, 60) }, () => record(random.pick([20, 23]), Buffer.from([1]))),
      );
    default:
      return record(random.pick(TYPES), junk(random, random.size(100)), random.pick(VERSIONS));
  }
}

/** What is sent in the place of a record. */
export function mutateRecord(original: Buffer, random: Random): Buffer {
  const copy = Buffer.from(original);
  const body = copy.subarray(5);
  const type = copy[0] ?? 0;
  switch (random.between(0, 11)) {
    case 0:
      copy[0] = random.pick(TYPES);
      return copy;
    case 1:
      copy.writeUInt16BE(random.pick(VERSIONS), 1);
      return copy;
    case 2:
      copy.writeUInt16BE(random.pick(LENGTHS), 3);
      return copy;
    case 3:
      return Buffer.alloc(0);
    case 4:
      return Buffer.concat([copy, copy]);
    case 5:
      return Buffer.concat([strayRecord(random), copy]);
    case 6:
      return Buffer.concat([copy, strayRecord(random)]);
    case 7:
      return record(type, body.subarray(0, random.between(0, body.length)));
    case 8:
      return record(type, Buffer.concat([body, junk(random, 1 + random.size(60))]));
    case 9: {
      const at = random.between(0, body.length);
      return Buffer.concat([record(type, body.subarray(0, at)), record(type, body.subarray(at))]);
    }
    case 10:
      return strayRecord(random);
    default:
      return record(type, mutateBytes(body, random));
  }
}
