import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { onEveryEngine } from "../support/harness.js";
import { needs } from "../support/programs.js";
import { RawPeer } from "../support/raw_peer.js";
import type { Recorder } from "../support/recorder.js";

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_KEEPALIVE = 9;

/** What the kernel says of the connection between these ports, seen from ours. */
function kernelView(recorder: Recorder): string {
  const { localAddress: local, remoteAddress: remote } = recorder;
  assert.ok(local !== undefined && local.family !== "unix" && remote !== undefined && remote.family !== "unix");
  const filter = ["sport", "=", `:${local.port}`, "and", "dport", "=", `:${remote.port}`];
  return execFileSync(needs("ss"), ["-H", "-t", "-n", "-o", "-i", ...filter], { encoding: "utf8" });
}

function option(recorder: Recorder, level: number, name: number): number {
  return recorder.getSockOpt(level, name).readInt32LE();
}

onEveryEngine("socket options", (engine) => {
  engine.rule("keep-alive of a server's connections is seen in the kernel's timer", async (trial) => {
    const served = await trial.serve({}, { keepAlive: { idle: 45_000 } });
    await using peer = new RawPeer();
    await peer.connect(served.at);
    const server = await served.peer();
    assert.match(kernelView(server), /timer:\(keepalive,4[345](\.\d+)?sec,0\)/);
    server.disableKeepalive();
    assert.doesNotMatch(kernelView(server), /timer:\(keepalive/);
    server.enableKeepalive({ idle: 100_000 });
    assert.match(kernelView(server), /timer:\(keepalive,1min(3[89]|40)sec,0\)/);
    server.closeConnection();
    await trial.allUnbound(server);
  });

  engine.rule("keep-alive is off by default, and on a client where it asks for it", async (trial) => {
    await using peer = new RawPeer();
    const { port } = await peer.listen();
    const plain = trial.dial({ host: "127.0.0.1", port });
    const kept = trial.dial({ host: "127.0.0.1", port }, {}, { keepAlive: { idle: 30_000 } });
    await plain.opened;
    await kept.opened;
    assert.doesNotMatch(kernelView(plain), /timer:\(keepalive/);
    assert.match(kernelView(kept), /timer:\(keepalive,(2[89]|30)(\.\d+)?sec,0\)/);
    plain.closeConnection();
    kept.closeConnection();
    await trial.allUnbound();
  });

  engine.ruleNeeding(
    "keepAliveProbes",
    "the probes' interval and count reach the kernel",
    async (trial) => {
      const keepAlive = { idle: 10_000, interval: 2_500, count: 4 };
      const served = await trial.serve({}, { keepAlive, tcpUserTimeout: 12_345, receiveBufferSize: 50_000 });
      await using peer = new RawPeer();
      await peer.connect(served.at);
      const server = await served.peer();
      assert.equal(option(server, SOL_SOCKET, SO_KEEPALIVE), 1);
      assert.equal(option(server, IPPROTO_TCP, TCP_KEEPIDLE), 10);
      assert.equal(option(server, IPPROTO_TCP, TCP_KEEPINTVL), 3, "rounded up to whole seconds");
      assert.equal(option(server, IPPROTO_TCP, TCP_KEEPCNT), 4);
      assert.equal(option(server, IPPROTO_TCP, TCP_USER_TIMEOUT), 12_345);
      assert.equal(option(server, SOL_SOCKET, SO_RCVBUF), 100_000, "the kernel doubles it");
      server.setTcpUserTimeout(777);
      assert.equal(option(server, IPPROTO_TCP, TCP_USER_TIMEOUT), 777);
      server.closeConnection();
      await trial.allUnbound(server);
    },
    (trial) => trial.serve({}, { keepAlive: { interval: 2_500, count: 4 } }),
  );

  engine.ruleNeeding(
    "tcpUserTimeout",
    "TCP_USER_TIMEOUT of a client",
    async (trial) => {
      await using peer = new RawPeer();
      const { port } = await peer.listen();
      const client = trial.dial({ host: "127.0.0.1", port }, {}, { tcpUserTimeout: 4_321 });
      await client.opened;
      assert.equal(option(client, IPPROTO_TCP, TCP_USER_TIMEOUT), 4_321);
      client.closeConnection();
      await trial.allUnbound(client);
    },
    (trial) => trial.serve({}, { tcpUserTimeout: 4_321 }),
  );

  engine.ruleNeeding(
    "socketOptions",
    "TCP_NODELAY is on from the start on both ends, unless it is asked not to be",
    async (trial) => {
      const { client, server } = await trial.pair();
      assert.equal(option(server, IPPROTO_TCP, TCP_NODELAY), 1);
      assert.equal(option(client, IPPROTO_TCP, TCP_NODELAY), 1);
      const nagle = await trial.pair({ connect: { noDelay: false }, listen: { noDelay: false } });
      assert.equal(option(nagle.server, IPPROTO_TCP, TCP_NODELAY), 0);
      assert.equal(option(nagle.client, IPPROTO_TCP, TCP_NODELAY), 0);
      nagle.server.setNoDelay();
      assert.equal(option(nagle.server, IPPROTO_TCP, TCP_NODELAY), 1);
      client.closeConnection();
      nagle.client.closeConnection();
      await trial.allUnbound();
    },
    async (trial) => {
      const { client } = await trial.pair();
      trial.reactor.nextTick(() => client.closeConnection());
      client.getSockOpt(IPPROTO_TCP, TCP_NODELAY);
    },
  );
});
