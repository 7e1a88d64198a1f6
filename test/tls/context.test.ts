import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as tls from "node:tls";
import { inspect } from "node:util";
import { ArgumentError, EventMachineError, Reactor, TlsContext, TlsError, type TlsOptions } from "eventmachine";
import { AUTHORITY, clientContext, identity, pkiFile, pkiPath, serverContext } from "../support/pki.js";

const DH = pkiFile("dh.pem").toString();

function dhPem(der: Buffer): string {
  return `-----BEGIN DH PARAMETERS-----\n${der.toString("base64")}\n-----END DH PARAMETERS-----\n`;
}

/** An odd number of so many bits, a generator, and some bytes after them. */
function dhDer(bits: number, generator: number | null, after = 0): Buffer {
  const element = (tag: number, content: Buffer) => {
    const size = Buffer.of(tag, 0x82, content.length >> 8, content.length & 0xff);
    return Buffer.concat([size, content]);
  };
  const prime = element(2, Buffer.concat([Buffer.of(0), Buffer.alloc(bits / 8, 0xff)]));
  const numbers = generator === null ? [prime] : [prime, element(2, Buffer.of(generator))];
  return Buffer.concat([element(0x30, Buffer.concat(numbers)), Buffer.alloc(after)]);
}

/** What is wrong, the code it is refused with, and what the message must say. */
const REFUSED: readonly [string, TlsOptions, string, RegExp][] = [
  ["a key without its certificate", { key: identity("server").key }, "ERR_EM_TLS_NO_CERTIFICATE", /cert is needed/],
  ["a certificate without its key", { cert: identity("server").cert }, "ERR_EM_TLS_BAD_KEY", /no private key/],
  ["a file that is not there", { ...identity("server"), cert: "/nowhere/cert.pem" }, "ERR_EM_TLS_FILE", /ENOENT/],
  ["a folder", { ...identity("server"), cert: "/tmp" }, "ERR_EM_TLS_FILE", /EISDIR/],
  ["a file of something else", { ...identity("server"), cert: "/etc/hostname" }, "ERR_EM_TLS_BAD_CERTIFICATE", /PEM/],
  ["a key that is none", { ...identity("server"), key: pkiPath("ca.pem") }, "ERR_EM_TLS_BAD_KEY", /no private key/],
  [
    "a broken certificate",
    { ...identity("server"), cert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" },
    "ERR_EM_TLS_BAD_CERTIFICATE",
    /certificate 1/,
  ],
  [
    "another's key",
    { ...identity("server"), key: identity("client").key },
    "ERR_EM_TLS_KEY_MISMATCH",
    /CN=server\.test/,
  ],
  [
    "an encrypted key without its passphrase",
    { ...identity("server"), key: pkiPath("server-encrypted-key.pem") },
    "ERR_EM_TLS_BAD_KEY",
    /passphrase is needed/,
  ],
  [
    "an encrypted key with a wrong one",
    { ...identity("server"), key: pkiPath("server-encrypted-key.pem"), passphrase: "sesame" },
    "ERR_EM_TLS_BAD_KEY",
    /cannot be decrypted/,
  ],
  ["a passphrase alone", { passphrase: "sesame" }, "ERR_EM_INVALID_ARGUMENT", /passphrase/],
  [
    "two identities with the same kind of key",
    { ...identity("server"), identities: [identity("other")] },
    "ERR_EM_INVALID_ARGUMENT",
    /two of ec/,
  ],
  ["an authority that is not there", { ca: "/nowhere/ca.pem" }, "ERR_EM_TLS_FILE", /ca: .*ENOENT/],
  ["an authority that is none", { ca: [AUTHORITY, "/etc/hostname"] }, "ERR_EM_TLS_BAD_CERTIFICATE", /ca\[1\]/],
  ["no authority at all", { ca: [] }, "ERR_EM_INVALID_ARGUMENT", /at least one/],
  ["a version that there is not", { minVersion: "TLSv1.4" as never }, "ERR_EM_INVALID_ARGUMENT", /"TLSv1\.3"/],
  ["SSL", { minVersion: "SSLv3" as never }, "ERR_EM_INVALID_ARGUMENT", /"TLSv1"/],
  ["versions upside down", { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" }, "ERR_EM_INVALID_ARGUMENT", /above/],
  ["an unknown cipher", { ciphers: "ROT13" }, "ERR_EM_TLS_CONTEXT", /ciphers: .*no cipher match/i],
  ["an unknown suite", { cipherSuites: "TLS_ROT13" }, "ERR_EM_TLS_CONTEXT", /cipherSuites/],
  ["a suite of TLS 1.2 as one of TLS 1.3", { cipherSuites: "AES128-SHA" }, "ERR_EM_INVALID_ARGUMENT", /TLS_/],
  ["an unknown group", { curves: "P-257" }, "ERR_EM_TLS_CONTEXT", /curves/],
  ["parameters that are none", { dhParameters: pkiPath("ca.pem") }, "ERR_EM_TLS_CONTEXT", /dhParameters/],
  ["a suite of TLS 1.3 as a cipher", { ciphers: "TLS_AES_128_GCM_SHA256" }, "ERR_EM_INVALID_ARGUMENT", /cipherSuites/],
  [
    "a suite of TLS 1.3 among the ciphers",
    { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:!TLS_AES_128_GCM_SHA256" },
    "ERR_EM_INVALID_ARGUMENT",
    /"!TLS_AES_128_GCM_SHA256" belongs into cipherSuites/,
  ],
  [
    "an unknown suite among others",
    { cipherSuites: "TLS_AES_128_GCM_SHA256:TLS_ROT13" },
    "ERR_EM_TLS_CONTEXT",
    /cipherSuites/,
  ],
  ["an unknown group among others", { curves: "X25519:P-257" }, "ERR_EM_TLS_CONTEXT", /curves/],
  ["automatic groups among others", { curves: "auto:P-256" }, "ERR_EM_TLS_CONTEXT", /curves/],
  ["parameters that are cut off", { dhParameters: DH.slice(0, -30) }, "ERR_EM_TLS_CONTEXT", /is cut off/],
  ["parameters that are garbage", { dhParameters: dhPem(Buffer.alloc(300, 7)) }, "ERR_EM_TLS_CONTEXT", /a prime and/],
  ["parameters without a generator", { dhParameters: dhPem(dhDer(2048, null)) }, "ERR_EM_TLS_CONTEXT", /a prime and/],
  ["parameters with the generator 1", { dhParameters: dhPem(dhDer(2048, 1)) }, "ERR_EM_TLS_CONTEXT", /a prime and/],
  ["a prime of 1,024 bits", { dhParameters: dhPem(dhDer(1024, 2)) }, "ERR_EM_TLS_CONTEXT", /1024 bits.* 2048 to 8192/],
  ["a prime of 16,384 bits", { dhParameters: dhPem(dhDer(16384, 2)) }, "ERR_EM_TLS_CONTEXT", /16384 bits/],
  ["bytes after the parameters", { dhParameters: dhPem(dhDer(2048, 2, 1)) }, "ERR_EM_TLS_CONTEXT", /a prime and/],
  ["parameters twice", { dhParameters: DH + DH }, "ERR_EM_TLS_CONTEXT", /2 sets/],
  ["a session of more than a week", { sessionTimeout: 604_800_001 }, "ERR_EM_INVALID_ARGUMENT", /604800000/],
  ["a session for ever", { sessionTimeout: Number.POSITIVE_INFINITY }, "ERR_EM_INVALID_ARGUMENT", /604800000/],
  ["signature algorithms", { sigalgs: "RSA+SHA256" } as never, "ERR_EM_INVALID_ARGUMENT", /"sigalgs"/],
  ["an empty protocol", { alpn: ["h2", ""] }, "ERR_EM_INVALID_ARGUMENT", /alpn/],
  ["a long protocol", { alpn: ["x".repeat(256)] }, "ERR_EM_INVALID_ARGUMENT", /255/],
  ["a ticket key of the wrong size", { ticketKeys: [Buffer.alloc(32)] }, "ERR_EM_INVALID_ARGUMENT", /48 bytes/],
  ["no ticket key", { ticketKeys: [] }, "ERR_EM_INVALID_ARGUMENT", /1 to 16/],
  ["a long session id", { sessionIdContext: "x".repeat(33) }, "ERR_EM_INVALID_ARGUMENT", /32 bytes/],
  [
    "to require what it does not request",
    { requireCertificate: true, requestCertificate: false },
    "ERR_EM_INVALID_ARGUMENT",
    /requestCertificate/,
  ],
  ["an OCSP response that is none", { ocspResponse: Buffer.from("no") }, "ERR_EM_INVALID_ARGUMENT", /DER/],
  ["a name that is none", { contexts: { "a b": serverContext() } }, "ERR_EM_INVALID_ARGUMENT", /host name/],
  ["a wildcard in the middle", { contexts: { "a.*.test": serverContext() } }, "ERR_EM_INVALID_ARGUMENT", /host name/],
  [
    "a name twice",
    { contexts: { "a.test": serverContext(), "A.test": serverContext() } },
    "ERR_EM_INVALID_ARGUMENT",
    /twice/,
  ],
  [
    "a context without a certificate under a name",
    { contexts: { "a.test": clientContext() } },
    "ERR_EM_TLS_NO_CERTIFICATE",
    /contexts\["a\.test"\]/,
  ],
];

describe("a TLS context refuses", () => {
  for (const [what, options, code, message] of REFUSED) {
    test(what, () => {
      assert.throws(
        () => new TlsContext(options),
        (error) => {
          assert.ok(error instanceof EventMachineError, `${error}`);
          assert.equal(error.code, code, error.message);
          assert.match(error.message, message);
          assert.ok(code.startsWith("ERR_EM_TLS") ? error instanceof TlsError : error instanceof ArgumentError);
          return true;
        },
      );
    });
  }

  test("every option of the wrong kind", () => {
    const wrong = [
      null,
      7,
      -1,
      Number.NaN,
      "",
      Symbol("no"),
      {},
      [null],
      () => {},
      true,
      new Date(0),
      Object.create(null),
    ];
    const names = [
      "cert",
      "key",
      "passphrase",
      "identities",
      "ca",
      "minVersion",
      "maxVersion",
      "ciphers",
      "cipherSuites",
      "preferServerCiphers",
      "curves",
      "dhParameters",
      "alpn",
      "requestCertificate",
      "requireCertificate",
      "rejectUnauthorized",
      "sessionTickets",
      "ticketKeys",
      "sessionTimeout",
      "sessionIdContext",
      "sessionCacheSize",
      "ocspResponse",
      "requestOcsp",
      "keyLog",
      "handshakeTimeout",
      "contexts",
      "selectContext",
    ];
    let refused = 0;
    for (const name of names) {
      for (const value of wrong) {
        try {
          new TlsContext({ ...identity("server"), [name]: value });
        } catch (error) {
          assert.ok(error instanceof EventMachineError, `${name}: ${inspect(value)}: ${inspect(error)}`);
          refused++;
        }
      }
    }
    assert.ok(refused > 250, `${refused} refusals`);
    for (const value of [null, 7, "text"]) assert.throws(() => new TlsContext(value as never), ArgumentError);
  });

  test("a file that is too large", () => {
    const folder = mkdtempSync(join(tmpdir(), "em-"));
    try {
      const path = join(folder, "large.pem");
      writeFileSync(path, Buffer.alloc(5 * 1024 * 1024));
      assert.throws(() => new TlsContext({ ca: path }), /more than 4194304 bytes/);
      assert.throws(() => new TlsContext({ ca: Buffer.alloc(5 * 1024 * 1024) }), ArgumentError);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a server's or a client's TLS is refused", () => {
  const reactor = new Reactor({ engine: "portable" });
  const inside = (name: string, body: () => Promise<void>) =>
    test(name, async () => {
      await reactor.run(async () => {
        try {
          await body();
        } finally {
          reactor.stop();
        }
      });
    });
  const place = { host: "127.0.0.1", port: 0 };

  inside("where a server has no certificate", async () => {
    const { Connection } = await import("eventmachine");
    for (const wrong of [{}, clientContext(), true as never]) {
      await assert.rejects(reactor.startServer({ ...place, tls: wrong }, Connection), {
        name: "TlsError",
        code: "ERR_EM_TLS_NO_CERTIFICATE",
      });
    }
  });

  inside("where a server asks for certificates and trusts nobody in particular", async () => {
    const { Connection } = await import("eventmachine");
    for (const demand of [{ requestCertificate: true }, { requireCertificate: true }]) {
      await assert.rejects(reactor.startServer({ ...place, tls: { ...identity("server"), ...demand } }, Connection), {
        name: "ArgumentError",
        message: /needs ca/,
      });
    }
    const { close } = await reactor.startServer(
      { ...place, tls: { ...identity("server"), requestCertificate: true, ca: "default" } },
      Connection,
    );
    assert.equal(typeof close, "function");
  });

  inside("where options of a start are wrong, before the handler is made", async () => {
    const { Connection } = await import("eventmachine");
    let made = 0;
    class Counting extends Connection {
      constructor() {
        super();
        made++;
      }
    }
    const context = clientContext();
    const wrong: unknown[] = [
      7,
      "text",
      null,
      { role: "both" },
      { context, alpn: ["h2"] },
      { context: {} },
      { serverName: "127.0.0.1" },
      { serverName: "a b" },
      { serverName: 7 },
      { verifyName: "" },
      { verifyName: "a b" },
      { role: "server" },
      { role: "server", context: serverContext(), serverName: "a.test" },
    ];
    for (const tls of wrong) {
      assert.throws(
        () => reactor.connect({ host: "127.0.0.1", port: 1, tls: tls as never }, Counting),
        EventMachineError,
        inspect(tls),
      );
    }
    await assert.rejects(
      reactor.startServer({ ...place, tls: { ...identity("server"), serverName: "a.test" } as never }, Counting),
      ArgumentError,
    );
    // There is no host to verify on a Unix socket.
    assert.throws(() => reactor.connect({ path: "/tmp/no.sock", tls: true }, Counting), { message: /verifyName/ });
    assert.throws(() => reactor.attach({ fd: 0, tls: context }, Counting), { message: /role/ });
    assert.equal(made, 0);
  });
});

describe("a TLS context", () => {
  test("tells what it shows", () => {
    const context = serverContext({ identities: [identity("server-rsa")] });
    assert.deepEqual(
      context.certificates.map(({ publicKey }) => publicKey.asymmetricKeyType),
      ["ec", "rsa"],
    );
    assert.equal(inspect(context), "TlsContext { CN=server.test; CN=server.test }");
    assert.equal(inspect(clientContext()), "TlsContext { no certificate }");
  });

  test('trusts what the system trusts by "system", where Node.js can tell', () => {
    if ("getCACertificates" in tls) assert.ok(new TlsContext({ ca: "system" }));
    else assert.throws(() => new TlsContext({ ca: "system" }), { code: "ERR_EM_TLS_SYSTEM_CA", message: /22\.15/ });
  });

  test("takes paths, text and bytes, alone and in lists", () => {
    assert.ok(new TlsContext({ ca: AUTHORITY }));
    assert.ok(new TlsContext({ ca: pkiFile("ca.pem") }));
    assert.ok(new TlsContext({ ca: ["default", pkiFile("ca.pem").toString()] }));
    assert.ok(new TlsContext({ cert: new Uint8Array(pkiFile("server-with-key.pem")) }));
  });
});
