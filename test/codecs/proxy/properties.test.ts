import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, type SocketAddress } from "eventmachine";
import fc from "fast-check";
import { literalAddress } from "../../../src/base/addresses.js";
import { type ProxyHeader, ProxyHeaderError } from "../../../src/codecs/proxy/header.js";
import { ProxyHeaderParser } from "../../../src/codecs/proxy/parser.js";
import { type ProxyHeaderOptions, proxyHeader } from "../../../src/codecs/proxy/serializer.js";

const port = fc.nat(65535);
const inet = fc.oneof(
  fc.record({ family: fc.constant("IPv4" as const), host: fc.ipV4(), port }),
  fc.record({ family: fc.constant("IPv6" as const), host: fc.ipV6(), port }),
);
const unix = fc.record({
  family: fc.constant("unix" as const),
  path: fc.constantFrom("", "/run/a.sock", "\0abstract", "x".repeat(108), Buffer.from("/run/\xff", "latin1")),
});
const ends = fc.oneof(
  fc.record({ source: inet, destination: inet }),
  fc.record({ source: unix, destination: unix }),
  fc.constant({}),
);
const tlv = fc.record({
  type: fc.nat(255).filter((type) => type !== 3 && type !== 4),
  value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});
const second = fc
  .tuple(ends, fc.constantFrom("stream" as const, "datagram" as const), fc.array(tlv, { maxLength: 8 }), fc.boolean())
  .map(([ends, protocol, tlvs, checksum]): ProxyHeaderOptions => ({ version: 2, ...ends, protocol, tlvs, checksum }));
const first = fc
  .oneof(fc.record({ source: inet, destination: inet }), fc.constant({}))
  .map((ends): ProxyHeaderOptions => ({ version: 1, ...ends }));
const local = fc.constant<ProxyHeaderOptions>({ local: true });
const options = fc.oneof(second, first, local);

/** As a connection reports it. */
function spelt(address: SocketAddress | undefined): SocketAddress | undefined {
  if (address === undefined) return undefined;
  return address.family === "unix" ? { ...address } : literalAddress(address.host, address.port);
}

type Verdict = { header: ProxyHeader | undefined; taken: number } | { error: string };

function verdict(bytes: Buffer, places: readonly number[]): Verdict {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const parser = new ProxyHeaderParser();
  let taken = 0;
  try {
    for (let i = 1; i < at.length; i++) taken += parser.execute(bytes.subarray(at[i - 1], at[i]));
  } catch (error) {
    if (!(error instanceof ProxyHeaderError)) throw error;
    return { error: error.message };
  }
  return { header: parser.header, taken };
}

const cuts = fc.array(fc.nat(5000), { maxLength: 12 });
const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
/** A header, or one of which some bytes are others, or cut off, with anything behind it. */
const content = fc.oneof(
  fc.tuple(options, noise).map(([given, tail]) => Buffer.concat([proxyHeader(given), tail])),
  fc
    .tuple(options, fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 4 }), noise)
    .map(([given, changes, tail]) => {
      const bytes = Buffer.concat([proxyHeader(given), tail]);
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      return bytes;
    }),
  fc.tuple(options, fc.nat(300)).map(([given, at]) => proxyHeader(given).subarray(0, at)),
  noise,
  noise.map((bytes) => Buffer.concat([Buffer.from("PROXY "), bytes])),
  noise.map((bytes) => Buffer.concat([Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1"), bytes])),
);

describe("PROXY protocol headers: properties", () => {
  it("reads back what was made, and takes none of what follows", () => {
    fc.assert(
      fc.property(options, noise, cuts, (given, tail, places) => {
        const bytes = proxyHeader(given);
        const { version = 2, local = false, source, destination, protocol = "stream", tlvs = [] } = given;
        const expected = {
          version,
          command: local ? "local" : "proxy",
          protocol: source === undefined ? undefined : protocol,
          source: spelt(source),
          destination: spelt(destination),
          tlvs: tlvs.map(({ type, value }) => ({ type, value })),
        };
        assert.deepEqual(verdict(Buffer.concat([bytes, tail]), places), { header: expected, taken: bytes.length });
      }),
      { numRuns: 3000 },
    );
  });

  it("comes to the same however the bytes are cut, and throws nothing but its own error", () => {
    fc.assert(
      fc.property(content, cuts, (bytes, places) => {
        const whole = verdict(bytes, []);
        assert.deepEqual(verdict(bytes, places), whole);
        assert.deepEqual(
          verdict(
            bytes,
            Array.from({ length: Math.min(bytes.length, 400) }, (_, at) => at),
          ),
          whole,
        );
      }),
      { numRuns: 4000 },
    );
  });

  it("makes nothing that a header cannot say", () => {
    const [source, destination] = [
      { family: "IPv4", host: "192.0.2.1", port: 1 },
      { family: "IPv4", host: "192.0.2.2", port: 2 },
    ] as const;
    const path = (path: string): SocketAddress => ({ family: "unix", path });
    const wrong: [object, RegExp][] = [
      [{ version: 3 }, /version must be 1 or 2/],
      [{ source }, /together/],
      [{ destination }, /together/],
      [{ source, destination: path("/a") }, /both be Unix/],
      [{ version: 1, source: path("/a"), destination: path("/b") }, /version 1 has no Unix/],
      [{ version: 1, tlvs: [{ type: 1, value: "x" }] }, /version 1 has no/],
      [{ version: 1, checksum: true }, /version 1 has no/],
      [{ version: 1, local: true }, /version 1 has no/],
      [{ version: 1, source, destination, protocol: "datagram" }, /version 1 has no/],
      [{ local: true, source, destination }, /says nothing else/],
      [{ local: true, checksum: true }, /says nothing else/],
      [{ protocol: "quic" }, /protocol must be/],
      [{ source: { family: "IPv6", host: "fe80::1%lo", port: 1 }, destination }, /without a zone/],
      [{ source: { family: "IPv4", host: "localhost", port: 1 }, destination }, /must be an IP address/],
      [{ source: { family: "IPv4", host: "192.0.2.1", port: 65536 }, destination }, /source.port/],
      [{ source: path("x".repeat(109)), destination: path("") }, /source.path/],
      [{ source: path("a\0b"), destination: path("") }, /source.path/],
      [{ source: path("\0b\0"), destination: path("") }, /source.path/],
      [{ tlvs: {} }, /tlvs must be an array/],
      [{ tlvs: [{ type: 256, value: "" }] }, /tlvs.type/],
      [{ tlvs: [{ type: 3, value: "abcd" }] }, /checksum is made/],
      [{ tlvs: [{ type: 1, value: 7 }] }, /tlvs.value/],
      [{ tlvs: [{ type: 1, value: Buffer.alloc(4078) }] }, /at most 4096 bytes/],
      [{ tlvs: [{ type: 1, value: Buffer.alloc(70000) }] }, /at most 4096 bytes/],
      [{ misspelt: 1 }, /must not have/],
    ];
    for (const [given, message] of wrong) {
      assert.throws(
        () => proxyHeader(given),
        (error) => error instanceof ArgumentError && message.test(error.message),
        JSON.stringify(given),
      );
    }
    assert.equal(proxyHeader({ tlvs: [{ type: 1, value: Buffer.alloc(4077) }] }).length, 4096);
  });
});
