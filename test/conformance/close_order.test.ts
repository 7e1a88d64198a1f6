import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { Recorder, type Script } from "../support/recorder.js";
import type { Served, Trial } from "../support/trial.js";

/** What ends a connection at once. */
const ENDS: Record<string, (me: Recorder) => void> = {
  closeConnection: (me) => me.closeConnection(),
  abort: (me) => me.abort(),
};

type Step = () => void;

/**
 * Where a close may be asked for: each opens a connection and calls the step with it there. The connection is the
 * client's end, for the accepted one cannot reconnect.
 */
type Place = (trial: Trial, served: Served, begin: (me: Recorder) => Step) => Promise<void>;

const opened = async (trial: Trial, served: Served, script: Script = {}): Promise<Recorder> => {
  const client = trial.dial(served, script);
  await client.opened;
  return client;
};

/** Has the step run inside a callback of the connection itself. */
const inCallback =
  (name: "connectionCompleted" | "receiveData" | "receiveEnd" | "drained" | "postInit", script: Script = {}): Place =>
  async (trial, served, begin) => {
    let done = false;
    const callback = (me: Recorder) => {
      if (done) return;
      done = true;
      begin(me)();
    };
    trial.dial(served, { ...script, [name]: callback }, { allowHalfOpen: name === "receiveEnd" });
    await trial.until(() => done, name);
  };

const PLACES: Record<string, Place> = {
  postInit: inCallback("postInit"),
  connectionCompleted: inCallback("connectionCompleted"),
  receiveData: inCallback("receiveData", { connectionCompleted: (me) => me.sendData("echo") }),
  receiveEnd: inCallback("receiveEnd", { connectionCompleted: (me) => me.lives === 1 && me.sendData("end") }),
  drained: inCallback("drained", {
    connectionCompleted: (me) => {
      me.setWaterMarks(1, 0);
      me.sendData("swallow");
    },
  }),
  "the unbind of another": async (trial, served, begin) => {
    const me = await opened(trial, served);
    const another = await opened(trial, served, { unbind: () => begin(me)() });
    another.sendData("close");
    await trial.allUnbound(another);
  },
  "the unbind of another that was closed here": async (trial, served, begin) => {
    const me = await opened(trial, served);
    const another = await opened(trial, served, { unbind: () => begin(me)() });
    another.closeConnection();
    await trial.allUnbound(another);
  },
  "a timer": async (trial, served, begin) => {
    const step = begin(await opened(trial, served));
    await new Promise<void>((resolve) => {
      trial.reactor.addTimer(1, () => {
        step();
        resolve();
      });
    });
  },
  "a tick": async (trial, served, begin) => {
    const step = begin(await opened(trial, served));
    await new Promise<void>((resolve) => {
      trial.reactor.nextTick(() => {
        step();
        resolve();
      });
    });
  },
  "a promise in a callback": async (trial, served, begin) => {
    const step = begin(await opened(trial, served));
    await trial.turn();
    step();
  },
  "outside of any callback (setTimeout)": async (trial, served, begin) => {
    const step = begin(await opened(trial, served));
    await new Promise((resolve) => setTimeout(resolve, 1));
    step();
  },
  "outside of any callback (setImmediate)": async (trial, served, begin) => {
    const step = begin(await opened(trial, served));
    await new Promise((resolve) => setImmediate(resolve));
    step();
  },
};

/** Echoes; closes, or ends its side, where it is told to. */
async function serve(trial: Trial): Promise<Served> {
  return trial.serve(
    {
      receiveData: (me, data) => {
        const text = data.toString();
        if (text === "close") me.closeConnection();
        else if (text === "end") me.halfClose();
        else if (text !== "swallow") me.sendData(data);
      },
    },
    { allowHalfOpen: true },
  );
}

