import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32c } from "../../../src/codecs/proxy/crc32c.js";
import { type ProxyHeader, ProxyHeaderError } from "../../../src/codecs/proxy/header.js";
import { ProxyHeaderParser } from "../../../src/codecs/proxy/parser.js";

const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";

/** A header of version 2: the two bytes after the signature, and what follows the length. */
function binary(command: number, family: number, rest: string | Buffer, length?: number): string {
  const bytes = Buffer.isBuffer(rest) ? rest : Buffer.from(rest, "latin1");
  const size = Buffer.alloc(2);
  size.writeUInt16BE(length ?? bytes.length);
  return `${SIGNATURE}${String.fromCharCode(command, family)}${size.toString("latin1")}${bytes.toString("latin1")}`;
}

const IPV4 = "\xc0\0\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb";
const IPV6 = `${"\x20\x01\x0d\xb8".padEnd(15, "\0")}\x01${"\0".repeat(15)}\x01\x30\x39\x01\xbb`;
const MAPPED = `${"\0".repeat(10)}\xff\xff\xc0\0\x02\x01${"\0".repeat(10)}\xff\xff\xc6\x33\x64\x02\x30\x39\x01\xbb`;
const UNIX = "/run/a".padEnd(108, "\0") + "\0b".padEnd(108, "\0");

function tlv(type: number, value: string): string {
  return `${String.fromCharCode(type, value.length >> 8, value.length & 0xff)}${value}`;
}

/** With a checksum at its end: the right one, or that and `off`. */
function summed(command: number, family: number, rest: string, off = 0): string {
  const header = Buffer.from(binary(command, family, `${rest}${tlv(3, "\0\0\0\0")}`), "latin1");
  header.writeUInt32BE((crc32c(header) + off) >>> 0, header.length - 4);
  return header.toString("latin1");
}

const CLIENT = { family: "IPv4", host: "192.0.2.1", port: 12345 };
const SERVER = { family: "IPv4", host: "198.51.100.2", port: 443 };
const NOBODY = { command: "proxy", protocol: undefined, source: undefined, destination: undefined, tlvs: [] };
const PROXIED = { version: 2, command: "proxy", protocol: "stream", source: CLIENT, destination: SERVER, tlvs: [] };

