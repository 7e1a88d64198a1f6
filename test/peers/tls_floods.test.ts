import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { connect as secure } from "node:tls";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { source } from "../support/paths.js";
import { AUTHORITY, clientContext, identity, pkiPath, serverContext } from "../support/pki.js";
import { needs } from "../support/programs.js";
import type { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

const MiB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "em-floods-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A certificate of some 70 KB, or as many names as asked for: each session a client is given carries it. */
function largeCertificate(count = 1000): string {
  const names = Array.from({ length: count }, (_, at) => `DNS:${"x".repeat(50)}${at}.server.test`);
  const [request, extensions, certificate] = ["request", "extensions", `large${count}.pem`].map((name) =>
    join(folder, name),
  );
  writeFileSync(extensions as string, `subjectAltName=DNS:server.test,${names.join(",")}\n`);
  const { key } = identity("server");
  execFileSync(needs("openssl"), ["req", "-new", "-key", key, "-subj", "/CN=server.test", "-out", request as string]);
  const authority = ["-CA", AUTHORITY, "-CAkey", pkiPath("ca-key.pem"), "-set_serial", "77", "-days", "30"];
  const files = ["-in", request as string, "-extfile", extensions as string, "-out", certificate as string];
  execFileSync(needs("openssl"), ["x509", "-req", ...authority, ...files], { stdio: "pipe" });
  return certificate as string;
}

onEveryEngine("TLS floods", (engine) => {
  engine.rule("a server that sends sessions by the thousand does not fill the memory", async (trial) => {
    const tickets = ["-num_tickets", "20000", "-no_ticket", "-tls1_3"];
    const place = ["-accept", "127.0.0.1:0", "-cert", largeCertificate(), "-key", identity("server").key];
    await using server = new Child("openssl", ["s_server", ...place, ...tickets]);
    let port: string | undefined;
    while (port === undefined) port = /^ACCEPT .*:(\d+)$/.exec(await server.line())?.[1];
    const at = { host: "127.0.0.1", port: Number(port) };
    const before = process.resourceUsage().maxRSS * 1024;
    // Much of the flood waits in the kernel when it comes to reading it.
    const script = { sslHandshakeCompleted: () => trial.block(1_500) };
    const client = trial.dial(at, script, {
      tls: {
        ca: AUTHORITY,
        serverName: "server.test",
        ...(engine.has("tlsBounds") ? { maxCertificateChain: 131_072 } : {}),
      },
    });
    await client.secured;
    await trial.sleep(2_000);
    const grown = process.resourceUsage().maxRSS * 1024 - before;
    assert.equal(client.state, "open");
    assert.ok(grown < 48 * MiB, `the process grew by ${(grown / MiB).toFixed(0)} MiB`);
    client.closeConnection();
    await client.closed;
  });

  engine.ruleNeeding(
    "bufferSizes",
    "a peer that demands new keys and reads none of the answers is ended",
    async (trial) => {
      const tls = serverContext({ maxKeyUpdates: 1_000_000 });
      const served = await trial.serve({}, { sendBufferSize: 4_096, tls });
      const { port } = served.at as { port: number };
      await using peer = new Child("python3", [source("peers/demand_keys.py"), String(port)]);
      assert.equal(await peer.line(), "secured");
      const server = await served.peer();
      await trial.allUnbound(server);
      const { reason } = server;
      assert.ok(reason?.kind === "tls-error", reason?.kind);
      assert.equal(reason.error.code, "ERR_EM_TLS_PROTOCOL");
      assert.equal(reason.error.reason, "the peer does not read the answers it asks for");
    },
    (trial) => trial.over("tls").serve({}, { sendBufferSize: 4_096 }),
  );

  const UPDATES = [
    [0, 32],
    [1, 32],
    [0, 5_000],
    [1, 5_000],
  ] as const;
  for (const [asks, count] of UPDATES) {
    const what = `${count} key updates in a second${asks === 1 ? ", each asking for ours" : ""}`;
    const check = async (trial: Trial, ours: Recorder) => {
      if (count <= 32) {
        await trial.until(() => ours.bytes === 4, "data after the updates");
        ours.sendData("thanks");
        await trial.turn();
        ours.closeConnectionAfterWriting();
        await trial.allUnbound(ours);
        return;
      }
      await trial.allUnbound(ours);
      const { reason } = ours;
      assert.ok(reason?.kind === "tls-error", reason?.kind);
      assert.equal(reason.error.code, "ERR_EM_TLS_PROTOCOL");
      assert.equal(reason.error.reason, "the peer changes its keys again and again");
      assert.equal(ours.bytes, 0);
    };
    engine.ruleNeeding(
      "tlsBounds",
      `a client's ${what}`,
      async (trial) => {
        const served = await trial.over("tls").serve();
        const { port } = served.at as { port: number };
        const args = ["client", port, asks, count].map(String);
        await using _peer = new Child("python3", [source("peers/change_keys.py"), ...args]);
        await check(trial, await served.peer());
      },
      (trial) => trial.serve({}, { tls: serverContext({ maxKeyUpdates: 32 }) }),
    );
    engine.ruleNeeding(
      "tlsBounds",
      `a server's ${what}`,
      async (trial) => {
        const { cert, key } = identity("server");
        const args = ["server", cert, key, asks, count].map(String);
        await using peer = new Child("python3", [source("peers/change_keys.py"), ...args]);
        const at = { host: "127.0.0.1", port: Number(await peer.line()) };
        await check(trial, trial.dial(at, {}, { tls: { ca: AUTHORITY, serverName: "server.test" } }));
      },
      (trial) => trial.dial({ host: "127.0.0.1", port: 1 }, {}, { tls: { maxKeyUpdates: 32 } }),
    );
  }

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    engine.ruleNeeding(
      "tlsBounds",
      `a client's certificates of 70 KB are refused before they are read, ${version}`,
      async (trial) => {
        const tls = serverContext({ ca: AUTHORITY, requestCertificate: true, maxVersion: version });
        const served = await trial.serve({}, { tls });
        const { port } = served.at as { port: number };
        const client = secure({
          port,
          host: "127.0.0.1",
          rejectUnauthorized: false,
          cert: readFileSync(largeCertificate()),
          key: readFileSync(identity("server").key),
        }).on("error", () => {});
        const server = await served.peer();
        await trial.allUnbound(server);
        client.destroy();
        const { reason } = server;
        assert.ok(reason?.kind === "tls-error", reason?.kind);
        assert.equal(reason.error.code, "ERR_EM_TLS_HANDSHAKE");
        assert.equal(reason.error.reason, "excessive message size");
      },
      (trial) => trial.serve({}, { tls: serverContext({ maxCertificateChain: 32_768 }) }),
    );

    engine.ruleNeeding(
      "tlsBounds",
      `a client whose certificate would fill half a hello gets no ticket, another one does, ${version}`,
      async (trial) => {
        for (const count of [10, 150]) {
          const tls = serverContext({
            ca: AUTHORITY,
            requestCertificate: true,
            maxVersion: version,
            rejectUnauthorized: false,
          });
          const served = await trial.serve({ connectionCompleted: () => {} }, { tls });
          const { port } = served.at as { port: number };
          const client = secure({
            port,
            host: "127.0.0.1",
            rejectUnauthorized: false,
            cert: readFileSync(largeCertificate(count)),
            key: readFileSync(identity("server").key),
          }).on("error", () => {});
          let tickets = 0;
          client.on("session", () => {
            if (client.getTLSTicket() !== undefined) tickets++;
          });
          const server = await served.peer();
          await server.secured;
          assert.equal(server.peerCertificate !== undefined, true);
          server.sendData("hello");
          await once(client, "data");
          await trial.settle();
          assert.equal(tickets > 0, count === 10, `${count} names: ${tickets} tickets`);
          client.destroy();
          await trial.allUnbound(server);
        }
      },
      (trial) => trial.serve({}, { tls: serverContext({ maxClientHello: 16_384 }) }),
    );
  }

  engine.ruleNeeding(
    "tlsBounds",
    "a server's certificates of 70 KB are refused before they are read",
    async (trial) => {
      const tls = { cert: largeCertificate(), key: identity("server").key };
      const served = await trial.serve({}, { tls });
      const client = trial.dial(served, {}, { tls: clientContext() });
      await trial.allUnbound();
      const { reason } = client;
      assert.ok(reason?.kind === "tls-error", reason?.kind);
      assert.equal(reason.error.reason, "excessive message size");
    },
    (trial) => trial.dial({ host: "127.0.0.1", port: 1 }, {}, { tls: { maxCertificateChain: 32_768 } }),
  );
});
