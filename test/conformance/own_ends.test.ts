import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dialNode, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { connect as dialTls } from "node:tls";
import {
  addTimer,
  type CloseReason,
  Connection,
  Deferrable,
  frames,
  LineText2,
  lines,
  Reactor,
  type ServerOptions,
  toDuplex,
  toWeb,
} from "eventmachine";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { serverContext } from "../support/pki.js";
import { rejection } from "../support/throwing.js";
import { until, within } from "../support/wait.js";

/** Servers whose callbacks await the connection itself, each in another way. */
const awaiting: Record<string, new () => Connection> = {
  "a loop": class extends Connection {
    override async postInit(): Promise<void> {
      for await (const chunk of this) this.sendData(chunk);
    }
  },
  "a loop over lines": class extends Connection {
    override async postInit(): Promise<void> {
      for await (const line of lines(this)) this.sendData(`${line}\n`);
    }
  },
  "a loop over frames": class extends Connection {
    override async postInit(): Promise<void> {
      for await (const frame of frames(this, { headerSize: 1 })) this.sendData(frame);
    }
  },
  "a loop over a stream": class extends Connection {
    override async postInit(): Promise<void> {
      const stream = toDuplex(this, { allowHalfOpen: true });
      for await (const chunk of stream) stream.write(chunk);
      stream.end();
    }
  },
  "a pipeline": class extends Connection {
    override async postInit(): Promise<void> {
      const stream = toDuplex(this, { allowHalfOpen: true });
      await pipeline(stream, new PassThrough(), stream);
    }
  },
  "writes that are awaited": class extends Connection {
    override async postInit(): Promise<void> {
      const stream = toDuplex(this);
      stream.on("error", () => {});
      stream.resume();
      for (;;) {
        await new Promise<void>((resolve, reject) =>
          stream.write(Buffer.alloc(65_536), (error) => (error ? reject(error) : resolve())),
        );
      }
    }
  },
  "web streams": class extends Connection {
    override async postInit(): Promise<void> {
      const { readable, writable } = toWeb(this);
      await readable.pipeTo(writable);
    }
  },
  "web streams through a compressor": class extends Connection {
    override async postInit(): Promise<void> {
      const { readable, writable } = toWeb(this);
      await readable.pipeThrough(new CompressionStream("gzip")).pipeTo(writable);
    }
  },
  "a reader of a web stream": class extends Connection {
    override async postInit(): Promise<void> {
      const { readable, writable } = toWeb(this);
      const reader = readable.getReader();
      while (!(await reader.read()).done);
      await writable.close();
    }
  },
  "a file": class extends Connection {
    override async postInit(): Promise<void> {
      for (;;) await this.sendFileData(process.execPath);
    }
  },
  "a file behind something else": class extends Connection {
    override async postInit(): Promise<void> {
      await this.closed;
      await this.sendFileData(process.execPath);
    }
  },
  "an option behind something else": class extends Connection {
    override async postInit(): Promise<void> {
      await this.closed;
      this.setNoDelay(true);
    }
  },
  "a loop behind something else": class extends Connection {
    override async postInit(): Promise<void> {
      await this.closed;
      for await (const chunk of this) this.sendData(chunk);
    }
  },
  "being secured": class extends Connection {
    override async postInit(): Promise<void> {
      if (secured.has(this.constructor)) await this.secured;
      await this.closed;
    }
  },
};
const secured = new Set<unknown>();

/** A peer's socket, and what speaks over it: TLS, or the socket itself. */
interface Peer {
  readonly socket: Socket;
  readonly voice: Socket;
}

type Ending = (peers: Peer[], reactor: Reactor, connections: Connection[]) => unknown;

const endings: Record<string, Ending> = {
  "its peer resets": (peers) => {
    for (const { socket } of peers) socket.resetAndDestroy();
  },
  "its peer ends": (peers) => {
    for (const { voice } of peers) voice.end();
  },
  "a deadline passes": (_peers, _reactor, connections) => {
    for (const connection of connections) connection.lifetimeTimeout = 10;
  },
  "the reactor drains": (_peers, reactor) => reactor.drain(20),
  "the reactor stops": (_peers, reactor) => reactor.stop(),
};

