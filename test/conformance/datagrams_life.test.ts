import assert from "node:assert/strict";
import { Connection, StateError } from "eventmachine";
import { DatagramRecorder, datagramRules, openDatagrams, openEcho, placeOf } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";

onEveryEngine("the life of datagram sockets", (engine: EngineSuite) => {
  datagramRules(engine, () => {
    engine.rule("sendData answers the sender, and only until receiveData returns", async (trial) => {
      const refusals: unknown[] = [];
      const server = await openDatagrams(trial, {
        receiveData: async (me, data) => {
          me.sendData(data);
          await trial.turn();
          try {
            me.sendData("late");
          } catch (error) {
            refusals.push(error);
          }
        },
      });
      const clients = [await openDatagrams(trial), await openDatagrams(trial)];
      for (const client of clients) client.sendDatagram("hello", placeOf(server));
      await trial.until(() => clients.every(({ received }) => received.length === 1), "an answer each");
      await trial.until(() => refusals.length === 2, "two refusals");
      await trial.settle();
      assert.ok(clients.every(({ texts }) => texts.join() === "hello"));
      for (const error of refusals) {
        assert.ok(error instanceof StateError);
        assert.equal(error.code, "ERR_EM_NO_DESTINATION");
      }
      assert.equal(server.remoteAddress, undefined);
    });

    engine.rule("remoteAddress is the sender's while a datagram is delivered", async (trial) => {
      const seen: unknown[] = [];
      const server = await openDatagrams(trial, { receiveData: (me) => seen.push(me.remoteAddress) });
      const client = await openDatagrams(trial);
      client.sendDatagram("x", placeOf(server));
      await trial.until(() => seen.length === 1, "the datagram");
      assert.deepEqual(seen, [client.localAddress]);
      assert.equal(server.remoteAddress, undefined);
    });

    engine.rule("a sender that is met again is the same address object", async (trial) => {
      const server = await openDatagrams(trial);
      const client = await openDatagrams(trial);
      for (let count = 0; count < 3; count++) client.sendDatagram("x", placeOf(server));
      await trial.until(() => server.senders.length === 3, "three");
      assert.equal(server.senders[0], server.senders[2]);
      assert.ok(Object.isFrozen(server.senders[0]));
    });

    engine.rule("many senders are told apart, more than an engine remembers", async (trial) => {
      const server = await openEcho(trial);
      const clients = await Promise.all(Array.from({ length: 100 }, () => openDatagrams(trial)));
      for (const [index, client] of clients.entries()) client.sendDatagram(`${index}`, placeOf(server));
      await trial.until(() => clients.every(({ received }) => received.length === 1), "an answer each");
      assert.deepEqual(
        clients.map(({ texts }) => texts[0]),
        clients.map((_, index) => `${index}`),
      );
    });

    engine.rule("a connected socket hears its peer alone, and sends to it from anywhere", async (trial) => {
      const peer = await openDatagrams(trial);
      const socket = await openDatagrams(trial, {}, { remote: placeOf(peer) });
      assert.deepEqual(socket.remoteAddress, peer.localAddress);
      assert.equal(socket.sendData("one"), true);
      socket.sendDatagram("two", placeOf(peer));
      await trial.until(() => peer.received.length === 2, "both");
      assert.deepEqual(peer.texts, ["one", "two"]);
      const stranger = await openDatagrams(trial);
      stranger.sendDatagram("no", placeOf(socket));
      peer.sendDatagram("yes", placeOf(socket));
      await trial.until(() => socket.received.length > 0, "the peer's");
      await trial.settle();
      assert.deepEqual(socket.texts, ["yes"]);
      assert.throws(() => socket.sendDatagram("x", placeOf(stranger)), { code: "ERR_EM_INVALID_ARGUMENT" });
    });

    engine.rule("connected without a host: the wildcard is of the peer's family", async (trial) => {
      for (const host of ["127.0.0.1", "::1"]) {
        const peer = await openEcho(trial, { host });
        const address = { port: 0, remote: placeOf(peer) };
        const socket = await trial.reactor.openDatagramSocket(address, DatagramRecorder, {});
        socket.sendData("hello");
        await trial.until(() => socket.received.length === 1, "the answer");
        assert.deepEqual(peer.senders[0], socket.localAddress);
      }
    });

    engine.rule("on a connected socket a refusal is told, and the socket goes on", async (trial) => {
      const gone = await openDatagrams(trial);
      const at = placeOf(gone);
      gone.closeConnection();
      await gone.closed;
      const socket = await openDatagrams(trial, {}, { remote: at });
      socket.sendData("anybody?");
      await trial.until(() => socket.failures.length === 1, "the refusal");
      assert.equal(socket.failures[0]?.error.code, "ECONNREFUSED");
      assert.deepEqual(socket.failures[0]?.address, { family: "IPv4", ...at });
      const again = await openEcho(trial, at);
      socket.sendData("and now?");
      await trial.until(() => socket.received.length === 1, "the answer");
      assert.equal(socket.state, "open");
      assert.equal(placeOf(again).port, at.port);
    });

    if (engine.has("datagramErrors")) {
      engine.rule("on a socket that is not connected a refusal is told for its address", async (trial) => {
        const gone = await openDatagrams(trial);
        const at = placeOf(gone);
        gone.closeConnection();
        await gone.closed;
        const echo = await openEcho(trial);
        const socket = await openDatagrams(trial);
        socket.sendDatagram("anybody?", at);
        await trial.until(() => socket.failures.length === 1, "the refusal");
        assert.equal(socket.failures[0]?.error.code, "ECONNREFUSED");
        assert.deepEqual(socket.failures[0]?.address, { family: "IPv4", ...at });
        for (let count = 0; count < 20; count++) {
          socket.sendDatagram("anybody?", at);
          socket.sendDatagram(`${count}`, placeOf(echo));
        }
        await trial.until(() => socket.received.length === 20, "every innocent datagram is answered");
        assert.deepEqual(
          socket.texts,
          Array.from({ length: 20 }, (_, index) => `${index}`),
        );
      });
    } else {
      engine.rule("on a socket that is not connected a refusal goes unseen, and disturbs nothing", async (trial) => {
        const gone = await openDatagrams(trial);
        const at = placeOf(gone);
        gone.closeConnection();
        await gone.closed;
        const echo = await openEcho(trial);
        const socket = await openDatagrams(trial);
        for (let count = 0; count < 20; count++) {
          socket.sendDatagram("anybody?", at);
          socket.sendDatagram(`${count}`, placeOf(echo));
        }
        await trial.until(() => socket.received.length === 20, "every innocent datagram is answered");
        assert.deepEqual(socket.failures, []);
      });
    }

    engine.rule("pause holds back, resume delivers in order, and sending goes on", async (trial) => {
      const server = await openDatagrams(trial);
      const client = await openDatagrams(trial);
      server.pause();
      assert.equal(server.isPaused, true);
      for (let count = 0; count < 10; count++) client.sendDatagram(`${count}`, placeOf(server));
      server.sendDatagram("sent", placeOf(client));
      await trial.until(() => client.received.length === 1, "what the paused one sent");
      await trial.settle();
      assert.equal(server.received.length, 0);
      server.resume();
      assert.equal(server.received.length, 0, "not inside the call");
      await trial.until(() => server.received.length === 10, "what was held");
      assert.deepEqual(
        server.texts,
        Array.from({ length: 10 }, (_, index) => `${index}`),
      );
    });

    engine.rule("pause takes effect at once, in the middle of a batch", async (trial) => {
      const server = await openDatagrams(trial, { receiveData: (me) => me.pause() });
      const client = await openDatagrams(trial);
      for (let count = 0; count < 5; count++) client.sendDatagram(`${count}`, placeOf(server));
      for (let count = 1; count <= 5; count++) {
        await trial.until(() => server.received.length === count, `datagram ${count}`);
        await trial.settle(5);
        assert.equal(server.received.length, count);
        server.resume();
      }
    });

    engine.rule(
      "what nobody takes while it is paused is dropped in the end, and the rest comes whole",
      async (trial) => {
        const server = await openDatagrams(trial);
        const client = await openDatagrams(trial);
        server.pause();
        const data = Buffer.alloc(8000, "x");
        for (let count = 0; count < 1000; count++) {
          client.sendDatagram(data, placeOf(server));
          if (count % 50 === 0) await trial.turn();
        }
        await trial.settle();
        const { receiveDrops } = server.counters;
        assert.ok(receiveDrops > 0, "known before anything else comes");
        assert.equal(trial.reactor.stats().receiveDrops, receiveDrops);
        server.resume();
        await trial.settle(100);
        assert.ok(server.received.length > 0 && server.received.length < 1000, `${server.received.length}`);
        assert.ok(server.received.every(({ length }) => length === 8000));
        assert.equal(server.counters.receiveDrops, receiveDrops);
        if (engine.has("receiveDrops")) assert.equal(server.received.length + receiveDrops, 1000);
        server.closeConnection();
        await server.closed;
        assert.equal(server.counters.receiveDrops, receiveDrops);
        assert.equal(trial.reactor.stats().receiveDrops, receiveDrops);
      },
    );

    engine.rule("closing inside receiveData delivers nothing more", async (trial) => {
      const server = await openDatagrams(trial, { receiveData: (me) => me.closeConnection() });
      const client = await openDatagrams(trial);
      for (let count = 0; count < 5; count++) client.sendDatagram("x", placeOf(server));
      await server.closed;
      await trial.settle();
      assert.deepEqual(server.log, ["postInit", "receiveData", "unbind local-close"]);
    });

    engine.rule("closeConnectionAfterWriting sends what was sent before, and delivers nothing more", async (trial) => {
      const sink = await openDatagrams(trial);
      const socket = await openDatagrams(trial);
      for (let count = 0; count < 100; count++) socket.sendDatagram(`${count}`, placeOf(sink));
      socket.closeConnectionAfterWriting();
      assert.equal(socket.state, "closing");
      assert.equal(socket.sendDatagram("no", placeOf(sink)), false);
      sink.sendDatagram("nor this", placeOf(socket));
      assert.deepEqual(await socket.closed, { kind: "local-close", lingerExpired: false });
      await trial.until(() => sink.received.length === 100, "all of them");
      await trial.settle();
      assert.equal(sink.received.length, 100);
      assert.equal(socket.received.length, 0);
    });

    engine.rule("a failure of what was sent before closing after writing is told before the end", async (trial) => {
      const socket = await openDatagrams(trial);
      socket.sendDatagram(Buffer.alloc(70_000), { host: "127.0.0.1", port: 9 });
      socket.closeConnectionAfterWriting();
      await socket.closed;
      assert.deepEqual(socket.log, ["postInit", "sendFailed", "unbind local-close"]);
    });

    engine.rule("abort and await using end it", async (trial) => {
      const socket = await openDatagrams(trial);
      socket.abort();
      assert.equal((await socket.closed).kind, "local-abort");
      const other = await openDatagrams(trial);
      await other[Symbol.asyncDispose]();
      assert.equal(other.state, "closed");
      assert.equal(other.closeReason?.kind, "local-close");
    });

    engine.rule("unbind comes before the ticks that are asked for after the close", async (trial) => {
      const socket = await openDatagrams(trial);
      trial.reactor.nextTick(() => socket.log.push("tick before"));
      socket.closeConnection();
      trial.reactor.nextTick(() => socket.log.push("tick after"));
      await socket.closed;
      await trial.turn();
      assert.deepEqual(socket.log, ["postInit", "tick before", "unbind local-close", "tick after"]);
    });

    engine.rule("what receiveData throws ends the socket, unless onError takes it", async (trial) => {
      const errors: unknown[] = [];
      trial.reactor.onError((error, source) => errors.push([error, source]));
      const failure = new Error("on purpose");
      const script = (taken: boolean) => ({
        receiveData: () => {
          throw failure;
        },
        onError: () => taken,
      });
      const client = await openDatagrams(trial);
      const hardy = await openDatagrams(trial, script(true));
      client.sendDatagram("x", placeOf(hardy));
      await trial.until(() => hardy.log.includes("onError"), "its onError");
      await trial.settle();
      assert.equal(hardy.state, "open");
      const frail = await openDatagrams(trial, script(false));
      client.sendDatagram("x", placeOf(frail));
      const reason = await frail.closed;
      assert.equal(reason.kind, "handler-error");
      assert.deepEqual(frail.log, ["postInit", "receiveData", "onError", "unbind handler-error"]);
      assert.deepEqual(errors, [[failure, frail]]);
    });

    engine.rule("so does a promise of receiveData that is rejected", async (trial) => {
      trial.reactor.onError(() => {});
      const server = await openDatagrams(trial, { receiveData: () => Promise.reject(new Error("on purpose")) });
      const client = await openDatagrams(trial);
      client.sendDatagram("x", placeOf(server));
      assert.equal((await server.closed).kind, "handler-error");
    });

    engine.rule("what the constructor throws rejects the promise, and the port is free again", async (trial) => {
      const failure = new Error("on purpose");
      class Failing extends Connection {
        constructor() {
          super();
          throw failure;
        }
      }
      const socket = await openDatagrams(trial);
      const at = placeOf(socket);
      socket.closeConnection();
      await socket.closed;
      await assert.rejects(trial.reactor.openDatagramSocket(at, Failing), (error) => error === failure);
      assert.equal(trial.reactor.connectionCount, 0);
      await trial.settle(5);
      await openDatagrams(trial, {}, at);
    });

    engine.rule("a constructor finds no socket yet", async (trial) => {
      const found: unknown[] = [];
      class Eager extends DatagramRecorder {
        constructor() {
          super();
          found.push(this.state, this.id);
          assert.throws(() => this.counters, { code: "ERR_EM_NOT_ATTACHED" });
          assert.throws(() => this.sendDatagram("x", { host: "127.0.0.1", port: 1 }), { code: "ERR_EM_NOT_ATTACHED" });
        }
      }
      await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, Eager);
      assert.deepEqual(found, ["initial", 0]);
    });

    engine.rule("counters and sizes add up", async (trial) => {
      const server = await openEcho(trial);
      const client = await openDatagrams(trial);
      for (let count = 0; count < 10; count++) client.sendDatagram("12345", placeOf(server));
      await trial.until(() => client.received.length === 10, "ten answers");
      assert.deepEqual(client.counters, {
        received: 10,
        sent: 10,
        bytesSent: 50,
        dropped: 0,
        receiveDrops: 0,
        failed: 0,
      });
      assert.equal(client.bytesIn, 50);
      assert.equal(client.bytesOut, 50);
      assert.equal(client.outboundSize, 0);
      assert.ok(client.idleTime >= 0);
      client.closeConnection();
      await client.closed;
      assert.equal(client.counters.received, 10);
      assert.equal(client.bytesOut, 50);
      assert.deepEqual(client.localAddress, server.senders[0]);
    });

    engine.rule("a reconnect from unbind, as of a stream, is refused by name", async (trial) => {
      let refusal: unknown;
      const socket = await openDatagrams(trial, {
        unbind: (me) => {
          try {
            me.reconnect({ host: "127.0.0.1", port: 1 });
          } catch (error) {
            refusal = error;
          }
        },
      });
      socket.closeConnection();
      await socket.closed;
      assert.equal((refusal as StateError).code, "ERR_EM_NOT_A_STREAM");
    });
  });
});