const TAKEN: [name: string, bytes: string, header: object][] = [
  ["TCP4", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", { ...PROXIED, version: 1 }],
  [
    "TCP6, in any spelling",
    "PROXY TCP6 2001:DB8:0:0::1 ::1 0 65535\r\n",
    {
      ...PROXIED,
      version: 1,
      source: { family: "IPv6", host: "2001:db8::1", port: 0 },
      destination: { family: "IPv6", host: "::1", port: 65535 },
    },
  ],
  ["TCP6 with IPv4 in it", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 12345 443\r\n", { ...PROXIED, version: 1 }],
  [
    "TCP6 at its longest",
    `PROXY TCP6 ${"ffff:".repeat(8).slice(0, -1)} ${"ffff:".repeat(8).slice(0, -1)} 65535 65535\r\n`,
    {
      ...PROXIED,
      version: 1,
      source: { family: "IPv6", host: "ffff:".repeat(8).slice(0, -1), port: 65535 },
      destination: { family: "IPv6", host: "ffff:".repeat(8).slice(0, -1), port: 65535 },
    },
  ],
  ["UNKNOWN", "PROXY UNKNOWN\r\n", { ...NOBODY, version: 1 }],
  ["UNKNOWN and whatever stands behind it", "PROXY UNKNOWN ffff::1 what\0ever 1\r\n", { ...NOBODY, version: 1 }],
  ["UNKNOWN of 107 bytes", `PROXY UNKNOWN ${"x".repeat(91)}\r\n`, { ...NOBODY, version: 1 }],
  ["IPv4", binary(0x21, 0x11, IPV4), PROXIED],
  ["UDP over IPv4", binary(0x21, 0x12, IPV4), { ...PROXIED, protocol: "datagram" }],
  [
    "IPv6",
    binary(0x21, 0x21, IPV6),
    {
      ...PROXIED,
      source: { family: "IPv6", host: "2001:db8::1", port: 12345 },
      destination: { family: "IPv6", host: "::1", port: 443 },
    },
  ],
  ["UDP over IPv6, with IPv4 in it", binary(0x21, 0x22, MAPPED), { ...PROXIED, protocol: "datagram" }],
  [
    "Unix, a path and an abstract name",
    binary(0x21, 0x31, UNIX),
    { ...PROXIED, source: { family: "unix", path: "/run/a" }, destination: { family: "unix", path: "\0b" } },
  ],
  [
    "Unix datagrams, unnamed, and a name of all 108 bytes",
    binary(0x21, 0x32, "\0".repeat(108) + "x".repeat(108)),
    {
      ...PROXIED,
      protocol: "datagram",
      source: { family: "unix", path: "" },
      destination: { family: "unix", path: "x".repeat(108) },
    },
  ],
  ["nobody", binary(0x21, 0, ""), { ...NOBODY, version: 2 }],
  ["LOCAL", binary(0x20, 0, ""), { ...NOBODY, version: 2, command: "local" }],
  [
    "LOCAL, with a family and bytes that mean nothing",
    binary(0x20, 0xff, "\x03\xff\xff"),
    { ...NOBODY, version: 2, command: "local" },
  ],
  [
    "TLVs, less the padding",
    binary(0x21, 0x11, `${IPV4}${tlv(2, "a.example")}${tlv(4, "xx")}${tlv(0xe0, "")}`),
    {
      ...PROXIED,
      tlvs: [
        { type: 2, value: Buffer.from("a.example") },
        { type: 0xe0, value: Buffer.alloc(0) },
      ],
    },
  ],
  [
    "TLVs of nobody",
    binary(0x21, 0, tlv(5, "id")),
    { ...NOBODY, version: 2, tlvs: [{ type: 5, value: Buffer.from("id") }] },
  ],
  ["a checksum", summed(0x21, 0x11, `${IPV4}${tlv(4, "xx")}`), PROXIED],
  [
    "4 KiB",
    binary(0x21, 0x11, IPV4 + tlv(0xea, "x".repeat(4096 - 16 - 12 - 3))),
    { ...PROXIED, tlvs: [{ type: 0xea, value: Buffer.alloc(4096 - 16 - 12 - 3, "x") }] },
  ],
];

const REFUSED: [name: string, bytes: string, message: RegExp][] = [
  ["HTTP", "GET / HTTP/1.1\r\n", /neither as version 1 nor as 2/],
  ["TLS", "\x16\x03\x01\x02", /neither/],
  ["a NUL", "\0", /neither/],
  ["another case", "proxy TCP4", /neither/],
  ["a tab", "PROXY\t", /neither/],
  ["another signature", "\r\n\r\n\0\r\nQUIT\r", /neither/],
  ["no family", "PROXY \r\n", /no PROXY header of version 1/],
  ["a family of small letters", "PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n", /no PROXY header/],
  ["another family", "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", /no PROXY header/],
  ["UNKNOWN with a tail", "PROXY UNKNOWNX\r\n", /no PROXY header/],
  ["a port too few", "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", /no PROXY header/],
  ["a port too many", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n", /no PROXY header/],
  ["two spaces", "PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", /no PROXY header/],
  ["a space at the end", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", /no PROXY header/],
  ["IPv6 as TCP4", "PROXY TCP4 ::1 ::1 1 2\r\n", /no TCP4 address/],
  ["IPv4 as TCP6", "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", /no TCP6 address/],
  ["an address with a zone", "PROXY TCP6 fe80::1%lo ::1 1 2\r\n", /no TCP6 address/],
  ["an address with a leading zero", "PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n", /no TCP4 address/],
  ["a number of an address", "PROXY TCP4 3221225985 198.51.100.2 1 2\r\n", /no TCP4 address/],
  ["a name", "PROXY TCP4 localhost 198.51.100.2 1 2\r\n", /no TCP4 address/],
  ["a port over 65535", "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", /no port/],
  ["a port with a leading zero", "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", /no port/],
  ["a port with a sign", "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n", /no port/],
  ["an LF alone", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", /must end with CR LF/],
  ["a CR alone", "PROXY UNKNOWN a\rb\r\n", /no CR but before its LF/],
  ["108 bytes", `PROXY UNKNOWN ${"x".repeat(92)}\r\n`, /at most 107 bytes/],
  ["a line that goes on", `PROXY UNKNOWN ${"x".repeat(200)}`, /at most 107 bytes/],
  ["version 1 in binary", binary(0x11, 0x11, IPV4), /must be of version 2, not 1/],
  ["version 3", binary(0x31, 0x11, IPV4), /must be of version 2, not 3/],
  ["command 2", binary(0x22, 0x11, IPV4), /command LOCAL or PROXY, not 2/],
  ["family 4", binary(0x21, 0x41, IPV4), /no family and protocol 0x41/],
  ["protocol 3", binary(0x21, 0x13, IPV4), /no family and protocol 0x13/],
  ["a family without a protocol", binary(0x21, 0x10, IPV4), /no family and protocol 0x10/],
  ["a protocol without a family", binary(0x21, 0x01, ""), /no family and protocol 0x01/],
  ["IPv4 with a byte too few", binary(0x21, 0x11, IPV4.slice(1)), /must have 12 bytes of addresses, not 11/],
  ["IPv6 with a byte too few", binary(0x21, 0x21, IPV6.slice(1)), /36 bytes of addresses, not 35/],
  ["Unix with a byte too few", binary(0x21, 0x31, UNIX.slice(1)), /216 bytes of addresses, not 215/],
  ["4,097 bytes, before they come", binary(0x21, 0x11, IPV4, 4081), /at most 4096 bytes, not 4097/],
  ["65,551 bytes of LOCAL", binary(0x20, 0, "", 65535), /at most 4096 bytes, not 65551/],
  ["a TLV's type alone", binary(0x21, 0x11, `${IPV4}\x04`), /reaches beyond its end/],
  ["half a TLV's head", binary(0x21, 0x11, `${IPV4}\x04\0`), /reaches beyond its end/],
  ["a TLV that is longer than the rest", binary(0x21, 0x11, `${IPV4}\x04\0\x02x`), /reaches beyond its end/],
  ["a wrong checksum", summed(0x21, 0x11, IPV4, 1), /checksum is wrong/],
  ["a checksum of 3 bytes", binary(0x21, 0x11, IPV4 + tlv(3, "abc")), /checksum must have 4 bytes, not 3/],
  ["a second checksum", summed(0x21, 0x11, IPV4 + tlv(3, "abcd")), /checksum is wrong/],
];

/** What is read of the bytes in these pieces: the header and what is left, or the error. */
function read(...pieces: string[]): { header?: ProxyHeader; rest?: string; error?: string } {
  const parser = new ProxyHeaderParser();
  let rest = "";
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, "latin1");
    try {
      rest += bytes.toString("latin1", parser.execute(bytes));
    } catch (error) {
      assert.ok(error instanceof ProxyHeaderError, String(error));
      assert.equal(error.code, "ERR_EM_PROXY_HEADER");
      assert.throws(() => parser.execute(Buffer.from("x")), error);
      assert.equal(parser.header, undefined);
      return { error: error.message };
    }
  }
  return parser.header === undefined ? {} : { header: parser.header, rest };
}

describe("PROXY protocol headers", () => {
  for (const [name, bytes, expected] of TAKEN) {
    it(`takes ${name}`, () => {
      for (const tail of ["", "what follows"]) {
        const found = read(bytes + tail);
        assert.deepEqual(found, { header: expected, rest: tail });
        assert.deepEqual(read(...bytes.split(""), tail), found);
        for (let cut = 1; cut < bytes.length; cut += bytes.length > 200 ? 37 : 1) {
          assert.deepEqual(read(bytes.slice(0, cut), bytes.slice(cut) + tail), found);
        }
      }
      // Before its last byte there is no header.
      assert.deepEqual(read(bytes.slice(0, -1)), {});
    });
  }

  for (const [name, bytes, message] of REFUSED) {
    it(`refuses ${name}`, () => {
      const { error } = read(bytes);
      assert.match(error ?? "it was taken", message);
      assert.equal(read(...bytes.split("")).error, error);
    });
  }

  it("refuses two checksums that are both right", () => {
    // The first is right when the second stands in its place with zeros: there is no such pair but by chance, so the second comes last.
    const header = Buffer.from(binary(0x21, 0x11, IPV4 + tlv(3, "\0\0\0\0") + tlv(3, "\0\0\0\0")), "latin1");
    const at = header.length - 7 - 4;
    header.writeUInt32BE(crc32c(header), at);
    assert.match(read(header.toString("latin1")).error ?? "", /two checksums/);
  });

  it("refuses at the first byte that can begin no header", () => {
    for (const text of ["P", "PR", "PROX", "\r", "\r\n\r", "\r\n\r\n\0\r\nQUI"]) {
      assert.deepEqual(read(text), {});
      assert.match(read(text, "x").error ?? "", /neither/);
    }
  });

  it("keeps nothing of the memory it was given", () => {
    const bytes = Buffer.from(binary(0x21, 0x11, IPV4 + tlv(2, "a.example")), "latin1");
    const parser = new ProxyHeaderParser();
    const [first, second] = [bytes.subarray(0, 20), bytes.subarray(20)];
    parser.execute(first);
    first.fill(0xff);
    parser.execute(second);
    second.fill(0xff);
    assert.deepEqual(parser.header?.source, CLIENT);
    assert.equal(parser.header.tlvs[0]?.value.toString(), "a.example");
  });

  it("makes checksums as RFC 9260 has them", () => {
    assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  });
});