function defineFor(engine: EngineSuite, where: string, place: Place): void {
  for (const [how, end] of Object.entries(ENDS)) {
    engine.ruleOnStreams(`${how} in ${where} has its unbind before the ticks asked for after it`, async (trial) => {
      const { reactor } = trial;
      const served = await serve(trial);
      const order: string[] = [];
      let ended: Recorder | undefined;
      await place(trial, served, (me) => () => {
        ended = me;
        const before = me.script.unbind;
        me.script.unbind = (again, reason) => {
          order.push(`unbind ${reason.kind}`);
          me.script.unbind = before ?? (() => {});
          void again;
        };
        const count = reactor.connectionCount;
        reactor.nextTick(() => order.push("asked for before"));
        end(me);
        assert.equal(me.state, "closing");
        reactor.nextTick(() => {
          order.push("asked for after");
          assert.equal(me.state, "closed");
          assert.ok(reactor.connectionCount < count, "it counts no more");
          void me.closed.then(() => order.push("closed"));
          const { remoteAddress } = me;
          assert.equal(remoteAddress === undefined, where === "postInit", "its address outlasts it");
          assert.equal(me.reconnect(served.at), true);
        });
        assert.deepEqual(order, []);
      });
      const client = ended as Recorder;
      await trial.until(() => client.lives === 2 && client.state === "open", "its second life");
      const kind = where === "postInit" ? "connect-aborted" : how === "abort" ? "local-abort" : "local-close";
      assert.deepEqual(order.slice(0, 3), ["asked for before", `unbind ${kind}`, "asked for after"]);
      client.sendData("hello");
      await trial.until(() => client.text.endsWith("hello"), "it works");
      client.closeConnection();
      await trial.allUnbound(client);
      for (const each of served.peers) each.closeConnection();
    });
  }
}

