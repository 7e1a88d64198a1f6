import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { ROOT, source } from "../support/paths.js";
import { clientContext, identity, pkiPath, serverContext } from "../support/pki.js";
import type { Script } from "../support/recorder.js";

const ECHO: Script = { keep: false, receiveData: (me, data) => void me.sendData(data) };
const SIZE = 3_000_000;

/**
 * Bun's program comes in a package for each platform, of which npm installs the one that fits; the install script, where it
 * runs, moves it into the package `bun`, in the place of a few bytes that only say that it has not run.
 */
function bun(...args: string[]): Child {
  const modules = join(ROOT, "node_modules");
  const vendor = join(modules, "@oven");
  const platforms = existsSync(vendor) ? readdirSync(vendor) : [];
  const places = [join(modules, "bun/bin/bun.exe"), ...platforms.map((name) => join(vendor, name, "bin/bun"))];
  const program = places.find((path) => existsSync(path) && statSync(path).size > 1_000_000);
  assert.ok(program !== undefined, "Bun is not installed: npm install");
  return new Child(program, [source("peers/bun_tls.js"), ...args]);
}

onEveryEngine("Bun's TLS", (engine) => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    engine.rule(`its client trusts our certificate, and has three megabytes echoed (${maxVersion})`, async (trial) => {
      const served = await trial.serve(ECHO, { tls: serverContext({ maxVersion }) });
      const { port } = served.at as { port: number };
      await using client = bun("client", `${port}`, pkiPath("ca.pem"), `${SIZE}`);
      assert.equal(await client.line(), "authorized");
      assert.equal(await client.line(), "all of it");
      assert.equal(await client.line(), "closed");
      await trial.allUnbound();
      assert.equal(served.peers[0]?.protocol, maxVersion);
      assert.equal(served.peers[0]?.bytesIn, SIZE);
      assert.equal(served.peers[0]?.kind, "peer-closed");
    });
  }

  engine.rule("its client refuses a certificate that nobody vouches for", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext({}, "stranger") });
    const { port } = served.at as { port: number };
    await using client = bun("client", `${port}`, pkiPath("ca.pem"), "10");
    assert.match(await client.line(), /^(refused|error): /);
    await trial.allUnbound();
    assert.equal(served.peers[0]?.bytesIn, 0);
  });

  engine.rule("its server is trusted, and echoes three megabytes", async (trial) => {
    const { cert, key } = identity("server");
    await using server = bun("server", cert, key);
    const at = { host: "127.0.0.1", port: Number(await server.line()) };
    const client = trial.dial(
      at,
      { keep: false },
      { tls: { context: clientContext(), serverName: "server.test", verifyName: "server.test" } },
    );
    await client.secured;
    assert.equal(client.protocol, "TLSv1.3");
    for (let sent = 0; sent < SIZE; sent += 100_000) client.sendData(Buffer.alloc(100_000, sent & 255));
    await trial.until(() => client.bytes === SIZE, "the echo");
    client.closeConnection();
    await trial.allUnbound();
    assert.equal(client.kind, "local-close");
  });
});
