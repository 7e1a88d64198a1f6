import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { ArgumentError, Connection } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { serverContext } from "../support/pki.js";
import type { Recorder } from "../support/recorder.js";
import type { Served, Trial } from "../support/trial.js";

const RANGE = [1, 2, 3, 4, 5];

/** Peers that connect one after the other and say nothing. */
async function silent(trial: Trial, served: Served, count: number): Promise<Socket[]> {
  const { host, port } = served.at as { host: string; port: number };
  const sockets: Socket[] = [];
  for (let n = 0; n < count; n++) {
    const before = served.peers.length;
    const socket = connect(port, host);
    socket.on("error", () => {});
    await once(socket, "connect");
    await trial.until(() => served.peers.length > before, "accepted");
    sockets.push(socket);
  }
  return sockets;
}

function checkGaveWay({ reason }: Recorder): void {
  assert.ok(reason?.kind === "tls-error", reason?.kind);
  assert.equal(reason.error.code, "ERR_EM_TLS_HANDSHAKE_LIMIT");
}

onEveryEngine("unfinished handshakes", (engine) => {
  engine.rule("above the limit the oldest is closed, and accepting goes on", async (trial) => {
    const served = await trial.over("tls").serve({}, { maxHandshakes: 3 });
    const sockets = await silent(trial, served, 5);
    await trial.allUnbound(...served.peers.slice(0, 2));
    for (const peer of served.peers.slice(0, 2)) checkGaveWay(peer);
    for (const peer of served.peers.slice(2)) assert.equal(peer.state, "open");
    const client = trial.dial(served, {}, {});
    await Promise.all([client.secured, (await served.peer(5)).secured]);
    await trial.allUnbound(served.peers[2] as Recorder);
    checkGaveWay(served.peers[2] as Recorder);
    // What is secured counts no more: three others are under way.
    const another = await silent(trial, served, 1);
    await trial.settle();
    assert.equal(client.state, "open");
    assert.deepEqual(
      served.peers.slice(3).map(({ state }) => state),
      ["open", "open", "open", "open"],
    );
    for (const socket of [...sockets, ...another]) socket.destroy();
    client.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("handshakes of STARTTLS count, and those that ended otherwise do not", async (trial) => {
    const context = serverContext();
    const served = await trial.serve({ postInit: (me) => me.startTls({ context }) }, { maxHandshakes: 2 });
    const sockets = await silent(trial, served, 2);
    sockets[0]?.destroy();
    await trial.allUnbound(served.peers[0] as Recorder);
    sockets.push(...(await silent(trial, served, 1)));
    await trial.settle();
    assert.equal(served.peers[1]?.state, "open");
    sockets.push(...(await silent(trial, served, 1)));
    await trial.allUnbound(served.peers[1] as Recorder);
    checkGaveWay(served.peers[1] as Recorder);
    for (const socket of sockets) socket.destroy();
    await trial.allUnbound();
  });

  engine.rule("listeners count by themselves, and clients not at all", async (trial) => {
    trial.over("tls");
    const one = await trial.serve({}, { maxHandshakes: 1 });
    const other = await trial.serve({}, { maxHandshakes: 1 });
    const sockets = [...(await silent(trial, one, 1)), ...(await silent(trial, other, 1))];
    await trial.settle();
    assert.equal(one.peers[0]?.state, "open");
    assert.equal(other.peers[0]?.state, "open");
    const quiet = await trial.over("tcp").serve();
    const clients = RANGE.map(() => trial.over("tls").dial(quiet));
    await trial.until(() => quiet.peers.length === RANGE.length, "accepted");
    await trial.settle();
    for (const client of clients) {
      assert.equal(client.state, "open");
      client.closeConnection();
    }
    for (const socket of sockets) socket.destroy();
    await trial.allUnbound();
  });

  engine.rule("the limit is 1,024 unless it is told", async (trial) => {
    const served = await trial.over("tls").serve();
    const { host, port } = served.at as { host: string; port: number };
    const sockets = await silent(trial, served, 2);
    for (let n = sockets.length; n < 1_025; n++) sockets.push(connect(port, host).on("error", () => {}));
    await trial.until(() => served.peers.length === 1_025, "accepted");
    const [first, second] = served.peers as [Recorder, Recorder];
    await trial.allUnbound(first);
    checkGaveWay(first);
    assert.equal(second.state, "open");
    for (const socket of sockets) socket.destroy();
    await trial.allUnbound();
  });

  engine.rule("a limit that is none is refused before anything listens", async (trial) => {
    for (const maxHandshakes of [0, -1, 1.5, Number.NaN, "10", null]) {
      const options = { host: "127.0.0.1", port: 0, maxHandshakes } as object as { port: number };
      await assert.rejects(
        async () => trial.reactor.startServer(options, Connection),
        (error) => {
          assert.ok(error instanceof ArgumentError);
          assert.match(error.message, /maxHandshakes must be a whole number from 1 on/);
          return true;
        },
      );
    }
  });
});
