import assert from "node:assert/strict";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { identity, serverContext } from "../support/pki.js";

/** What sslscan finds at a port, as XML; its parts by name and attributes. */
async function scan(port: number): Promise<(tag: string) => Record<string, string>[]> {
  await using child = new Child("sslscan", ["--no-colour", "--xml=-", `127.0.0.1:${port}`]);
  const report = (await child.rest()).join("\n");
  return (tag) =>
    [...report.matchAll(new RegExp(`<${tag} ([^>]*)/>`, "g"))].map(([, attributes = ""]) =>
      Object.fromEntries([...attributes.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value])),
    );
}

onEveryEngine("sslscan", (engine) => {
  engine.rule(
    "finds nothing to complain of in a server with all defaults",
    async (trial) => {
      const served = await trial.serve({}, { tls: serverContext({ identities: [identity("server-rsa")] }) });
      const found = await scan((served.at as { port: number }).port);
      assert.deepEqual(
        found("protocol")
          .filter(({ enabled }) => enabled === "1")
          .map(({ type, version }) => `${type} ${version}`),
        ["tls 1.2", "tls 1.3"],
      );
      assert.deepEqual(found("protocol").length, 6, "the old ones were looked for");
      for (const { supported } of found("renegotiation")) assert.equal(supported, "0");
      for (const { supported } of found("compression")) assert.equal(supported, "0");
      for (const { vulnerable } of found("heartbleed")) assert.equal(vulnerable, "0");
      const ciphers = found("cipher");
      assert.ok(ciphers.length >= 6, `${ciphers.length} suites`);
      for (const { cipher = "", bits, strength = "", ecdhebits } of ciphers) {
        assert.match(cipher, /GCM|CHACHA20/, "authenticated encryption");
        assert.match(strength, /^(strong|acceptable)$/, cipher);
        assert.ok(Number(bits) >= 128 && Number(ecdhebits) >= 250, `${cipher}: forward secrecy`);
      }
    },
    { limit: 60_000 },
  );
});
