import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, connect as dialNode } from "node:net";
import { Connection, type Listener, lines, toDuplex, toWeb } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

/** A server of node:net that speaks first. */
async function greeter(): Promise<{ port: number; [Symbol.asyncDispose](): Promise<void> }> {
  const server = createServer((socket) => socket.on("error", () => {}).end("hello\n"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

function serve(trial: Trial, onConnection?: (connection: Connection) => unknown): Promise<Listener> {
  const address = { host: "127.0.0.1", port: 0, ...trial.serverTls };
  return trial.reactor.startServer(onConnection === undefined ? address : { ...address, onConnection }, Connection);
}

onEveryEngine("the bare class", (engine) => {
  engine.ruleOnStreams("as a server's handler it notices its peers' ends", async (trial) => {
    const listener = await serve(trial);
    const at = { host: "127.0.0.1", port: listener.port as number };
    for (let probe = 0; probe < 10; probe++) {
      const client = trial.dial(at);
      if (probe % 2 === 0) client.sendData("is anybody there?");
      client.closeConnectionAfterWriting();
    }
    await trial.allUnbound();
    await trial.until(() => listener.connectionCount === 0 && listener.acceptedCount === 10, "no connection is left");
  });

  engine.rule("what reaches it is discarded, counted, and can be claimed no more", async (trial) => {
    const accepted: Connection[] = [];
    const listener = await serve(trial, (connection) => accepted.push(connection));
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number });
    client.sendData("twelve bytes");
    await trial.until(() => accepted[0]?.bytesDiscarded === 12, "they came");
    const connection = accepted[0] as Connection;
    assert.equal(connection.isPaused, false);
    for (const claim of [
      () => toDuplex(connection),
      () => toWeb(connection),
      () => connection[Symbol.asyncIterator](),
    ]) {
      assert.throws(claim, { name: "StateError", code: "ERR_EM_INPUT_DISCARDED", message: /12 bytes/ });
    }
    // So it is with any class that has no receiveData, and with none that has.
    const { client: own, server } = await trial.pair();
    own.sendData("x");
    await trial.until(() => server.bytes === 1, "the data");
    assert.equal(server.bytesDiscarded, 0);
    const loop = server[Symbol.asyncIterator]();
    await loop.return?.();
    client.closeConnection();
    await trial.until(() => connection.state === "closed", "it ends");
  });

  engine.rule("in onConnection it can be claimed, or paused and claimed later", async (trial) => {
    const heard: string[] = [];
    const read = async (connection: Connection) => {
      for await (const line of lines(connection)) heard.push(line);
    };
    for (const taken of [
      read,
      (connection: Connection) => {
        connection.pause();
        trial.reactor.addTimer(30, () => read(connection));
      },
    ]) {
      const listener = await serve(trial, taken);
      const client = trial.dial({ host: "127.0.0.1", port: listener.port as number });
      client.sendData("a line\n");
      client.closeConnectionAfterWriting();
      await trial.allUnbound();
      await trial.until(() => listener.connectionCount === 0, "it ends");
    }
    assert.deepEqual(heard, ["a line", "a line"]);
  });

  engine.rule("connect and fromDuplex start it paused, given or not", async (trial) => {
    await using server = await greeter();
    const { port } = server;
    const at = { host: "127.0.0.1", port };
    const stream = () => dialNode(port, "127.0.0.1").on("error", () => {});
    for (const make of [
      () => trial.reactor.connect(at),
      () => trial.reactor.connect(at, Connection),
      () => trial.reactor.fromDuplex(stream()),
      () => trial.reactor.fromDuplex(stream(), Connection),
      () => trial.reactor.fromDuplex({ duplex: stream() }),
    ]) {
      const connection = make();
      assert.equal(connection.isPaused, true);
      await trial.settle();
      assert.equal(connection.bytesDiscarded, 0);
      const found: string[] = [];
      for await (const line of lines(connection)) found.push(line);
      assert.deepEqual(found, ["hello"]);
      connection.abort();
      await connection.closed;
    }
  });

  engine.ruleNeeding(
    "detach",
    "attach starts it paused, given or not",
    async (trial) => {
      const { client, server } = await trial.pair();
      const { fd } = await client.detach();
      const connection = trial.reactor.attach({ fd });
      assert.equal(connection.isPaused, true);
      server.sendData("hello\n");
      server.closeConnectionAfterWriting();
      const found: string[] = [];
      for await (const line of lines(connection)) found.push(line);
      assert.deepEqual(found, ["hello"]);
      await connection.closed;
    },
    async (trial) => (await trial.pair()).client.detach(),
  );
});
