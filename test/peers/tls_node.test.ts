import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectPlain } from "node:net";
import * as tls from "node:tls";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, identity, pkiFile, serverContext } from "../support/pki.js";
import type { Script } from "../support/recorder.js";
import type { Served } from "../support/trial.js";

const ECHO: Script = { receiveData: (me, data) => me.sendData(data) };
const MiB = 1024 * 1024;

function dial(served: Served, options: tls.ConnectionOptions = {}): tls.TLSSocket {
  const { port } = served.at as { port: number };
  return tls.connect({ host: "127.0.0.1", port, ca: pkiFile("ca.pem"), servername: "server.test", ...options });
}

async function readAtLeast(socket: tls.TLSSocket, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  while (size < bytes) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) await once(socket, "readable");
    else {
      chunks.push(chunk);
      size += chunk.length;
    }
  }
  return Buffer.concat(chunks);
}

onEveryEngine("node:tls", (engine) => {
  engine.rule("a million bytes, in records of one byte and of all sizes", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext() });
    const socket = dial(served);
    await once(socket, "secureConnect");
    for (let count = 0; count < 2000; count++) socket.write(Buffer.from([count & 255]));
    const echoed = await readAtLeast(socket, 2000);
    assert.deepEqual(echoed, Buffer.from(Array.from({ length: 2000 }, (_, count) => count & 255)));
    const all = Buffer.from(Array.from({ length: MiB }, (_, at) => (at * 31 + (at >> 8)) & 255));
    for (let at = 0, size = 1; at < all.length; at += size, size = (size * 7) % 30_011) {
      socket.write(all.subarray(at, at + size));
    }
    assert.deepEqual(await readAtLeast(socket, all.length), all);
    socket.end();
    await trial.allUnbound();
    assert.equal(served.peers[0]?.kind, "peer-closed");
  });

  engine.rule("a server of node:tls: an echo, its end, and ours", async (trial) => {
    const server = tls.createServer({ ...pem("server"), ALPNProtocols: ["echo"] }, (socket) => {
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const at = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
    const client = trial.dial(at, {}, { tls: clientContext({ alpn: ["echo"] }) });
    client.sendData("hello");
    await trial.until(() => client.text === "hello", "the echo");
    assert.equal(client.alpnProtocol, "echo");
    client.halfClose();
    await trial.allUnbound();
    assert.equal(client.kind, "peer-closed");
    const second = trial.dial(at, {}, { tls: clientContext() });
    await second.secured;
    second.closeConnectionAfterWriting();
    await trial.allUnbound();
    assert.equal(second.kind, "local-close");
    server.close();
  });

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    engine.rule(`a session of node:tls is resumed (${maxVersion})`, async (trial) => {
      const served = await trial.serve(ECHO, { tls: serverContext({ maxVersion }) });
      const first = dial(served);
      const [session] = (await once(first, "session")) as [Buffer];
      first.end();
      const second = dial(served, { session });
      await once(second, "secureConnect");
      assert.equal(second.isSessionReused(), true);
      second.write("x");
      await readAtLeast(second, 1);
      assert.equal(served.peers[1]?.isSessionReused, true);
      second.end();
      await trial.allUnbound();
    });

    engine.rule(`a client of ours resumes its session with node:tls (${maxVersion})`, async (trial) => {
      const server = tls.createServer({ ...pem("server"), maxVersion }, (socket) => socket.pipe(socket));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const at = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
      const context = clientContext();
      for (const isReused of [false, true]) {
        const client = trial.dial(at, {}, { tls: context });
        client.sendData("x");
        await trial.until(() => client.bytes === 1, "the echo");
        await trial.turn();
        assert.equal(client.isSessionReused, isReused);
        client.closeConnectionAfterWriting();
        await trial.allUnbound();
      }
      server.close();
    });
  }

  engine.rule("certificates change under load, and nobody is dropped", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext({ sessionTickets: false }) });
    const steady = dial(served);
    await once(steady, "secureConnect");
    const seen = new Set<string>();
    let visits = 0;
    let going = true;
    const visitor = async () => {
      while (going) {
        const socket = dial(served);
        await once(socket, "secureConnect");
        seen.add(socket.getPeerX509Certificate()?.subject ?? "none");
        socket.write("hello");
        assert.equal((await readAtLeast(socket, 5)).toString(), "hello");
        socket.destroy();
        visits++;
      }
    };
    const visitors = [visitor(), visitor(), visitor(), visitor()];
    for (let swap = 0; swap < 20; swap++) {
      served.listener.setTlsContext(serverContext({ sessionTickets: false }, swap % 2 === 0 ? "next" : "server"));
      steady.write("still here");
      assert.equal((await readAtLeast(steady, 10)).toString(), "still here");
      await trial.sleep(10);
    }
    going = false;
    await Promise.all(visitors);
    assert.ok(visits > 10, `${visits} visits`);
    assert.deepEqual([...seen].sort(), ["CN=next.test", "CN=server.test"]);
    steady.end();
    await trial.allUnbound();
  });

  engine.rule("half a hello and then nothing: the handshake deadline", async (trial) => {
    const served = await trial.serve({}, { tls: serverContext({ handshakeTimeout: 150 }) });
    const { port } = served.at as { port: number };
    const socket = connectPlain({ host: "127.0.0.1", port });
    socket.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]));
    await trial.until(() => served.peers[0]?.isUnbound === true, "the deadline");
    const { reason } = served.peers[0] ?? {};
    assert.ok(reason?.kind === "timeout" && reason.deadline === "handshake");
    socket.destroy();
  });

  engine.rule("a broken record behind the handshake is a failure of its own", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext() });
    const { port } = served.at as { port: number };
    // TLS over a socket of ours: what is written to that directly goes between TLS's own records.
    const raw = connectPlain({ host: "127.0.0.1", port });
    await once(raw, "connect");
    const { Duplex } = await import("node:stream");
    const through = new Duplex({
      read() {},
      write: (chunk, _, done) => raw.write(chunk, done),
    });
    raw.on("data", (chunk) => through.push(chunk));
    raw.on("close", () => through.push(null));
    raw.on("error", () => {});
    const socket = tls.connect({ socket: through, ca: pkiFile("ca.pem"), servername: "server.test" });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    socket.write("hello");
    await trial.until(() => served.peers[0]?.text === "hello", "the data");
    raw.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 32]), Buffer.alloc(32, 7)]));
    await trial.allUnbound();
    const { reason, text } = served.peers[0] ?? {};
    assert.ok(reason?.kind === "tls-error", `ended by ${JSON.stringify(reason)}`);
    assert.equal(reason.error.code, "ERR_EM_TLS_PROTOCOL");
    assert.equal(text, "hello");
    raw.destroy();
  });
});

function pem(name: string): { cert: Buffer; key: Buffer } {
  assert.ok(identity(name));
  return { cert: pkiFile(`${name}.pem`), key: pkiFile(`${name}-key.pem`) };
}
