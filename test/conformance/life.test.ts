import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type CloseReason, Connection, StateError } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { Recorder } from "../support/recorder.js";

onEveryEngine("life", (engine) => {
  engine.ruleOnEach("a client's callbacks come in order", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    let returned = false;
    const client = trial.dial(served, {
      postInit: () => assert.equal(returned, false, "postInit comes before connect returns"),
      connectionCompleted: (me) => {
        assert.equal(returned, true, "connectionCompleted comes after connect has returned");
        me.sendData("hello");
      },
      receiveData: (me) => me.closeConnection(),
    });
    returned = true;
    assert.deepEqual(client.log, ["postInit"]);
    await trial.allUnbound();
    assert.deepEqual(client.order, ["postInit", "connectionCompleted", "receiveData", "unbind local-close"]);
    assert.equal(client.text, "hello");
  });

  engine.ruleOnEach("a server's callbacks come in order, without connectionCompleted", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, { connectionCompleted: (me) => me.sendData("hello") });
    const server = await served.peer();
    await trial.until(() => server.text === "hello", "the greeting arrives");
    client.closeConnection();
    await trial.allUnbound();
    assert.deepEqual(server.order, ["postInit", "receiveData", "unbind peer-closed"]);
  });

  engine.ruleOnEach("what a client's postInit sends is queued and arrives first", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, {
      postInit: (me) => {
        assert.equal(me.state, "connecting");
        assert.equal(me.sendData("first "), true);
        assert.equal(me.outboundSize, 6);
      },
      connectionCompleted: (me) => me.sendData("second"),
    });
    const server = await served.peer();
    await trial.until(() => server.bytes === 12, "both arrive");
    assert.equal(server.text, "first second");
    assert.equal(client.bytesOut, 12);
  });

  engine.ruleOnEach("a server's postInit may send", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.sendData("220 ready") });
    const client = trial.dial(served);
    await trial.until(() => client.text === "220 ready", "the banner arrives");
  });

  engine.ruleOnStreams("in a constructor every method throws ERR_EM_NOT_ATTACHED", async (trial) => {
    const codes: string[] = [];
    class Eager extends Connection {
      constructor() {
        super();
        assert.equal(this.state, "initial");
        assert.equal(this.id, 0);
        const calls: (() => unknown)[] = [
          () => this.sendData("too early"),
          () => this.closeConnection(),
          () => this.pause(),
          () => this.remoteAddress,
          () => this.commInactivityTimeout,
        ];
        for (const call of calls) {
          try {
            call();
            codes.push("none");
          } catch (error) {
            assert.ok(error instanceof StateError);
            codes.push(error.code);
          }
        }
      }
    }
    const served = await trial.serve();
    const client = trial.reactor.connect(served.at as { host: string; port: number }, Eager);
    assert.deepEqual(codes, Array(5).fill("ERR_EM_NOT_ATTACHED"));
    await client.opened;
    client.closeConnection();
    await client.closed;
  });

  engine.ruleOnStreams("a constructor that throws comes out of connect, and nothing is left", async (trial) => {
    const served = await trial.serve();
    const oops = new Error("from the constructor");
    class Broken extends Connection {
      constructor() {
        super();
        throw oops;
      }
    }
    const { at } = served as { at: { host: string; port: number } };
    assert.throws(
      () => trial.reactor.connect(at, Broken),
      (error) => error === oops,
    );
    assert.equal(trial.reactor.connectionCount, 0);
    await trial.settle();
    assert.equal(served.peers.length, 0, "nothing was connected");
  });

  engine.ruleOnStreams("a constructor that throws on accept costs that connection alone", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error, source) => errors.push([error, source]));
    const oops = new Error("from the constructor");
    let made = 0;
    class Sometimes extends Recorder {
      constructor(...args: ConstructorParameters<typeof Recorder>) {
        if (made++ === 0) throw oops;
        super(...args);
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Sometimes, trial);
    const at = { host: "127.0.0.1", port: listener.port as number };
    const first = trial.dial(at, { name: "first" });
    await trial.allUnbound(first);
    assert.deepEqual(errors, [[oops, undefined]]);
    // It may be gone before the client has seen that it was open.
    assert.match(first.kind ?? "", /^(peer-reset|peer-closed|connect-failed)$/);
    const second = trial.dial(at, { name: "second" });
    await second.opened;
    await trial.until(() => trial.reactor.connectionCount === 2, "the second one is served");
    assert.equal(second.state, "open");
  });

  engine.ruleOnStreams("arguments of startServer and connect reach each constructor", async (trial) => {
    class Named extends Connection {
      readonly name: string;
      readonly shared: object;
      constructor(name: string, shared: object) {
        super();
        this.name = name;
        this.shared = shared;
        made.push(this);
      }
    }
    const made: Named[] = [];
    const shared = {};
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Named, "server", shared);
    const client = trial.reactor.connect({ host: "127.0.0.1", port: listener.port as number }, Named, "client", shared);
    assert.equal(client.name, "client");
    await trial.until(() => made.length === 2, "the server's one is made");
    assert.equal(made[1]?.name, "server");
    assert.ok(made.every((each) => each.shared === shared));
  });

  engine.ruleOnEach("unbind comes once, in a later turn than the close", async (trial) => {
    const { client, server } = await trial.pair();
    for (const each of [client, server]) {
      each.closeConnection();
      each.closeConnection();
      each.closeConnectionAfterWriting();
      assert.equal(each.reasons.length, 0, "not inside the call");
      assert.equal(each.state, "closing");
    }
    await trial.allUnbound();
    await trial.settle();
    for (const each of [client, server]) assert.equal(each.reasons.length, 1);
  });

  engine.ruleOnStreams("unbind comes once for a connect that failed", async (trial) => {
    const client = trial.dial({ host: "127.0.0.1", port: await trial.deadPort() });
    await trial.allUnbound();
    await trial.settle();
    assert.deepEqual(client.log, ["postInit", "unbind connect-refused"]);
  });

  engine.ruleOnStreams("unbind of a connect that is closed in postInit comes in a later turn", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, { postInit: (me) => me.closeConnection() });
    assert.equal(client.state, "closing");
    assert.deepEqual(client.log, ["postInit"]);
    await trial.allUnbound(client);
    assert.deepEqual(client.log, ["postInit", "unbind connect-aborted"]);
    await assert.rejects(client.opened, { code: "ERR_EM_CONNECT_ABORTED" });
  });

  engine.ruleOnEach("the peer's FIN is told from a local close", async (trial, medium) => {
    const { client, server } = await trial.pair();
    client.closeConnection();
    await trial.allUnbound();
    assert.deepEqual(client.reason, { kind: "local-close", lingerExpired: false });
    const truncated = engine.has("tlsTruncation") ? false : undefined;
    assert.deepEqual(server.reason, medium === "tls" ? { kind: "peer-closed", truncated } : { kind: "peer-closed" });
  });

  engine.ruleOnStreams("the peer's reset is told from its FIN", async (trial) => {
    const { client, server } = await trial.pair();
    client.abort();
    await trial.allUnbound();
    assert.deepEqual(client.reason, { kind: "local-abort" });
    assert.equal(server.kind, "peer-reset");
    const { error } = server.reason as CloseReason & { kind: "peer-reset" };
    assert.match(error.code, /^(ECONNRESET|EPIPE)$/);
    assert.equal(typeof error.syscall, "string");
    assert.ok(error.errno < 0);
  });

  engine.ruleOnStreams("a reset is noticed by one that only writes", async (trial) => {
    const { client, server } = await trial.pair();
    client.abort();
    const writer = trial.reactor.addPeriodicTimer(1, () => server.sendData("x".repeat(1000)));
    await trial.allUnbound();
    writer.cancel();
    assert.equal(server.kind, "peer-reset");
  });

  engine.ruleOnStreams("the stop of the reactor is a reason", async (trial) => {
    const { client, server } = await trial.pair();
    trial.reactor.stop();
    await Promise.all([client.closed, server.closed]);
    assert.deepEqual(client.reason, { kind: "stop" });
    assert.deepEqual(server.reason, { kind: "stop" });
  });

  engine.ruleOnStreams("a handler's error is a reason, with the error", async (trial) => {
    const oops = new Error("from receiveData");
    const taken: unknown[] = [];
    trial.reactor.onError((error) => taken.push(error));
    const { client, server } = await trial.pair({
      server: {
        receiveData: () => {
          throw oops;
        },
      },
    });
    client.sendData("x");
    await trial.allUnbound();
    assert.deepEqual(server.reason, { kind: "handler-error", error: oops });
    assert.deepEqual(taken, [oops]);
  });

  engine.ruleOnStreams("opened and closed are promises, also when asked for late", async (trial) => {
    const { client, server } = await trial.pair();
    await client.opened;
    await server.opened;
    const early = client.closed;
    assert.equal(client.closed, early, "the same promise each time");
    client.closeConnection();
    const reason = await early;
    assert.equal(client.isUnbound, true, "closed resolves after unbind");
    assert.equal(reason, client.reason);
    assert.equal(await client.closed, reason);
    await client.opened;
  });

  engine.ruleOnStreams(
    "opened rejects with the ConnectError of a connect that failed, also when asked for late",
    async (trial) => {
      const at = { host: "127.0.0.1", port: await trial.deadPort() };
      const asked = trial.dial(at);
      await assert.rejects(asked.opened, { name: "ConnectError", code: "ECONNREFUSED" });
      const late = trial.dial(at);
      await late.closed;
      await assert.rejects(late.opened, { name: "ConnectError", code: "ECONNREFUSED" });
    },
  );

  engine.ruleOnStreams("a connection has no then: it can be returned from an async function", async (trial) => {
    const served = await trial.serve();
    const client = await (async () => trial.dial(served))();
    assert.equal("then" in client, false);
    assert.equal(client.state, "connecting");
    await client.opened;
  });

  engine.ruleOnEach("state, id and closeReason tell where a connection stands", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, { postInit: (me) => assert.notEqual(me.id, 0) });
    assert.equal(client.state, "connecting");
    assert.equal(client.closeReason, undefined);
    await client.opened;
    assert.equal(client.state, "open");
    const server = await served.peer();
    assert.equal(server.state, "open");
    assert.notEqual(client.id, server.id);
    client.closeConnection();
    assert.equal(client.state, "closing");
    assert.equal(client.closeReason, undefined);
    await trial.allUnbound();
    assert.equal(client.state, "closed");
    assert.equal(client.closeReason, client.reason);
    assert.match(inspect(client), new RegExp(`Recorder.*#${client.id} closed`));
  });

  engine.ruleOnStreams("addresses are objects, agree on both ends, and can be read after the close", async (trial) => {
    const { client, server, served } = await trial.pair();
    const check = () => {
      assert.deepEqual(client.remoteAddress, { family: "IPv4", host: "127.0.0.1", port: served.listener.port });
      assert.deepEqual(server.localAddress, client.remoteAddress);
      assert.deepEqual(server.remoteAddress, client.localAddress);
      assert.equal((client.localAddress as { host: string }).host, "127.0.0.1");
    };
    check();
    const seen: unknown[] = [];
    client.script.unbind = (me) => seen.push(me.remoteAddress, me.localAddress);
    client.closeConnection();
    await trial.allUnbound();
    check();
    assert.deepEqual(seen, [client.remoteAddress, client.localAddress]);
  });

  engine.ruleOnStreams("what a connection says of its peer can be connected to", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served);
    await client.opened;
    const { remoteAddress } = client;
    assert.ok(remoteAddress !== undefined && remoteAddress.family !== "unix");
    const again = trial.dial(remoteAddress);
    await again.opened;
    assert.deepEqual(again.remoteAddress, remoteAddress);
  });

  engine.ruleOnEach("before it is open a client has no addresses", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served);
    assert.equal(client.remoteAddress, undefined);
    assert.equal(client.localAddress, undefined);
    await client.opened;
    assert.notEqual(client.remoteAddress, undefined);
  });

  engine.ruleOnEach("bytesIn and bytesOut count this life's bytes, and stay", async (trial) => {
    const { client, server } = await trial.pair({ server: { receiveData: (me, data) => me.sendData(data) } });
    client.sendData("abc");
    client.sendData("é");
    await trial.until(() => client.bytes === 5, "the echo");
    assert.deepEqual([client.bytesOut, client.bytesIn, server.bytesIn, server.bytesOut], [5, 5, 5, 5]);
    client.closeConnection();
    await trial.allUnbound();
    assert.deepEqual([client.bytesOut, client.bytesIn, server.bytesIn, server.bytesOut], [5, 5, 5, 5]);
  });

  engine.ruleOnStreams("idleTime grows while nothing moves and falls with traffic", async (trial) => {
    let whenRead = Number.NaN;
    let sinceSent = Number.NaN;
    let sent = Number.NaN;
    const { client, server } = await trial.pair({
      server: {
        receiveData: (me) => {
          whenRead = me.idleTime;
          sinceSent = trial.now() - sent;
        },
      },
    });
    await trial.sleep(100);
    const before = server.idleTime;
    assert.ok(before >= 80, `idle for ${before}`);
    sent = trial.now();
    client.sendData("x");
    await trial.until(() => server.bytes === 1, "the byte arrives");
    assert.ok(whenRead <= sinceSent, `a byte ends the idleness: ${whenRead} ms, ${sinceSent} after it was sent`);
    server.closeConnection();
    await trial.allUnbound();
    assert.equal(server.idleTime, 0);
  });

  engine.ruleOnStreams("a connection without a handler stays paused until it is resumed", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.sendData("held") });
    const at = served.at as { host: string; port: number };
    const client = trial.reactor.connect({ ...at, ...trial.clientTls });
    await client.opened;
    assert.equal(client.isPaused, true);
    await trial.settle();
    assert.equal(client.bytesIn, 0);
    client.resume();
    await trial.until(() => client.bytesIn === 4, "what was held comes");
  });

  engine.ruleOnEach("await using closes after writing and waits for the end", async (trial) => {
    const { client, server } = await trial.pair();
    client.sendData("all of it");
    await client[Symbol.asyncDispose]();
    assert.equal(client.state, "closed");
    await trial.allUnbound();
    assert.equal(server.text, "all of it");
    await client[Symbol.asyncDispose]();
  });

  engine.ruleOnStreams("stats count connections by how they ended", async (trial) => {
    const { client } = await trial.pair();
    assert.equal(trial.reactor.stats().connections, 2);
    assert.equal(trial.reactor.stats().accepted, 1);
    assert.equal(trial.reactor.stats().connected, 1);
    assert.equal(trial.reactor.stats().engine, engine.name);
    client.sendData("12345");
    client.closeConnectionAfterWriting();
    await trial.allUnbound();
    const stats = trial.reactor.stats();
    assert.deepEqual(stats.closed, { "local-close": 1, "peer-closed": 1 });
    assert.equal(stats.bytesIn, 5);
    assert.equal(stats.bytesOut, 5);
    assert.equal(stats.connections, 0);
    assert.ok(stats.events > 0 && stats.batches > 0);
  });
});