onEveryEngine("order of a local close", (engine) => {
  for (const [where, place] of Object.entries(PLACES)) defineFor(engine, where, place);

  engine.ruleOnEach("several closes of a turn unbind in the order of the calls, on both ends", async (trial) => {
    const order: string[] = [];
    const served = await trial.serve({ unbind: (me) => order.push(`server ${me.id}`) });
    const clients: Recorder[] = [];
    for (let at = 0; at < 6; at++) {
      const client = trial.dial(served, { unbind: () => order.push(`client ${at}`) });
      clients.push(client);
      await client.opened;
      await served.peer(at);
    }
    order.length = 0;
    for (const at of [4, 1, 5, 0]) {
      clients[at]?.closeConnection();
      trial.reactor.nextTick(() => order.push(`tick ${at}`));
    }
    await trial.turn();
    assert.deepEqual(
      order,
      [4, 1, 5, 0].flatMap((at) => [`client ${at}`, `tick ${at}`]),
    );
    const left = [served.peers[3], served.peers[2]];
    await trial.until(() => trial.reactor.connectionCount === 4, "the others have noticed");
    order.length = 0;
    for (const each of left) each?.abort();
    await trial.turn();
    assert.deepEqual(
      order.filter((entry) => entry.startsWith("server")),
      left.map((each) => `server ${each?.id}`),
    );
    await trial.allUnbound();
  });

  engine.ruleOnStreams("what the engine has to say meanwhile changes nothing", async (trial) => {
    const { client, server } = await trial.pair();
    for (const each of [client, server]) each.sendData("unread");
    server.abort();
    await trial.settle();
    client.closeConnection();
    await trial.allUnbound();
    const again = await trial.pair();
    again.server.sendData("x");
    again.server.closeConnection();
    again.client.closeConnection();
    // Out of the reactor's turn its next batch comes before its next ticks.
    await new Promise((resolve) => setTimeout(resolve, 5));
    again.client.closeConnection();
    await trial.allUnbound();
    assert.equal(again.client.kind, "local-close");
    assert.equal(again.server.kind, "local-close");
  });

  engine.ruleOnStreams("a handler's error ends the connection in its place among the ticks", async (trial) => {
    const order: string[] = [];
    trial.reactor.onError(() => order.push("onError"));
    const { client, server } = await trial.pair();
    server.script.unbind = (_, { kind }) => order.push(kind);
    server.script.receiveData = () => {
      trial.reactor.nextTick(() => order.push("before"));
      Promise.resolve().then(() => trial.reactor.nextTick(() => order.push("after")));
      throw new Error("from receiveData");
    };
    client.sendData("x");
    await trial.until(() => order.length === 4, "all of it");
    assert.deepEqual(order, ["onError", "before", "handler-error", "after"]);
    await trial.allUnbound();
  });

  engine.ruleOnStreams("closeConnectionAfterWriting with nothing to wait for is such a close", async (trial) => {
    const order: string[] = [];
    const { client, server } = await trial.pair({ listen: { allowHalfOpen: true } });
    server.script.unbind = (_, { kind }) => order.push(kind);
    server.script.receiveEnd = (me) => {
      me.closeConnectionAfterWriting();
      trial.reactor.nextTick(() => order.push("tick"));
    };
    client.halfClose();
    await trial.allUnbound();
    assert.deepEqual(order, ["local-close", "tick"]);
    assert.equal(client.kind, "peer-closed");
  });

  engine.ruleOnStreams("with something to send, or a peer that may still talk, it waits", async (trial) => {
    const { client, server } = await trial.pair({ listen: { allowHalfOpen: true } });
    server.script.receiveEnd = (me) => {
      me.sendData("the last words");
      me.closeConnectionAfterWriting();
    };
    client.halfClose();
    await trial.allUnbound();
    assert.equal(client.text, "the last words");
    assert.equal(server.kind, "local-close");
    const other = await trial.pair();
    let ticks = 0;
    other.client.closeConnectionAfterWriting();
    trial.reactor.nextTick(() => {
      ticks++;
      assert.equal(other.client.state, "closing");
    });
    await trial.allUnbound();
    assert.equal(ticks, 1);
    assert.equal(other.server.kind, "peer-closed");
  });

  engine.rule("over a stream of Node's it is the same", async (trial) => {
    const order: string[] = [];
    for (const how of ["closeConnection", "abort"] as const) {
      order.length = 0;
      const connection = trial.reactor.fromDuplex(new PassThrough(), Recorder, trial, {
        name: how,
        unbind: (_: Recorder, { kind }: { kind: string }) => order.push(kind),
      });
      await connection.opened;
      trial.reactor.nextTick(() => order.push("before"));
      connection[how]();
      trial.reactor.nextTick(() => order.push("after"));
      await trial.until(() => order.length === 3, "all of it");
      assert.deepEqual(order, ["before", how === "abort" ? "local-abort" : "local-close", "after"]);
    }
  });

  engine.ruleNeeding(
    "detach",
    "a close that overtakes a detach is what the connection ends with",
    async (trial) => {
      for (const where of ["in a callback", "outside"] as const) {
        const { client, server } = await trial.pair();
        if (where === "outside") await new Promise((resolve) => setTimeout(resolve, 1));
        else await trial.turn();
        const detached = server.detach();
        server.closeConnection();
        await assert.rejects(detached, { code: "ERR_EM_CLOSED" });
        await trial.allUnbound();
        assert.equal(server.kind, "local-close");
        assert.equal(client.kind, "peer-closed", "the descriptor is closed");
      }
    },
    async (trial) => {
      const { client, server } = await trial.pair();
      try {
        await server.detach();
      } finally {
        client.closeConnection();
        await trial.allUnbound();
      }
    },
  );

  engine.runRule("a stop unbinds the oldest first, listeners and connects under way included", async (trial) => {
    const order: number[] = [];
    trial.names.set("slow.test", () => new Promise(() => {}));
    await trial.reactor.run(async () => {
      const served = await trial.serve({}, {});
      const note = { unbind: (me: Recorder) => order.push(me.id) };
      for (let count = 0; count < 8; count++) {
        const client = trial.dial(count % 3 === 2 ? { host: "slow.test", port: 1 } : served, note);
        if (count % 3 !== 2) await client.opened;
        if (count === 3) {
          const gone = trial.dial(served);
          await gone.opened;
          gone.closeConnection();
          await gone.closed;
        }
      }
      order.length = 0;
      trial.reactor.stop();
    });
    assert.equal(order.length, 8);
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    );
  });
});
