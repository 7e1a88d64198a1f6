import assert from "node:assert/strict";
import { test } from "node:test";
import * as tls from "node:tls";
import { AUTHORITY, identity, pkiFile, pkiPath } from "../support/pki.js";
import { ENGINES, eventmachine } from "./command.js";

const { cert, key } = identity("server");

async function echoed(port: number, options: tls.ConnectionOptions = {}): Promise<string> {
  const socket = tls.connect({ host: "127.0.0.1", port, ca: pkiFile("ca.pem"), servername: "server.test", ...options });
  socket.end("hello\n");
  let text = "";
  for await (const chunk of socket) text += chunk;
  return text;
}

for (const engine of ENGINES) {
  const listen = ["echo", "--listen", "127.0.0.1:0", "--engine", engine];

  test(`${engine}: echo serves TLS, line by line too`, async () => {
    for (const flags of [[], ["--lines"], ["--borrow"]]) {
      await using program = eventmachine([...listen, "--tls-cert", cert, "--tls-key", key, ...flags]);
      const { port } = (await program.address()) as { port: number };
      assert.equal(await echoed(port), "hello\n");
      program.signal("SIGTERM");
      assert.equal(await program.exit(), 0, program.said());
    }
  });

  test(`${engine}: --client-ca has clients show a certificate`, async () => {
    const files = ["--tls-cert", pkiPath("server-with-key.pem"), "--client-ca", AUTHORITY];
    await using program = eventmachine([...listen, ...files]);
    const { port } = (await program.address()) as { port: number };
    const shown = { cert: pkiFile("client.pem"), key: pkiFile("client-key.pem") };
    assert.equal(await echoed(port, shown), "hello\n");
    await assert.rejects(echoed(port), /certificate required|ECONNRESET/);
  });
}

test("what TLS cannot be served with is one line", async () => {
  for (const [args, code, complaint] of [
    [["--tls-key", key], 2, /^eventmachine: --tls-cert FILE is needed for TLS\n$/],
    [["--client-ca", AUTHORITY], 2, /--tls-cert FILE is needed/],
    [
      ["--tls-cert", "/nowhere.pem", "--tls-key", key],
      1,
      /^eventmachine: cert: \/nowhere\.pem cannot be read: ENOENT\n$/,
    ],
    [
      ["--tls-cert", cert, "--tls-key", identity("client").key],
      1,
      /^eventmachine: key is not the key of the certificate/,
    ],
  ] as const) {
    await using program = eventmachine(["echo", "--listen", "127.0.0.1:0", ...args]);
    assert.equal(await program.exit(), code, program.said());
    assert.match(program.stderr, complaint);
    assert.equal(program.stdout, "");
  }
});
