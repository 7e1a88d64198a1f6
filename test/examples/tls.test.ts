import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tls from "node:tls";
import { AUTHORITY, identity, pkiFile } from "../support/pki.js";
import { onEveryEngine, Peer } from "./example.js";

async function meet(port: number, options: tls.ConnectionOptions = {}): Promise<{ peer: Peer; subject: string }> {
  const socket = tls.connect({ host: "127.0.0.1", port, ca: pkiFile("ca.pem"), servername: "server.test", ...options });
  const peer = new Peer(socket);
  await once(socket, "secureConnect");
  return { peer, subject: socket.getPeerX509Certificate()?.subject ?? "none" };
}

onEveryEngine("tls_server reads its certificate anew at SIGHUP", async ({ context, start }) => {
  const folder = mkdtempSync(join(tmpdir(), "em-examples-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const install = (name: string) => {
    copyFileSync(identity(name).cert, cert);
    copyFileSync(identity(name).key, key);
  };
  install("server");
  const server = start("tls_server", "127.0.0.1:0", cert, key);
  const { port } = (await server.place()) as { port: number };
  const old = await meet(port);
  assert.equal(old.subject, "CN=server.test");
  install("next");
  server.signal("SIGHUP");
  await server.line(/^serving with the new certificate$/);
  const young = await meet(port);
  assert.equal(young.subject, "CN=next.test");
  writeFileSync(key, "no key");
  server.signal("SIGHUP");
  await server.complaint(/the old certificate stays: key: it holds no private key/);
  assert.equal((await meet(port)).subject, "CN=next.test");
  await old.peer.send("still here").hears("still here");
  server.signal("SIGTERM");
  await old.peer.rest();
  await server.ended();
});

onEveryEngine("tls_server greets clients by their certificates", async ({ start }) => {
  const { cert, key } = identity("server");
  const server = start("tls_server", "127.0.0.1:0", cert, key, AUTHORITY);
  const { port } = (await server.place()) as { port: number };
  const { peer } = await meet(port, { cert: pkiFile("client.pem"), key: pkiFile("client-key.pem") });
  await peer.hears("hello CN=alice\n");
  await peer.send("hello").hears("hello");
});