/** Runs a server under peers that end in a way; gives how its connections ended. Throws what `run` rejects with. */
async function ended(
  engine: EngineSuite,
  Handler: new () => Connection,
  ending: Ending,
  options: ServerOptions = {},
): Promise<CloseReason[]> {
  const reasons: CloseReason[] = [];
  const seen: unknown[] = [];
  const connections: Connection[] = [];
  class Watched extends Handler {
    constructor() {
      super();
      connections.push(this);
    }
    override unbind(reason: CloseReason): void {
      reasons.push(reason);
    }
    override onError(error: unknown): void {
      seen.push(error);
    }
  }
  if (options.tls !== undefined) secured.add(Watched);
  const reactor = new Reactor({ engine: engine.name });
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  const peers: Peer[] = [];
  try {
    await within(
      reactor.run(async () => {
        const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0, ...options }, Watched);
        for (let count = 0; count < 3; count++) {
          const socket = dialNode(port as number, "127.0.0.1");
          socket.on("error", () => {});
          await once(socket, "connect");
          // The last one says nothing, and under TLS not even its hello.
          const isTls = options.tls !== undefined && count < 2;
          const voice = isTls ? dialTls({ socket, rejectUnauthorized: false }) : socket;
          if (isTls)
            await once(
              voice.on("error", () => {}),
              "secureConnect",
            );
          voice.pause();
          peers.push({ socket, voice });
        }
        const [first, second] = peers;
        // One says something, one half of something.
        first?.voice.write("\x01ab\n");
        second?.voice.write("\x20x");
        await until(() => connections.length === 3, "all are accepted");
        await new Promise((resolve) => reactor.addTimer(30, () => resolve(undefined)));
        await ending(peers, reactor, connections);
        for (const { voice } of peers) voice.resume();
        if (!reactor.isStopping) {
          await until(() => reasons.length === 3, "all have ended");
          await new Promise((resolve) => reactor.addTimer(20, () => resolve(undefined)));
          assert.equal(reactor.isStopping, false, "the server still runs");
          reactor.stop();
        }
      }),
      "run ends",
    );
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off("unhandledRejection", note);
    for (const { socket } of peers) socket.destroy();
  }
  const own = seen.filter((error) => (error as { code?: string }).code !== "ERR_EM_FRAME_TRUNCATED");
  assert.deepEqual(own, [], "no end is an error of the handler");
  assert.deepEqual(unhandled, []);
  return reasons;
}

