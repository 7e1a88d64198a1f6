import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { connect as tlsConnect } from "node:tls";
import fc from "fast-check";
import { readClientHello } from "../../../src/codecs/peek/client_hello.js";
import { type Peeked, peeked, peekProtocol } from "../../../src/codecs/peek/peek.js";

/** The hello that OpenSSL makes. */
async function hello(options: {
  servername?: string;
  ALPNProtocols?: string[];
  maxVersion?: "TLSv1.2";
}): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = tlsConnect({ host: "127.0.0.1", port, ...options }).on("error", () => {});
  const [socket] = (await once(server, "connection")) as [import("node:net").Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

function tls(serverName: string | undefined, alpn: string[] = []): Peeked {
  return peeked("tls", { serverName, alpn });
}

const SHOWN: [string, Peeked][] = [
  ["SSH-2.0-OpenSSH_9.6\r\n", peeked("ssh")],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", peeked("http2")],
  ["PROXY TCP4 ", peeked("proxy")],
  ["\r\n\r\n\0\r\nQUIT\n", peeked("proxy")],
  ["\x05\x01\0", peeked("socks5")],
  ["\x04\x01\0P", peeked("socks4")],
  ["\x05\0", peeked("unknown")],
  ["\x04\x07", peeked("unknown")],
  ["GET / HTTP/1.1\r\nHost: A.example:8080\r\n\r\n", peeked("http1", { host: "a.example" })],
  ["GET / HTTP/1.0\r\n\r\n", peeked("http1")],
  ["OPTIONS * HTTP/1.1\r\nhost:a.example\r\nx: y\r\n\r\n", peeked("http1", { host: "a.example" })],
  ["GET http://b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", peeked("http1", { host: "b.example" })],
  ["GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", peeked("http1")],
  ["GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", peeked("http1")],
  ["GET / HTTP/1.1\r\nHost: a b\r\n\r\n", peeked("http1")],
  ["GET / HTTP/1.1\n\n", peeked("unknown")],
  ["GET  / HTTP/1.1\r\n", peeked("unknown")],
  ["GET / HTTP/3\r\n", peeked("unknown")],
  ["hello\r\n", peeked("unknown")],
  ["\0", peeked("unknown")],
  ["\x16\x02\x01", peeked("unknown")],
  ["\x16\x03\x01\0\0", peeked("unknown")],
  ["\x16\x03\x01\0\x04\x02", peeked("unknown")],
  ["\x16\x03\x01\xff\xff", peeked("unknown")],
  ["\x16\x03\x01\0\x04\x01\xff\xff\xff", peeked("unknown")],
  ["\x16\x03\x01\0\x06\x01\0\0\x02\x03\x03", peeked("unknown")],
];

describe("looking at a client's first bytes", () => {
  for (const [text, expected] of SHOWN) {
    it(`shows ${expected.protocol} ${expected.host ?? ""} in ${JSON.stringify(text.slice(0, 40))}`, () => {
      const bytes = Buffer.from(text, "latin1");
      assert.deepEqual(peekProtocol(bytes), expected);
      // A part of it shows nothing, or the same protocol.
      for (let end = 0; end < bytes.length; end++) {
        const early = peekProtocol(bytes.subarray(0, end));
        if (early !== undefined) assert.equal(early.protocol, expected.protocol, JSON.stringify(text.slice(0, end)));
      }
    });
  }

  it("reads the name and the protocols of a hello, whole or in several records, and none before", async () => {
    const hellos: [Buffer, Peeked][] = [
      [await hello({ servername: "A.example" }), tls("a.example")],
      [
        await hello({ servername: "b.example", ALPNProtocols: ["h2", "http/1.1"] }),
        tls("b.example", ["h2", "http/1.1"]),
      ],
      [await hello({}), tls(undefined)],
      [await hello({ servername: "c.example", maxVersion: "TLSv1.2" }), tls("c.example")],
    ];
    for (const [bytes, expected] of hellos) {
      assert.deepEqual(peekProtocol(bytes), expected);
      for (let end = 0; end < bytes.length; end++) assert.equal(peekProtocol(bytes.subarray(0, end)), undefined);
      // The same message in records of 7 bytes.
      const message = bytes.subarray(5);
      const records: Buffer[] = [];
      for (let at = 0; at < message.length; at += 7) {
        const part = message.subarray(at, at + 7);
        records.push(Buffer.from([0x16, 3, 1, 0, part.length]), part);
      }
      assert.deepEqual(peekProtocol(Buffer.concat(records)), expected);
      // One that is too long is not waited for.
      assert.equal(readClientHello(bytes.subarray(0, 20), 64), undefined);
    }
  });

  it("throws nothing, and never says another thing when more has come", async () => {
    const real = await hello({ servername: "a.example", ALPNProtocols: ["h2"] });
    const start = fc.oneof(
      fc.constantFrom(...SHOWN.map(([text]) => Buffer.from(text, "latin1"))),
      fc.array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
        const bytes = Buffer.from(real);
        for (const [at, byte] of changes) bytes[at] = byte;
        return bytes;
      }),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.concat([Buffer.from([0x16, 3, 1]), bytes])),
    );
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 20 }), (bytes, more) => {
        const found = peekProtocol(bytes);
        if (found !== undefined) assert.equal(peekProtocol(Buffer.concat([bytes, more]))?.protocol, found.protocol);
      }),
      { numRuns: 3000 },
    );
  });
});
