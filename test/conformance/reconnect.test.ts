import assert from "node:assert/strict";
import { Connection } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";

onEveryEngine("reconnect", (engine) => {
  engine.ruleOnEach("from unbind on it starts a new life of the same object", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    const client = trial.dial(served, {
      connectionCompleted: (me) => me.sendData(`life ${me.lives}`),
      receiveData: (me) => me.closeConnection(),
      unbind: (me) => {
        if (me.lives < 3) me.reconnect(served.at);
      },
    });
    const { id } = client;
    await trial.until(() => client.lives === 3 && client.isUnbound, "three lives");
    const life = ["connectionCompleted", "receiveData", "unbind local-close"];
    const again = ["connectionCompleted", "receiveData", "unbind local-close"];
    assert.deepEqual(
      client.order.filter((entry) => entry !== "reconnect"),
      ["postInit", ...life, ...again, ...again],
    );
    assert.equal(client.text, "life 1life 2life 3");
    assert.equal(client.id, id);
    assert.equal(served.peers.length, 3);
  });

  engine.ruleOnStreams("after a refused connect it may try until there is a server", async (trial) => {
    const at = { host: "127.0.0.1", port: await trial.deadPort() };
    const client = trial.dial(at, {
      unbind: (me, { kind }) => {
        if (kind !== "connect-refused") return;
        if (me.lives === 3) void trial.serve({}, at);
        trial.reactor.addTimer(5, () => me.reconnect(at));
      },
    });
    await trial.until(() => client.state === "open", "a server at last");
    assert.equal(client.lives, 4);
    assert.deepEqual(
      client.reasons.map(({ kind }) => kind),
      ["connect-refused", "connect-refused", "connect-refused"],
    );
  });

  engine.ruleOnStreams("reason, promises, counters and deadlines begin anew; fields stay", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.sendData("hi") });
    const client = trial.dial(served, {}, { lifetimeTimeout: 60_000, highWaterMark: 7, lowWaterMark: 3 });
    const field = client.chunks;
    const { opened, closed } = client;
    client.sendData("12345");
    await trial.until(() => client.bytesIn === 2 && client.outboundSize === 0, "both ways");
    client.lifetimeTimeout = 100;
    await trial.until(() => client.isUnbound, "its lifetime ends");
    assert.equal(client.kind, "timeout");
    assert.deepEqual([client.bytesIn, client.bytesOut], [2, 5]);
    client.reconnect(served.at);
    assert.equal(client.state, "connecting");
    assert.equal(client.closeReason, undefined);
    assert.notEqual(client.opened, opened);
    assert.notEqual(client.closed, closed);
    assert.deepEqual([client.bytesIn, client.bytesOut], [0, 0]);
    assert.deepEqual([client.lifetimeTimeout, client.highWaterMark, client.lowWaterMark], [0, 65_536, 16_384]);
    assert.equal(client.remoteAddress, undefined);
    assert.equal(client.chunks, field);
    await client.opened;
    await trial.settle(150);
    assert.equal(client.state, "open", "the deadline of the first life is gone");
  });

  engine.ruleOnStreams("pausing does not outlast a life", async (trial) => {
    const { client, served } = await trial.pair();
    client.pause();
    client.closeConnection();
    await trial.allUnbound(client);
    client.reconnect(served.at);
    assert.equal(client.isPaused, false);
    (await served.peer(1)).sendData("heard");
    await trial.until(() => client.text === "heard", "it reads");
  });

  engine.ruleOnStreams("halfClose does not outlast a life", async (trial) => {
    const { client, served } = await trial.pair();
    client.halfClose();
    await trial.allUnbound(client);
    client.reconnect(served.at);
    assert.equal(client.sendData("again"), true);
    const server = await served.peer(1);
    await trial.until(() => server.text === "again", "it writes");
  });

  engine.ruleOnStreams("a life may be on another medium", async (trial) => {
    const overTcp = await trial.serve();
    const overUnix = await trial.over("unix").serve();
    const client = trial.dial(overTcp);
    await client.opened;
    client.closeConnection();
    await trial.allUnbound(client);
    client.reconnect(overUnix.at);
    await client.opened;
    assert.equal(client.remoteAddress?.family, "unix");
  });

  engine.ruleOnStreams("what the old life was sent does not reach the new one", async (trial) => {
    const { client, server, served } = await trial.pair();
    server.sendData("for the first life");
    await trial.turn();
    client.closeConnection();
    await trial.allUnbound(client);
    client.chunks.length = 0;
    client.reconnect(served.at);
    await client.opened;
    await trial.settle();
    assert.equal(client.text, "");
  });

  engine.ruleOnStreams("on a connection that has not ended it is a typed error", async (trial) => {
    const served = await trial.serve();
    const stillOpen = { name: "StateError", code: "ERR_EM_STILL_OPEN" };
    const client = trial.dial(served);
    assert.throws(() => Connection.prototype.reconnect.call(client, served.at), stillOpen);
    await client.opened;
    assert.throws(() => Connection.prototype.reconnect.call(client, served.at), stillOpen);
    client.closeConnection();
    assert.throws(() => Connection.prototype.reconnect.call(client, served.at), stillOpen);
    await trial.allUnbound();
  });

  engine.ruleOnStreams("on an accepted connection it is a typed error, also when it has ended", async (trial) => {
    const { client, server, served } = await trial.pair();
    const refused = { name: "StateError", code: "ERR_EM_NOT_RECONNECTABLE" };
    assert.throws(() => Connection.prototype.reconnect.call(server, served.at), refused);
    client.closeConnection();
    await trial.allUnbound();
    assert.throws(() => Connection.prototype.reconnect.call(server, served.at), refused);
  });

  engine.ruleOnStreams("with a bad address it throws, and the object stays as it was", async (trial) => {
    const { client, served } = await trial.pair();
    client.closeConnection();
    await trial.allUnbound();
    const before = client.reason;
    assert.throws(() => Connection.prototype.reconnect.call(client, { host: "", port: 1 }), { name: "ArgumentError" });
    assert.throws(() => Connection.prototype.reconnect.call(client, { host: "a", port: 0 }), { name: "ArgumentError" });
    assert.equal(client.state, "closed");
    assert.equal(client.closeReason, before);
    client.reconnect(served.at);
    await client.opened;
  });

  engine.ruleOnStreams("fifty lives", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    const client = trial.dial(served, {
      connectionCompleted: (me) => me.sendData("x"),
      receiveData: (me) => (me.lives % 2 === 0 ? me.closeConnection() : me.abort()),
      unbind: (me) => {
        if (me.lives < 50) me.reconnect(served.at);
      },
    });
    await trial.until(() => client.lives === 50 && client.isUnbound, "fifty lives");
    assert.equal(client.bytes, 50);
    await trial.until(() => trial.reactor.connectionCount === 0, "nothing is left of them");
  });
});
