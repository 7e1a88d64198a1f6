/** A ClientHello (RFC 8446 section 4.1.2), taken apart. */
export interface Hello {
  version: number;
  random: Buffer;
  sessionId: Buffer;
  suites: Buffer;
  compression: Buffer;
  extensions: Extension[];
}

export interface Extension {
  type: number;
  data: Buffer;
}

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;

/** Takes the record of a whole ClientHello apart. */
export function parseHello(record: Buffer): Hello {
  let at = 9;
  const number = (size: number): number => {
    at += size;
    return record.readUIntBE(at - size, size);
  };
  const bytes = (size: number): Buffer => {
    at += size;
    return record.subarray(at - size, at);
  };
  const version = number(2);
  const random = bytes(32);
  const sessionId = bytes(number(1));
  const suites = bytes(number(2));
  const compression = bytes(number(1));
  const extensions: Extension[] = [];
  for (const end = number(2) + at; at < end; ) extensions.push({ type: number(2), data: bytes(number(2)) });
  return { version, random, sessionId, suites, compression, extensions };
}

/** The message, with its handshake header. All lengths are true, as far as they can carry what they count. */
export function encodeHello({ version, random, sessionId, suites, compression, extensions }: Hello): Buffer {
  const all = extensions.map(({ type, data }) => Buffer.concat([number(type, 2), counted(data, 2)]));
  const body = [number(version, 2), random, counted(sessionId, 1), counted(suites, 2), counted(compression, 1)];
  return handshake(CLIENT_HELLO, Buffer.concat([...body, counted(Buffer.concat(all), 2)]));
}

export function handshake(type: number, body: Buffer): Buffer {
  return Buffer.concat([number(type, 1), counted(body, 3)]);
}

export function record(type: number, body: Buffer, version = 0x0303): Buffer {
  return Buffer.concat([number(type, 1), number(version, 2), counted(body, 2)]);
}

/** A handshake message in records of at most so many bytes. */
export function inRecords(message: Buffer, size: number): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) records.push(record(HANDSHAKE, message.subarray(at, at + size)));
  return Buffer.concat(records);
}

function number(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value & (size === 3 ? 0xffffff : size === 2 ? 0xffff : 0xff), 0, size);
  return bytes;
}

function counted(bytes: Buffer, size: number): Buffer {
  return Buffer.concat([number(bytes.length, size), bytes]);
}
