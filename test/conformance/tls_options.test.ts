import assert from "node:assert/strict";
import { TlsContext, type TlsOptions } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { AUTHORITY, clientContext, identity, pkiFile, serverContext } from "../support/pki.js";

/** What a context takes, an engine takes as well, in either role. */
const TAKEN: Readonly<Record<string, TlsOptions>> = {
  "automatic groups": { curves: "auto" },
  "groups in order": { curves: "P-384:P-256" },
  "automatic parameters for DHE": { dhParameters: "auto" },
  "parameters for DHE": { dhParameters: pkiFile("dh.pem").toString().replaceAll("\n", "\r\n") },
  "sessions of a week": { sessionTimeout: 604_800_000 },
  "sessions that are over at once": { sessionTimeout: 0 },
  "suites of TLS 1.3": { cipherSuites: "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384" },
  "ciphers of TLS 1.2": { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384:!aNULL" },
  "one version": { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" },
  "every limit at its least": { maxClientHello: 1024, maxCertificateChain: 1024, maxKeyUpdates: 1 },
};

onEveryEngine("TLS, options", (engine) => {
  for (const [what, options] of Object.entries(TAKEN)) {
    const needsBounds = "maxClientHello" in options;
    if (needsBounds && !engine.has("tlsBounds")) continue;
    engine.rule(`a server and a client take ${what}`, async (trial) => {
      const served = await trial.serve({}, { tls: serverContext(options) });
      const client = trial.dial(
        served,
        {},
        { tls: new TlsContext({ ca: AUTHORITY, ...identity("client"), ...options }) },
      );
      await client.secured;
      client.closeConnection();
      await trial.allUnbound();
    });
  }

  engine.rule("DHE is done with the parameters that were given", async (trial) => {
    for (const dhParameters of ["auto", pkiFile("dh.pem")] as const) {
      const ciphers = "DHE-RSA-AES128-GCM-SHA256";
      const limits = { maxVersion: "TLSv1.2", ciphers } as const;
      const served = await trial.serve({}, { tls: serverContext({ ...limits, dhParameters }, "server-rsa") });
      const client = trial.dial(served, {}, { tls: clientContext(limits) });
      assert.equal((await client.secured).cipher.name, ciphers);
      client.closeConnection();
      await trial.allUnbound();
    }
  });
});
