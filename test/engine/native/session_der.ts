import assert from "node:assert/strict";
import { createDecipheriv, createHmac } from "node:crypto";

/** An element of the DER sequence that OpenSSL writes a session down in. */
interface Element {
  readonly tag: number;
  readonly whole: Buffer;
  readonly body: Buffer;
}

const PEER = 0xa3;
const ID_CONTEXT = 0xa4;
const TICKET = 0xaa;

function elementAt(der: Buffer, at: number): Element {
  const first = der[at + 1] as number;
  const long = first & 0x80 ? first & 0x7f : 0;
  const length = long === 0 ? first : der.readUIntBE(at + 2, long);
  const start = at + 2 + long;
  return { tag: der[at] as number, whole: der.subarray(at, start + length), body: der.subarray(start, start + length) };
}

function elementsOf(session: Buffer): Element[] {
  const { body } = elementAt(session, 0);
  const elements: Element[] = [];
  for (let at = 0; at < body.length; at += (elements.at(-1) as Element).whole.length)
    elements.push(elementAt(body, at));
  return elements;
}

/** The octets under an explicit tag. */
function octets(session: Buffer, tag: number): Buffer {
  const element = elementsOf(session).find((each) => each.tag === tag);
  assert.ok(element !== undefined, `the session has a [${tag & 0x1f}]`);
  return elementAt(element.body, 0).body;
}

/** The session without the certificate of the peer. */
export function withoutPeer(session: Buffer): Buffer {
  const kept = elementsOf(session).filter(({ tag }) => tag !== PEER);
  const body = Buffer.concat(kept.map(({ whole }) => whole));
  return Buffer.concat([Buffer.of(0x30, 0x82, body.length >> 8, body.length & 0xff), body]);
}

/**
 * The id of the context that made the session's ticket, which only who has its keys can read: 16 bytes of name, 16 for the
 * HMAC, 16 for AES. (RFC 5077 section 4 recommends the ticket's form.)
 */
export function ticketContext(session: Buffer, keys: Buffer): Buffer {
  const ticket = octets(session, TICKET);
  const signed = ticket.subarray(0, -32);
  assert.deepEqual(ticket.subarray(0, 16), keys.subarray(0, 16), "the key's name");
  const mac = createHmac("sha256", keys.subarray(16, 32)).update(signed).digest();
  assert.deepEqual(ticket.subarray(-32), mac, "its HMAC");
  const cipher = createDecipheriv("aes-128-cbc", keys.subarray(32), ticket.subarray(16, 32));
  return octets(Buffer.concat([cipher.update(signed.subarray(32)), cipher.final()]), ID_CONTEXT);
}
