import assert from "node:assert/strict";
import { createHash, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { TlsContext } from "eventmachine";
import { type CertificateOptions, type Issued, issue } from "../support/certificates.js";
import { onEveryEngine } from "../support/harness.js";
import { clientContext } from "../support/pki.js";
import type { Script } from "../support/recorder.js";
import { tlsError } from "../support/tls_error.js";
import type { Trial } from "../support/trial.js";

const ROOT = issue({ names: ["Some Authority"], isAuthority: true });
const LOOPBACK = Buffer.of(127, 0, 0, 1);
const VICTIM = issue({ names: ["alice"], by: ROOT, hosts: [LOOPBACK] });

/** Certificates that carry the victim's in PEM, wherever a certificate can carry text. */
const IMPOSTORS: Readonly<Record<string, Issued>> = {
  "an extension": issue({ names: ["mallory"], by: ROOT, extension: Buffer.from(VICTIM.cert) }),
  "an extension, on a line of its own": issue({
    names: ["mallory"],
    by: ROOT,
    extension: Buffer.from(`\n${VICTIM.cert}\n`),
  }),
  "its subject": issue({ names: [`\n${VICTIM.cert}`], by: ROOT }),
  "its subject, between other names": issue({ names: ["alice", `\n${VICTIM.cert}\n`, "mallory"], by: ROOT }),
  "an alternative name": issue({ names: ["mallory"], by: ROOT, hosts: [`\n${VICTIM.cert}\n`] }),
  "the name of its issuer": issue({
    names: ["mallory"],
    by: issue({ names: [`\n${VICTIM.cert}\n`], by: ROOT, isAuthority: true }),
  }),
};

const VICTIM_IDENTITY = { cert: VICTIM.cert, key: VICTIM.key };

/** An honest server below an authority that carries somebody else's certificate. */
const middle = issue({ names: ["Middle"], by: ROOT, isAuthority: true, extension: Buffer.from(VICTIM.cert) });
const honest = issue({ names: ["honest"], by: middle, hosts: [LOOPBACK], extension: Buffer.from(VICTIM.cert) });

/** What SHA-256 makes of the bytes, in the form of `fingerprint256`. */
function print({ der }: Issued): string {
  const hex = createHash("sha256").update(der).digest("hex").toUpperCase();
  return hex.match(/../g)?.join(":") ?? "";
}

onEveryEngine("TLS, certificates shown", (engine) => {
  const shown = async (
    trial: Trial,
    server: TlsContext,
    client: TlsContext,
    scripts: { client?: Script; server?: Script },
  ) => {
    const served = await trial.serve(scripts.server, { tls: server });
    const dialled = trial.dial(served, scripts.client, { tls: client });
    await trial.allUnbound(dialled);
    return { client: dialled, server: await served.peer() };
  };

  for (const [where, impostor] of Object.entries(IMPOSTORS)) {
    engine.rule(`a server with another's certificate in ${where} is shown as itself`, async (trial) => {
      const seen: X509Certificate[] = [];
      const { client, server } = await shown(
        trial,
        new TlsContext({ cert: impostor.cert, key: impostor.key }),
        clientContext({ rejectUnauthorized: false }),
        {
          client: {
            postInit: (me) => me.sendData("secret"),
            sslVerifyPeer: (_, certificate, { chain }) => {
              seen.push(certificate, ...chain);
              return certificate.fingerprint256 === print(VICTIM);
            },
          },
        },
      );
      assert.equal(seen.length, 2);
      for (const certificate of seen) {
        assert.deepEqual(certificate.raw, impostor.der);
        assert.equal(certificate.fingerprint256, print(impostor));
      }
      assert.equal(tlsError(client.reason).code, "ERR_EM_TLS_VERIFY");
      assert.equal(server.bytes + client.handshakes, 0);
    });

    engine.rule(`so is a client with it in ${where}`, async (trial) => {
      const members = new TlsContext({
        ...VICTIM_IDENTITY,
        ca: ROOT.cert,
        requireCertificate: true,
        rejectUnauthorized: false,
      });
      const mallory = clientContext({ cert: impostor.cert, key: impostor.key, rejectUnauthorized: false });
      const raws: Buffer[] = [];
      const { server } = await shown(trial, members, mallory, {
        server: {
          sslVerifyPeer: async (_, certificate) => {
            raws.push(certificate.raw);
            return certificate.subject === "CN=alice";
          },
          sslHandshakeCompleted: (me) => me.sendData(`welcome, ${me.peerCertificate?.subject}`),
        },
      });
      assert.deepEqual(raws, [impostor.der]);
      assert.equal(tlsError(server.reason).code, "ERR_EM_TLS_VERIFY");
      assert.equal(server.handshakes, 0);
    });
  }

  engine.rule(
    "what a secured connection keeps of its peer is what was verified, also when it is resumed",
    async (trial) => {
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        const client = clientContext({ ca: ROOT.cert, maxVersion });
        // The root is sent along, so that a chain is shown.
        const chain = new TlsContext({ cert: honest.cert + middle.cert, key: honest.key });
        const served = await trial.serve({ sslHandshakeCompleted: (me) => me.sendData("hello") }, { tls: chain });
        for (const isReused of [false, true]) {
          const peer = trial.dial(served, {}, { tls: client });
          const info = await peer.secured;
          await trial.until(() => peer.bytes > 0, "the greeting, and a session before it");
          assert.equal(info.isSessionReused, isReused);
          assert.deepEqual(peer.peerCertificate?.raw, honest.der);
          for (const [index, each] of info.peerCertificates.entries()) {
            assert.deepEqual(each.raw, [honest, middle][index]?.der);
          }
          peer.closeConnection();
          await trial.allUnbound(peer);
        }
      }
    },
  );
});

