import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { source } from "../support/paths.js";
import { AUTHORITY, identity, pkiPath } from "../support/pki.js";

const MiB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "em-floods-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A certificate of some 70 KB: each session a client is given carries it. */
function largeCertificate(): string {
  const names = Array.from({ length: 1000 }, (_, at) => `DNS:${"x".repeat(50)}${at}.server.test`);
  const [request, extensions, certificate] = ["request", "extensions", "large.pem"].map((name) => join(folder, name));
  writeFileSync(extensions as string, `subjectAltName=DNS:server.test,${names.join(",")}\n`);
  const { key } = identity("server");
  execFileSync("openssl", ["req", "-new", "-key", key, "-subj", "/CN=server.test", "-out", request as string]);
  const authority = ["-CA", AUTHORITY, "-CAkey", pkiPath("ca-key.pem"), "-set_serial", "77", "-days", "30"];
  const files = ["-in", request as string, "-extfile", extensions as string, "-out", certificate as string];
  execFileSync("openssl", ["x509", "-req", ...authority, ...files], { stdio: "pipe" });
  return certificate as string;
}

onEveryEngine("TLS floods", (engine) => {
  engine.rule("a server that sends sessions by the thousand does not fill the memory", async (trial) => {
    const tickets = ["-num_tickets", "20000", "-no_ticket", "-tls1_3"];
    const place = ["-accept", "127.0.0.1:0", "-cert", largeCertificate(), "-key", identity("server").key];
    await using server = new Child("openssl", ["s_server", ...place, ...tickets], {
      missing: "openssl is missing: apt-get install openssl",
    });
    let port: string | undefined;
    while (port === undefined) port = /^ACCEPT .*:(\d+)$/.exec(await server.line())?.[1];
    const at = { host: "127.0.0.1", port: Number(port) };
    const before = process.resourceUsage().maxRSS * 1024;
    // Much of the flood waits in the kernel when it comes to reading it.
    const script = { sslHandshakeCompleted: () => trial.block(1_500) };
    const client = trial.dial(at, script, { tls: { ca: AUTHORITY, serverName: "server.test" } });
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
      const served = await trial.over("tls").serve({}, { sendBufferSize: 4_096 });
      const { port } = served.at as { port: number };
      await using peer = new Child("python3", [source("peers/demand_keys.py"), String(port)], {
        missing: "python3 is missing: apt-get install python3",
      });
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
});
