import assert from "node:assert/strict";
import { Connection } from "eventmachine";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { AUTHORITY, identity, pkiPath, serverContext } from "../support/pki.js";
import type { Trial } from "../support/trial.js";

/** Answers a request with what it was asked for: /BYTES. */
class Http extends Connection {
  #request = "";

  override receiveData(data: Buffer): void {
    this.#request += data;
    const [, size] = /^GET \/(\d+) HTTP\/1\.1\r\n[\s\S]*\r\n\r\n$/.exec(this.#request) ?? [];
    if (size === undefined) return;
    const who = /CN=(\w+)/.exec(this.peerCertificate?.subject ?? "")?.[1] ?? "nobody";
    const body = Buffer.alloc(Number(size), `${who} `);
    this.sendData(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`);
    this.sendData(body);
    this.closeConnectionAfterWriting();
  }
}

async function curl(port: number, path: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const resolve = ["--resolve", `server.test:${port}:127.0.0.1`, "--resolve", `wrong.test:${port}:127.0.0.1`];
  const host = args.includes("--wrong-host") ? "wrong.test" : "server.test";
  const rest = args.filter((arg) => arg !== "--wrong-host");
  await using child = new Child("curl", ["-sS", ...resolve, ...rest, `https://${host}:${port}/${path}`]);
  const output = (await child.rest()).join("\n");
  return { code: (await child.ended()).code, output };
}

async function start(trial: Trial, tls: ReturnType<typeof serverContext>): Promise<number> {
  const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0, tls }, Http);
  return listener.port as number;
}

onEveryEngine("curl over TLS", (engine) => {
  for (const flags of [["--tlsv1.3"], ["--tls-max", "1.2"]]) {
    engine.rule(`gets small and large answers (${flags.join(" ")})`, async (trial) => {
      const port = await start(trial, serverContext());
      assert.deepEqual(await curl(port, "6", "--cacert", AUTHORITY, ...flags), { code: 0, output: "nobody" });
      const large = await curl(port, "5000000", "--cacert", AUTHORITY, ...flags);
      assert.equal(large.code, 0);
      assert.equal(large.output.length, 5_000_000);
    });
  }

  engine.rule("shows its certificate, and is refused without", async (trial) => {
    const port = await start(trial, serverContext({ ca: AUTHORITY, requireCertificate: true }));
    const { cert, key } = identity("client");
    const shown = await curl(port, "5", "--cacert", AUTHORITY, "--cert", cert, "--key", key);
    assert.deepEqual(shown, { code: 0, output: "alice" });
    assert.notEqual((await curl(port, "5", "--cacert", AUTHORITY)).code, 0);
  });

  engine.rule("refuses what it should refuse", async (trial) => {
    const port = await start(trial, serverContext());
    assert.equal((await curl(port, "5", "--cacert", pkiPath("stranger-ca.pem"))).code, 60);
    assert.equal((await curl(port, "5", "--cacert", AUTHORITY, "--wrong-host")).code, 60);
  });
});
