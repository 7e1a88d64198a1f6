import assert from "node:assert/strict";
import { inspect } from "node:util";
import {
  ArgumentError,
  CAPABILITIES,
  ConnectError,
  Connection,
  type ConnectOptions,
  EventMachineError,
  engineInfo,
  formatAddress,
  type InetAddress,
  LimitError,
  parseAddress,
  Reactor,
  StateError,
  SystemError,
  UnsupportedError,
} from "eventmachine";
import { pattern } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";

const classes = [ArgumentError, StateError, ConnectError, LimitError, SystemError, UnsupportedError];

onEveryEngine("errors", (engine) => {
  engine.rule("every error is an EventMachineError and an Error, with a name, a code and a message", async (trial) => {
    const errors: unknown[] = [];
    const collect = async (action: () => unknown) => {
      try {
        await action();
        assert.fail("it did not throw");
      } catch (error) {
        errors.push(error);
      }
    };
    const { client } = await trial.pair();
    await collect(() => client.sendData(undefined as never));
    await collect(() => client.sendFileData("/no/such/file"));
    await collect(() => trial.serve({}, { host: "198.51.100.7", port: 0 }));
    await collect(() => trial.dial({ host: "127.0.0.1", port: 1 }).opened);
    await collect(() => Connection.prototype.reconnect.call(client, { host: "127.0.0.1", port: 1 }));
    assert.equal(errors.length, 5);
    for (const error of errors) {
      assert.ok(error instanceof Error && error instanceof EventMachineError);
      assert.match(error.code, /^(ERR_EM_[A-Z_]+|E[A-Z]+)$/);
      assert.ok(error.message.length > 10, error.message);
      assert.ok(classes.some((each) => error.name === each.brand) || error.name === "EventMachineError", error.name);
      assert.match(inspect(error), new RegExp(error.name));
    }
    assert.ok(!(errors[0] instanceof SystemError));
  });

  engine.rule("classes go by their brand, so that two copies of the package agree", async () => {
    const foreign = Object.assign(new Error("from another copy"), {
      [Symbol.for("eventmachine.EventMachineError")]: true,
      [Symbol.for("eventmachine.LimitError")]: true,
    });
    assert.ok(foreign instanceof EventMachineError);
    assert.ok(foreign instanceof LimitError);
    assert.ok(!(foreign instanceof StateError));
    for (const value of [null, undefined, 7, "x", {}, new Error("x")])
      assert.ok(!((value as object) instanceof EventMachineError));
  });

  const numbers = [
    "commInactivityTimeout",
    "firstByteTimeout",
    "readTimeout",
    "writeTimeout",
    "lifetimeTimeout",
  ] as const;
  for (const name of [...numbers, "lingerTimeout", "connectTimeout", "connectionAttemptDelay"] as const) {
    engine.rule(`${name}: negative, NaN, infinite and other values that are no time throw`, async (trial) => {
      for (const value of [-1, -0.001, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "5", null, {}, 5n]) {
        const options = { [name]: value } as ConnectOptions;
        assert.throws(
          () => trial.dial({ host: "127.0.0.1", port: 1 }, {}, options),
          (error) => {
            assert.ok(error instanceof ArgumentError);
            assert.match(error.message, new RegExp(name), "the message names the argument");
            return true;
          },
        );
      }
      assert.equal(trial.recorders.length, 0, "no handler was made");
    });
  }

  engine.rule("addresses to connect to that are none throw before the handler is made", async (trial) => {
    const wrong: unknown[] = [
      undefined,
      null,
      7,
      "127.0.0.1:80",
      {},
      { host: "127.0.0.1" },
      { port: 80 },
      { host: "", port: 80 },
      { host: "a b", port: 80 },
      { host: "x".repeat(256), port: 80 },
      { host: "127.0.0.1", port: 0 },
      { host: "127.0.0.1", port: -1 },
      { host: "127.0.0.1", port: 65_536 },
      { host: "127.0.0.1", port: 1.5 },
      { host: "127.0.0.1", port: "80" },
      { host: "127.0.0.1", port: 80, signal: {} },
      { host: "127.0.0.1", port: 80, localAddress: "127.0.0.1" },
      { host: "127.0.0.1", port: 80, localAddress: { host: "local/host" } },
      { host: "127.0.0.1", port: 80, localAddress: { host: "127.0.0.1", port: -1 } },
    ];
    for (const address of wrong) {
      assert.throws(
        () => trial.reactor.connect(address as { path: string }),
        { name: "ArgumentError" },
        inspect(address),
      );
      // It brings a local address of its own.
      if (typeof address === "object" && address !== null && "localAddress" in address) continue;
      assert.throws(() => trial.reactor.bindConnect({ host: "127.0.0.1" }, address as { path: string }), {
        name: "ArgumentError",
      });
    }
    for (const local of [undefined, null, 7, {}, { host: "no where" }]) {
      assert.throws(() => trial.reactor.bindConnect(local as { host: string }, { host: "127.0.0.1", port: 1 }), {
        name: "ArgumentError",
      });
    }
    assert.equal(trial.recorders.length, 0);
    assert.equal(trial.reactor.connectionCount, 0);
  });

  engine.rule("what the system does not permit is the system's error", async (trial) => {
    await assert.rejects(trial.serve({}, { path: "/proc/em.sock" }), (error) => {
      assert.ok(error instanceof SystemError, inspect(error));
      assert.match(error.code, /^(EACCES|EPERM|ENOENT|EROFS|EOPNOTSUPP)$/);
      assert.equal(error.address, "/proc/em.sock");
      return true;
    });
  });

  engine.rule("a peer that never reads costs no more than the outbound limit", async (trial) => {
    const limit = 1_000_000;
    const { client, server } = await trial.pair({ listen: { outboundLimit: limit } });
    client.pause();
    let most = 0;
    const timer = trial.reactor.addPeriodicTimer(0, () => {
      for (let count = 0; count < 50 && server.state === "open"; count++) {
        server.sendData(pattern(10_000));
        most = Math.max(most, server.outboundSize);
      }
    });
    await trial.allUnbound(server);
    timer.cancel();
    assert.equal(server.kind, "outbound-limit");
    assert.ok(most <= limit + 10_000, `${most} bytes were queued`);
  });

  engine.rule("a thousand peers that never read: each is told to stop, and others are served", async (trial) => {
    const piece = pattern(64 * 1024);
    let told = 0;
    trial.over("unix");
    const served = await trial.serve({
      postInit: (me) => {
        while (me.sendData(piece));
        told++;
      },
    });
    const deaf = Array.from({ length: 1000 }, () => trial.dial(served, { postInit: (me) => me.pause() }));
    await trial.until(() => told === 1000, "all are accepted, and their senders told");
    const echo = await trial.pair({ server: { receiveData: (me, data) => me.sendData(data) } });
    echo.client.sendData("served");
    await trial.until(() => echo.client.text === "served", "the echo");
    assert.ok(deaf.every(({ state, bytes }) => state === "open" && bytes === 0));
    assert.ok(served.peers.every(({ outboundSize, drains }) => outboundSize <= 192 * 1024 && drains === 0));
  });

  engine.rule("a peer that resets in the middle of everything", async (trial) => {
    const served = await trial.serve({
      keep: false,
      postInit: (me) => me.sendData(pattern(300_000)),
      receiveData: (me, data) => me.sendData(data),
    });
    const clients = Array.from({ length: 100 }, (_, at) =>
      trial.dial(served, {
        keep: false,
        connectionCompleted: (me) => {
          me.sendData(pattern(100_000));
          if (at % 3 === 0) me.abort();
        },
        receiveData: (me) => {
          if (at % 3 === 1) me.abort();
          else if (me.bytes > 200_000) me.abort();
        },
      }),
    );
    await trial.allUnbound(...clients);
    await trial.until(() => served.listener.connectionCount === 0, "every one has ended");
    for (const client of clients) assert.equal(client.kind, "local-abort");
    for (const peer of served.peers) {
      if (engine.has("promptReset")) assert.equal(peer.kind, "peer-reset");
      else assert.match(peer.kind ?? "", /^peer-(reset|closed)$/);
    }
  });

  engine.rule("engineInfo tells what an engine lacks, with names of the list", async () => {
    const info = engineInfo(engine.name);
    assert.equal(info.engine, engine.name);
    for (const { capability, meaning } of info.lacks) assert.equal(CAPABILITIES[capability], meaning);
    assert.throws(() => engineInfo("steam" as never), { name: "ArgumentError" });
  });

  engine.rule("options of a Reactor that are none throw", async () => {
    const wrong: unknown[] = [
      null,
      7,
      { engine: "steam" },
      { resolver: 7 },
      { outboundLimit: -1 },
      { outboundLimit: "1" },
    ];
    for (const options of wrong) assert.throws(() => new Reactor(options as never), { name: "ArgumentError" });
  });

  engine.rule("addresses as text", async () => {
    const read: [string, object][] = [
      ["127.0.0.1:80", { host: "127.0.0.1", port: 80 }],
      ["example.test:0", { host: "example.test", port: 0 }],
      ["[::1]:7000", { host: "::1", port: 7000 }],
      [":7000", { port: 7000 }],
      ["unix:/tmp/s", { path: "/tmp/s" }],
      ["unix:@name", { path: "\0name" }],
    ];
    for (const [text, address] of read) assert.deepEqual(parseAddress(text), address);
    for (const text of ["", "127.0.0.1", "1:2:3", "[::1]", "[nope]:1", "host:65536", "host:-1", "unix:", "host:x"]) {
      assert.throws(() => parseAddress(text), { name: "ArgumentError" }, text);
    }
    assert.equal(formatAddress({ family: "IPv6", host: "::1", port: 7000 }), "[::1]:7000");
    assert.equal(formatAddress({ family: "IPv4", host: "127.0.0.1", port: 80 }), "127.0.0.1:80");
    assert.equal(formatAddress({ family: "unix", path: "\0name" }), "unix:@name");
    const odd: [text: unknown, address: unknown][] = [
      [undefined, undefined],
      [null, null],
      [7000, "127.0.0.1:80"],
      [{}, {}],
      [["[::1]:1"], { host: "127.0.0.1", port: 80 }],
      [Symbol("address"), { family: 4, host: "127.0.0.1", port: 80 }],
      [true, { family: "IPv4", port: 80 }],
      [() => "", { family: "IPv6", host: "::1", port: 65536 }],
      [new Date(0), { family: "unix" }],
    ];
    for (const [text, address] of odd) {
      const wrong = { name: "ArgumentError", code: "ERR_EM_INVALID_ARGUMENT" };
      assert.throws(() => parseAddress(text as string), wrong);
      assert.throws(() => formatAddress(address as InetAddress), wrong);
    }
  });
});
