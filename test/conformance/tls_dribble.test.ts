import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import type { Capability } from "eventmachine";
import { issue } from "../support/certificates.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Place, Trial } from "../support/trial.js";

const AUTHORITY = issue({ names: ["authority"], isAuthority: true });
/** Its certificate is longer than a record. */
function long(name: string) {
  return issue({ names: [name], hosts: [name], by: AUTHORITY, extension: Buffer.alloc(20_000) });
}
const SERVER = long("server.test");
const CLIENT = long("client.test");

/** Passes on what `from` says, in pieces. */
function dribble(from: Socket, to: Socket, size: number): void {
  let last = Promise.resolve();
  from.on("data", (bytes: Buffer) => {
    last = last.then(async () => {
      for (let at = 0; at < bytes.length && !to.destroyed; at += size) {
        to.write(bytes.subarray(at, at + size));
        await turn();
      }
    });
  });
  from.on("close", () => last.then(() => to.destroy()));
}

/** Stands before a server, and passes everything on in pieces. */
async function inPieces(trial: Trial, at: Place, size: number): Promise<Place> {
  const relay = createServer((near) => {
    const far = connect(at as { host: string; port: number });
    for (const socket of [near, far]) socket.setNoDelay(true).on("error", () => {});
    dribble(near, far, size);
    dribble(far, near, size);
  });
  if (!("path" in at)) return { host: "127.0.0.1", port: await trial.listen(relay) };
  const path = trial.path();
  relay.listen(path);
  await once(relay, "listening");
  relay.unref();
  return { path };
}

interface Ways {
  medium?: "tcp" | "unix";
  size: number;
  receiveBufferSize?: number;
}

function isShaken(engine: EngineSuite, what: string, ways: Ways, needs?: Capability): void {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const body = async (trial: Trial) => {
      const { medium = "tcp", size, receiveBufferSize } = ways;
      const options = receiveBufferSize === undefined ? {} : { receiveBufferSize };
      const ca = AUTHORITY.cert;
      const context = serverContext({ cert: SERVER.cert, key: SERVER.key, ca, maxVersion, requestCertificate: true });
      const echo = { receiveData: (me: { sendData(data: Buffer): unknown }, data: Buffer) => void me.sendData(data) };
      const served = await trial.over(medium).serve(echo, { ...options, tls: context });
      const tls = { context: clientContext({ cert: CLIENT.cert, key: CLIENT.key, ca }), serverName: "server.test" };
      const client = trial.dial(await inPieces(trial, served.at, size), {}, { ...options, tls });
      await client.secured;
      client.sendData("there and back");
      await trial.until(() => client.text === "there and back", "there and back");
      const server = await served.peer();
      assert.ok(client.peerCertificate?.raw.equals(SERVER.der));
      assert.ok(server.peerCertificate?.raw.equals(CLIENT.der));
      client.closeConnection();
      await trial.allUnbound();
    };
    if (needs === undefined) engine.rule(`${what}, ${maxVersion}`, body);
    else
      engine.ruleNeeding(needs, `${what}, ${maxVersion}`, body, (trial) =>
        trial.serve({}, { receiveBufferSize: 4_096 }),
      );
  }
}

onEveryEngine("handshakes in pieces", (engine) => {
  isShaken(engine, "a few bytes at a time", { size: 9 });
  isShaken(engine, "over a Unix socket", { medium: "unix", size: 9 });
  isShaken(engine, "into a buffer that is too small", { size: 1_000, receiveBufferSize: 4_096 }, "bufferSizes");

  engine.rule(
    "a client that stops within a record costs nothing while it is waited for, and its end is seen",
    async (trial) => {
      const served = await trial.serve({}, { tls: serverContext() });
      const { host, port } = served.at as { host: string; port: number };
      const hello = Buffer.alloc(10_000);
      hello.set([22, 3, 1, 64, 0, 1, 0, 63, 252]);
      const socket = connect({ host, port, allowHalfOpen: true });
      socket.write(hello);
      await served.peer();
      await trial.settle(50);
      const before = trial.reactor.stats();
      socket.write(Buffer.alloc(100));
      await trial.sleep(100);
      const { spins, systemCalls, batches } = trial.reactor.stats();
      assert.equal(spins, before.spins);
      assert.ok(systemCalls - before.systemCalls < 60, `${systemCalls - before.systemCalls} system calls`);
      assert.ok(batches - before.batches < 20);
      socket.end();
      socket.resume();
      await trial.allUnbound();
      const { reason } = await served.peer();
      assert.ok(reason?.kind === "tls-error" && reason.error.code === "ERR_EM_TLS_HANDSHAKE", reason?.kind);
      if (!socket.closed) await once(socket, "close");
    },
  );
});
