import assert from "node:assert/strict";
import { createHash, type X509Certificate } from "node:crypto";
import { TlsContext } from "eventmachine";
import { type Issued, issue } from "../support/certificates.js";
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
