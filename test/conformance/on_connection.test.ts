import assert from "node:assert/strict";
import type { ConnectAddress, Connection } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { Recorder, type Witness } from "../support/recorder.js";

onEveryEngine("onConnection", (engine) => {
  engine.ruleOnStreams("it is given each connection, once, behind postInit and before anything else", async (trial) => {
    const order: string[] = [];
    const met: Connection[] = [];
    const note = (where: string) => (connection: Connection) => {
      order.push(`${where} ${(connection as Recorder).order.join(" ")}`);
      met.push(connection);
      connection.sendData(where);
    };
    const served = await trial.serve({}, { onConnection: note("server") } as object);
    const client = trial.dial(served, {}, { onConnection: note("client") } as object);
    assert.deepEqual(order, ["client postInit"]);
    const server = await served.peer();
    await trial.until(() => client.text === "server" && server.text === "client", "both greetings are there");
    assert.deepEqual(order, ["client postInit", "server postInit"]);
    assert.deepEqual(met, [client, server]);
    client.closeConnection();
    await trial.allUnbound();
    assert.equal(met.length, 2);
  });

  engine.rule("reconnect does not call it again", async (trial) => {
    const served = await trial.serve();
    let calls = 0;
    const client = trial.dial(served, {}, { onConnection: () => calls++ } as object);
    await client.opened;
    client.closeConnection();
    await trial.allUnbound(client);
    client.reconnect(served.at as ConnectAddress);
    await client.opened;
    assert.equal(calls, 1);
    client.closeConnection();
  });

  engine.rule("what it throws is the connection's error, on either side", async (trial) => {
    const failure = new Error("onConnection failed");
    const fail = () => {
      throw failure;
    };
    const kept = await trial.serve({ onError: () => true }, { onConnection: fail } as object);
    const stays = trial.dial(kept);
    await stays.opened;
    const server = await kept.peer();
    assert.deepEqual(server.errors, [failure]);
    assert.equal(server.state, "open");
    const client = trial.dial(kept, { onError: () => true }, { onConnection: async () => fail() } as object);
    await client.opened;
    assert.deepEqual(client.errors, [failure]);
    for (const each of [stays, client]) each.closeConnection();
  });

  engine.rule("a connection that ended itself in postInit is not handed out", async (trial) => {
    let calls = 0;
    const count = { onConnection: () => calls++ } as object;
    const served = await trial.serve({ postInit: (me) => me.closeConnection() }, count);
    const client = trial.dial(served);
    await trial.allUnbound(client);
    const closed = trial.dial(served, { postInit: (me) => me.closeConnection() }, count);
    await trial.allUnbound(closed);
    assert.equal(calls, 0);
  });

  engine.rule("anything but a function is refused before the handler is made", async (trial) => {
    const { reactor } = trial;
    const made = trial.recorders.length;
    for (const onConnection of [null, 1, "f", {}, true]) {
      const wrong = { host: "127.0.0.1", port: 1, onConnection } as unknown as ConnectAddress;
      const expected = { name: "ArgumentError", message: /^onConnection must be a function/ };
      assert.throws(() => reactor.connect(wrong, Recorder, trial as Witness), expected);
      await assert.rejects(reactor.startServer({ ...wrong, port: 0 } as never, Recorder, trial as Witness), expected);
    }
    assert.equal(trial.recorders.length, made);
  });

  engine.rule("an adopted stream of Node's is handed out too", async (trial) => {
    const { Duplex } = await import("node:stream");
    const duplex = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const met: Connection[] = [];
    const connection = trial.reactor.fromDuplex(
      { duplex, onConnection: (each) => met.push(each) },
      Recorder,
      trial as Witness,
    );
    assert.deepEqual(met, [connection]);
    connection.closeConnection();
    await connection.closed;
  });
});