onEveryEngine("a connection's own end", (engine) => {
  for (const [what, Handler] of Object.entries(awaiting)) {
    for (const [how, ending] of Object.entries(endings)) {
      for (const tls of [false, true]) {
        engine.runRule(`is unbind's alone: ${what}, ${how}${tls ? " (tls)" : ""}`, async () => {
          const options = tls ? { tls: serverContext() } : {};
          assert.equal((await ended(engine, Handler, ending, options)).length, 3);
        });
      }
    }
  }

  engine.rule("also on a client, whose connect came to nothing", async (trial) => {
    const failed: unknown[] = [];
    trial.reactor.onError((error) => failed.push(error));
    const port = await trial.deadPort();
    for (const await_ of [(me: Connection) => me.opened, (me: Connection) => me.secured]) {
      const client = trial.dial({ host: "127.0.0.1", port }, { postInit: (me) => await_(me) }, { tls: true });
      await trial.until(() => client.isUnbound, "it ends");
      await trial.settle();
      assert.equal(client.kind, "connect-refused");
      assert.deepEqual(client.errors, []);
    }
    assert.deepEqual(failed, []);
  });

  engine.rule("a reconnecting client's later life counts as its own", async (trial) => {
    const failed: unknown[] = [];
    trial.reactor.onError((error) => failed.push(error));
    const at = { host: "127.0.0.1", port: await trial.deadPort() };
    const client = trial.dial(at, {
      postInit: async (me) => {
        await me.opened.catch(() => {});
        await trial.turn();
        me.reconnect(at);
        await me.opened;
      },
    });
    await trial.until(() => client.reasons.length === 2, "it ends twice");
    await trial.settle();
    assert.deepEqual([client.errors, failed], [[], []]);
  });

  engine.rule("another connection's end is an error like any other", async (trial) => {
    const failed: unknown[] = [];
    trial.reactor.onError((error) => failed.push(error));
    const port = await trial.deadPort();
    const { server } = await trial.pair({
      server: {
        receiveData: async () => {
          await trial.dial({ host: "127.0.0.1", port }).opened;
        },
      },
      client: { connectionCompleted: (me) => me.sendData("x") },
    });
    await trial.until(() => server.isUnbound, "it ends");
    assert.equal(server.kind, "handler-error");
    assert.deepEqual(failed, server.errors);
    assert.equal((failed[0] as { code?: string }).code, "ECONNREFUSED");
  });

  engine.rule(
    "an error that has ended the connection is reported once, also where a loop throws it again",
    async (trial) => {
      const oops = new Error("from drained");
      const failed: unknown[] = [];
      trial.reactor.onError((error) => failed.push(error));
      const served = await trial.serve(
        {
          postInit: async (me) => {
            for await (const _ of me) me.sendData("answer");
          },
          drained: () => {
            throw oops;
          },
        },
        { highWaterMark: 1, lowWaterMark: 0 },
      );
      const client = trial.dial(served);
      client.sendData("x");
      const server = await served.peer();
      await trial.until(() => server.isUnbound, "it ends");
      await trial.settle();
      assert.deepEqual(failed, [oops]);
    },
  );

  engine.runRule("a block that the stop or the drain cuts short has not failed", async () => {
    for (const end of [
      (reactor: Reactor) => reactor.stop(),
      (reactor: Reactor) => void reactor.drain(5).then(() => reactor.stop()),
    ]) {
      const reactor = new Reactor({ engine: engine.name });
      class Silent extends Connection {}
      await within(
        reactor.run(async () => {
          const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Silent);
          const client = reactor.connect({ host: "127.0.0.1", port: port as number });
          reactor.addTimer(20, () => end(reactor));
          for await (const chunk of client) assert.fail(`${chunk}`);
        }),
        "run resolves",
      );
    }
  });

  engine.runRule("what a peer sends over a limit ends its connection, and the server never", async () => {
    class Lines extends LineText2 {
      override receiveLine(line: string): void {
        this.setBinaryMode(Number(line));
      }
    }
    class LoopOverLines extends Connection {
      override async postInit(): Promise<void> {
        for await (const _ of lines(this, { maxLineLength: 10 }));
      }
    }
    class LoopOverFrames extends Connection {
      override async postInit(): Promise<void> {
        for await (const _ of frames(this, { headerSize: 1, maxFrameLength: 10 }));
      }
    }
    const cases: [new () => Connection, string, string][] = [
      [Lines, "x".repeat(70_000), "ERR_EM_LINE_TOO_LONG"],
      [Lines, "99999999999\n", "ERR_EM_BINARY_TOO_LONG"],
      [LoopOverLines, "x".repeat(20), "ERR_EM_LINE_TOO_LONG"],
      [LoopOverFrames, "\x0b", "ERR_EM_FRAME_TOO_LONG"],
    ];
    for (const [Handler, sent, code] of cases) {
      const reactor = new Reactor({ engine: engine.name });
      const errors: unknown[] = [];
      const reasons: CloseReason[] = [];
      class Watched extends Handler {
        override onError(error: unknown): void {
          errors.push(error);
        }
        override unbind(reason: CloseReason): void {
          reasons.push(reason);
        }
      }
      await within(
        reactor.run(async () => {
          const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Watched);
          const peer = dialNode(port as number, "127.0.0.1");
          peer.on("error", () => {});
          peer.write(sent);
          await until(() => reasons.length === 1, "it ends");
          assert.equal(reactor.isStopping, false);
          peer.destroy();
          reactor.stop();
        }),
        "run resolves",
      );
      assert.deepEqual(
        errors.map((error) => (error as { code?: string }).code),
        [code],
      );
      assert.deepEqual(reasons, [{ kind: "handler-error", error: errors[0] }]);
    }
  });

  engine.rule("a callback's result is watched only where it is a promise", async (trial) => {
    const failed: unknown[] = [];
    trial.reactor.onError((error) => {
      failed.push(error);
      return new Deferrable().fail(new Error("from onError"));
    });
    const failing = () => new Deferrable().fail(new Error("an errback's matter"));
    trial.reactor.addTimer(1, failing);
    trial.reactor.nextTick(failing);
    trial.reactor.schedule(failing);
    trial.reactor.addShutdownHook(failing);
    await trial.reactor.run(failing);
    const { client, server } = await trial.pair({
      server: { postInit: failing, receiveData: failing, unbind: failing, onError: failing },
      client: { postInit: failing, connectionCompleted: failing, unbind: failing },
    });
    client.sendData("x");
    await trial.until(() => server.bytes === 1, "the data");
    client.closeConnection();
    await trial.allUnbound();
    await trial.settle();
    assert.deepEqual([client.errors, server.errors, failed], [[], [], []]);
    trial.reactor.nextTick(() => {
      throw new Error("one");
    });
    await trial.settle();
    assert.equal(failed.length, 1, "and what the error handler returns is none either");
    await trial.reactor.run(() => rejection(Promise.reject(new Error("a promise is watched"))));
    addTimer(1, failing).cancel();
  });
});
