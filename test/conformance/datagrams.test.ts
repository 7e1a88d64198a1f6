import assert from "node:assert/strict";
import { Connection, type InetAddress, openDatagramSocket, type SocketAddress, SystemError } from "eventmachine";
import { pattern } from "../support/bytes.js";
import { DatagramRecorder, datagramRules, openDatagrams, openEcho, placeOf } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";

onEveryEngine("datagrams", (engine: EngineSuite) => {
  datagramRules(engine, () => {
    engine.rule("an echo comes back to its sender, and every datagram is whole", async (trial) => {
      const echo = await openEcho(trial);
      const client = await openDatagrams(trial);
      for (const text of ["one", "two", "three"]) client.sendDatagram(text, placeOf(echo));
      await trial.until(() => client.received.length === 3, "three answers");
      assert.deepEqual(client.texts, ["one", "two", "three"]);
      assert.deepEqual(client.senders[0], echo.localAddress);
      assert.deepEqual(echo.senders[0], client.localAddress);
      assert.deepEqual(client.log, ["postInit", "receiveData", "receiveData", "receiveData"]);
      client.closeConnection();
      const reason = await client.closed;
      assert.equal(reason.kind, "local-close");
      assert.deepEqual(client.log.slice(-1), ["unbind local-close"]);
      assert.equal(client.state, "closed");
      echo.closeConnection();
    });

    engine.rule(
      "port 0 is a port when the constructor has run: postInit knows it, and so does the promise",
      async (trial) => {
        let seen: SocketAddress | undefined;
        const socket = await openDatagrams(trial, {
          postInit: (me) => {
            assert.equal(me.state, "open");
            seen = me.localAddress;
          },
        });
        assert.ok((seen as InetAddress).port > 0);
        assert.deepEqual(socket.localAddress, seen);
        assert.equal(socket.localAddress?.family, "IPv4");
        assert.ok(socket.id > 0);
      },
    );

    engine.rule("the same over IPv6", async (trial) => {
      const echo = await openEcho(trial, { host: "::1" });
      const client = await openDatagrams(trial, {}, { host: "::1" });
      client.sendDatagram("six", placeOf(echo));
      await trial.until(() => client.received.length === 1, "the answer");
      assert.deepEqual(client.senders[0], { family: "IPv6", host: "::1", port: placeOf(echo).port });
    });

    engine.rule("without a host it is every address of both families; IPv4 peers are IPv4 addresses", async (trial) => {
      const echo = await trial.reactor.openDatagramSocket({ port: 0 }, DatagramRecorder, {
        receiveData: (me, data) => me.sendData(data),
      });
      assert.equal(placeOf(echo).host, "::");
      const { port } = placeOf(echo);
      for (const host of ["127.0.0.1", "::1"]) {
        const client = await openDatagrams(trial, {}, { host });
        client.sendDatagram(host, { host, port });
        await trial.until(() => client.received.length === 1, `the answer of ${host}`);
        assert.deepEqual(echo.senders.at(-1), client.localAddress);
        echo.sendDatagram("again", placeOf(client));
        await trial.until(() => client.received.length === 2, `what was sent to ${host}`);
      }
    });

    engine.rule("ipv6Only takes IPv6 alone", async (trial) => {
      const echo = await openEcho(trial, { host: "::", ipv6Only: true });
      const client = await openDatagrams(trial);
      client.sendDatagram("four", { host: "127.0.0.1", port: placeOf(echo).port });
      const six = await openDatagrams(trial, {}, { host: "::1" });
      six.sendDatagram("six", { host: "::1", port: placeOf(echo).port });
      await trial.until(() => six.received.length === 1, "the answer");
      await trial.settle();
      assert.deepEqual(echo.texts, ["six"]);
    });

    engine.rule("empty datagrams are datagrams", async (trial) => {
      const echo = await openEcho(trial);
      const client = await openDatagrams(trial);
      assert.equal(client.sendDatagram("", placeOf(echo)), true);
      client.sendDatagram(new Uint8Array(0), placeOf(echo));
      await trial.until(() => client.received.length === 2, "the answers");
      assert.deepEqual(client.texts, ["", ""]);
    });

    for (const [host, size] of [
      ["127.0.0.1", 65_507],
      ["::1", 65_527],
    ] as const) {
      engine.rule(`the largest datagram comes through whole over ${host}: ${size} bytes`, async (trial) => {
        const buffers = { receiveBufferSize: 400_000, sendBufferSize: 400_000 };
        const echo = await openEcho(trial, { host, ...buffers });
        const client = await openDatagrams(trial, {}, { host, ...buffers });
        const data = pattern(size);
        client.sendDatagram(data, placeOf(echo));
        await trial.until(() => client.received.length === 1, "the answer");
        assert.ok(client.received[0]?.equals(data));
        assert.equal(client.bytesIn, size);
        assert.equal(client.bytesOut, size);
      });

      engine.rule(
        `one byte more over ${host} is EMSGSIZE for that datagram, and nothing else happens`,
        async (trial) => {
          const echo = await openEcho(trial, { host });
          const client = await openDatagrams(trial, {}, { host });
          client.sendDatagram("before", placeOf(echo));
          client.sendDatagram(pattern(size + 1), placeOf(echo));
          client.sendDatagram("after", placeOf(echo));
          await trial.until(
            () => client.received.length === 2 && client.failures.length === 1,
            "two answers, one failure",
          );
          assert.deepEqual(client.texts, ["before", "after"]);
          const [failure] = client.failures;
          assert.ok(failure?.error instanceof SystemError);
          assert.equal(failure.error.code, "EMSGSIZE");
          assert.equal(failure.error.port, placeOf(echo).port);
          assert.deepEqual(failure.address, echo.localAddress);
          assert.equal(client.state, "open");
          assert.equal(client.counters.failed, 1);
          assert.equal(client.counters.sent, 2);
        },
      );
    }

    engine.rule(
      "bytes are copied or sent when the call returns, and text and pieces are one datagram",
      async (trial) => {
        const sink = await openDatagrams(trial);
        const client = await openDatagrams(trial);
        const buffer = Buffer.from("first");
        client.sendDatagram(buffer, placeOf(sink));
        buffer.fill("x");
        client.sendDatagram(["a", Buffer.from("b"), new Uint8Array([0x63])], placeOf(sink));
        client.sendDatagram("\u20ac", placeOf(sink));
        await trial.until(() => sink.received.length === 3, "three datagrams");
        assert.deepEqual(sink.texts, ["first", "abc", "\u20ac"]);
      },
    );

    engine.rule("without a handler it only sends: what comes in is counted and gone", async (trial) => {
      const socket = await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 });
      const echo = await openEcho(trial);
      assert.equal(socket.sendDatagram("hello", placeOf(echo)), true);
      await trial.until(() => socket.counters.received === 1, "the answer is counted");
      assert.equal(socket.bytesDiscarded, 5);
      assert.equal(socket.counters.sent, 1);
    });

    engine.rule("the constructor gets the arguments, and onConnection is called behind postInit", async (trial) => {
      const calls: unknown[] = [];
      class Named extends Connection {
        constructor(...args: unknown[]) {
          super();
          calls.push(args);
        }
        override postInit() {
          calls.push("postInit");
        }
      }
      const onConnection = (connection: Named) => calls.push(["onConnection", connection]);
      const socket = await trial.reactor.openDatagramSocket(
        { host: "127.0.0.1", port: 0, onConnection },
        Named,
        1,
        "two",
      );
      assert.ok(socket instanceof Named);
      assert.deepEqual(calls, [[1, "two"], "postInit", ["onConnection", socket]]);
    });

    engine.rule("the module-level function opens it on the current reactor", async (trial) => {
      const inside = new Promise<DatagramRecorder>((resolve, reject) => {
        trial.reactor.nextTick(() => {
          openDatagramSocket({ host: "127.0.0.1", port: 0 }, DatagramRecorder).then(resolve, reject);
        });
      });
      const socket = await inside;
      const bare = await new Promise<Connection>((resolve, reject) => {
        trial.reactor.nextTick(() => void openDatagramSocket({ host: "127.0.0.1", port: 0 }).then(resolve, reject));
      });
      assert.equal(trial.reactor.connectionCount, 2);
      for (const each of [socket, bare]) each.closeConnection();
    });

    engine.rule("one class serves streams and datagrams", async (trial) => {
      const heard: [string, SocketAddress | undefined][] = [];
      class Check extends Connection {
        override receiveData(data: Buffer, sender?: SocketAddress) {
          heard.push([data.toString(), sender]);
          if (data.toString() === "ping") this.sendData("pong");
        }
      }
      const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Check);
      const socket = await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, Check);
      const stream = trial.dial({ host: "127.0.0.1", port: listener.port });
      stream.sendData("ping");
      await trial.until(() => stream.text === "pong", "the answer of the stream");
      const client = await openDatagrams(trial);
      client.sendDatagram("ping", placeOf(socket));
      await trial.until(() => client.received.length === 1, "the answer of the socket");
      assert.deepEqual(client.texts, ["pong"]);
      assert.deepEqual(heard, [
        ["ping", undefined],
        ["ping", client.localAddress],
      ]);
      stream.closeConnection();
    });

    engine.rule("an IPv6 address on an IPv4 socket is EAFNOSUPPORT for that datagram", async (trial) => {
      const echo = await openEcho(trial);
      const socket = await openDatagrams(trial);
      socket.sendDatagram("x", { host: "::1", port: 9 });
      assert.equal(socket.failures.length, 0, "not inside the call");
      socket.sendDatagram("y", placeOf(echo));
      await trial.until(() => socket.failures.length === 1 && socket.received.length === 1, "a failure, an answer");
      assert.equal(socket.failures[0]?.error.code, "EAFNOSUPPORT");
      assert.deepEqual(socket.failures[0]?.address, { family: "IPv6", host: "::1", port: 9 });
    });

    engine.rule("an address that is taken is EADDRINUSE, and no handler is made", async (trial) => {
      const first = await openDatagrams(trial);
      let made = 0;
      class Never extends Connection {
        constructor() {
          super();
          made++;
        }
      }
      await assert.rejects(trial.reactor.openDatagramSocket(placeOf(first), Never), (error) => {
        assert.ok(error instanceof SystemError);
        assert.equal(error.code, "EADDRINUSE");
        assert.equal(error.address, "127.0.0.1");
        assert.equal(error.port, placeOf(first).port);
        return true;
      });
      assert.equal(made, 0);
    });

    engine.rule("a port is free when its socket has ended", async (trial) => {
      const first = await openDatagrams(trial);
      const at = placeOf(first);
      first.closeConnection();
      await first.closed;
      const second = await openDatagrams(trial, {}, at);
      assert.deepEqual(placeOf(second), at);
    });

    engine.rule("reuseAddress shares a port", async (trial) => {
      const first = await openDatagrams(trial, {}, { reuseAddress: true });
      const second = await openDatagrams(trial, {}, { ...placeOf(first), reuseAddress: true });
      assert.deepEqual(placeOf(second), placeOf(first));
    });
  });
});