const OUTER = issue({ names: ["Outer"], by: ROOT, isAuthority: true });
const INNER = issue({ names: ["Inner"], by: OUTER, isAuthority: true });
const BELOW = issue({ names: ["below"], by: INNER, hosts: [LOOPBACK] });
/** The leaf alone: the others stand in `ca`. */
const ALONE = { cert: BELOW.cert, key: BELOW.key, ca: [INNER.cert + OUTER.cert, ROOT.cert] };

onEveryEngine("TLS, chains that ca completes", (engine) => {
  /** A root may come along: node:tls sends it. */
  const isWhole = (ders: readonly Buffer[]) =>
    assert.deepEqual(ders.slice(0, 3), [BELOW.der, INNER.der, OUTER.der], "the leaf and both intermediates");

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    engine.rule(`a leaf alone is shown with the intermediates in ca, by either side (${maxVersion})`, async (trial) => {
      const server = new TlsContext({ ...ALONE, maxVersion, requireCertificate: true });
      const served = await trial.serve({}, { tls: server });
      const client = trial.dial(served, {}, { tls: new TlsContext(ALONE) });
      isWhole((await client.secured).peerCertificates.map(({ raw }) => raw));
      isWhole((await (await served.peer()).secured).peerCertificates.map(({ raw }) => raw));
      client.closeConnection();
      await trial.allUnbound();
      // The other side has the root, and nothing else.
      const stranger = trial.dial(
        served,
        {},
        { tls: { ...ALONE, ca: ROOT.cert, cert: [BELOW, INNER, OUTER].map(({ cert }) => cert).join("") } },
      );
      await stranger.secured;
      stranger.closeConnection();
    });
  }

  engine.rule("also in a context by name, and for the context that replaced another", async (trial) => {
    const served = await trial.serve({}, { tls: { ...VICTIM_IDENTITY, contexts: { "below.test": ALONE } } });
    const options = { ca: ROOT.cert, serverName: "below.test", verifyName: "127.0.0.1" };
    const byName = trial.dial(served, {}, { tls: options });
    await byName.secured;
    served.listener.setTlsContext(new TlsContext(ALONE));
    const later = trial.dial(served, {}, { tls: { ca: ROOT.cert } });
    await later.secured;
    byName.closeConnection();
    later.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("what was given as a chain is sent as it was given", async (trial) => {
    const served = await trial.serve({}, { tls: { ...ALONE, cert: BELOW.cert + INNER.cert } });
    const client = trial.dial(served, {}, { tls: { ca: ROOT.cert } });
    await assert.rejects(client.secured, { code: "ERR_EM_TLS_VERIFY" });
    const other = trial.dial(served, {}, { tls: { ca: ROOT.cert + OUTER.cert } });
    await other.secured;
    other.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("a ca that does not reach the leaf, or has expired, changes nothing", async (trial) => {
    const late = issue({ names: ["Late"], by: ROOT, isAuthority: true, notAfter: "20210101000000Z" });
    const under = issue({ names: ["under"], by: late, hosts: [LOOPBACK] });
    for (const [{ cert, key }, ca] of [
      [BELOW, VICTIM.cert],
      [under, late.cert + ROOT.cert],
    ] as const) {
      const served = await trial.serve({}, { tls: { cert, key, ca } });
      const client = trial.dial(served, {}, { tls: { ca: ROOT.cert } });
      await assert.rejects(client.secured, { code: "ERR_EM_TLS_VERIFY" });
    }
    await trial.allUnbound();
  });
});

/** What a certificate says of its owner, and the name that it is not for. */
const NOT_FOR: readonly [string, CertificateOptions, string][] = [
  ["a common name, and no alternative one", { names: ["server.test"] }, "server.test"],
  ["a common name beside addresses", { names: ["server.test"], hosts: [LOOPBACK] }, "server.test"],
  ["a common name that is the address", { names: ["127.0.0.1"] }, "127.0.0.1"],
  ["a wildcard as its common name", { names: ["*.wild.test"] }, "a.wild.test"],
  ["the beginning of a label before a wildcard", { hosts: ["f*.wild.test"] }, "foo.wild.test"],
  ["the end of a label behind a wildcard", { hosts: ["*z.wild.test"] }, "fuzz.wild.test"],
  ["a wildcard inside a label", { hosts: ["f*z.wild.test"] }, "fuzz.wild.test"],
  ["a wildcard behind an IDNA prefix", { hosts: ["xn--*.wild.test"] }, "xn--bcher-kva.wild.test"],
  ["a wildcard for a whole domain", { hosts: ["*.test"] }, "server.test"],
  ["a wildcard for everything", { hosts: ["*"] }, "server.test"],
  ["a wildcard that is not the first label", { hosts: ["a.*.test"] }, "a.b.test"],
  ["two wildcards", { hosts: ["*.*.wild.test"] }, "a.b.wild.test"],
  ["a NUL behind the name", { hosts: ["server.test\0.evil.test"] }, "server.test"],
  ["a NUL at the end of the name", { hosts: ["server.test\0"] }, "server.test"],
  ["a NUL before the name", { hosts: ["\0server.test"] }, "server.test"],
  ["a line break behind the name", { hosts: ["server.test\n"] }, "server.test"],
  ["several names in one", { hosts: ["other.test, DNS:server.test"] }, "server.test"],
  ["a space behind the name", { hosts: ["server.test "] }, "server.test"],
  ["the address as a name", { hosts: ["127.0.0.1"] }, "127.0.0.1"],
  ["an address of the wrong length", { hosts: [Buffer.of(127, 0, 0, 1, 0)] }, "127.0.0.1"],
  ["the IPv4-mapped address", { hosts: [Buffer.from("00000000000000000000ffff7f000001", "hex")] }, "127.0.0.1"],
];

onEveryEngine("TLS, names in certificates", (engine) => {
  for (const [what, options, verifyName] of NOT_FOR) {
    engine.rule(`a certificate with ${what} is not for ${verifyName}`, async (trial) => {
      const { cert, key } = issue({ names: ["x"], by: ROOT, ...options });
      const served = await trial.serve({}, { tls: { cert, key } });
      const client = trial.dial(served, {}, { tls: { ca: ROOT.cert, verifyName } });
      await trial.allUnbound();
      const error = tlsError(client.reason);
      assert.equal(error.code, "ERR_EM_TLS_VERIFY");
      assert.equal(error.verifyError, isIP(verifyName) === 0 ? "HOSTNAME_MISMATCH" : "IP_ADDRESS_MISMATCH");
    });
  }

  engine.rule(
    "a certificate is for every name that it lists, and for no other, also when a session is resumed",
    async (trial) => {
      const hosts = [
        ...Array.from({ length: 500 }, (_, index) => `${index}.many.test`),
        "*.wild.test",
        "SERVER.test",
        LOOPBACK,
      ];
      const { cert, key } = issue({ names: ["only.test"], by: ROOT, hosts });
      const served = await trial.serve({ sslHandshakeCompleted: (me) => me.sendData("hello") }, { tls: { cert, key } });
      const context = clientContext({ ca: ROOT.cert });
      for (const verifyName of ["499.many.test", "foo.wild.test", "server.test", "127.0.0.1"]) {
        for (const isReused of [false, true]) {
          const client = trial.dial(served, {}, { tls: { context, verifyName } });
          assert.equal((await client.secured).isSessionReused, isReused);
          await trial.until(() => client.bytes > 0, "the greeting, and a session before it");
          client.closeConnection();
          await trial.allUnbound(client);
        }
      }
      for (const verifyName of ["only.test", "500.many.test", "wild.test", "127.0.0.2"]) {
        const client = trial.dial(served, {}, { tls: { context, verifyName } });
        await assert.rejects(client.secured, { code: "ERR_EM_TLS_VERIFY" });
        await trial.allUnbound();
      }
    },
  );
});
