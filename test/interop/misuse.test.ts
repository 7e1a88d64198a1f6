import assert from "node:assert/strict";
import { once } from "node:events";
import { inspect } from "node:util";
import { Connection, type ConnectionDuplex, EventMachineError, toDuplex } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

const WRONG: readonly unknown[] = [
  null,
  Number.NaN,
  -1,
  1.5,
  Number.POSITIVE_INFINITY,
  2 ** 60,
  7n,
  "text",
  Symbol("symbol"),
  [],
  () => {},
  Object.create(null),
];

type Use = (duplex: ConnectionDuplex) => unknown;

/** What a socket of node:net has beyond a Duplex, and right arguments for it. */
const MEMBERS: Record<string, Use> = {
  destroySoon: (duplex) => duplex.destroySoon(),
  resetAndDestroy: (duplex) => duplex.resetAndDestroy(),
  connect: (duplex) => duplex.connect(80, "example.com", () => {}),
  setTimeout: (duplex) => [duplex.setTimeout(1000, () => {}), duplex.setTimeout(0)],
  setNoDelay: (duplex) => [duplex.setNoDelay(false), duplex.setNoDelay()],
  setKeepAlive: (duplex) => [duplex.setKeepAlive(true, 1500), duplex.setKeepAlive()],
  ref: (duplex) => duplex.ref(),
  unref: (duplex) => duplex.unref(),
  address: (duplex) => duplex.address(),
  connecting: (duplex) => duplex.connecting,
  pending: (duplex) => duplex.pending,
  readyState: (duplex) => duplex.readyState,
  bytesRead: (duplex) => duplex.bytesRead,
  bytesWritten: (duplex) => duplex.bytesWritten,
  bufferSize: (duplex) => duplex.bufferSize,
  remoteAddress: (duplex) => duplex.remoteAddress,
  remotePort: (duplex) => duplex.remotePort,
  remoteFamily: (duplex) => duplex.remoteFamily,
  localAddress: (duplex) => duplex.localAddress,
  localPort: (duplex) => duplex.localPort,
  localFamily: (duplex) => duplex.localFamily,
  autoSelectFamilyAttemptedAddresses: (duplex) => duplex.autoSelectFamilyAttemptedAddresses,
  connection: (duplex) => duplex.connection,
};

function dial(trial: Trial, port: number): ConnectionDuplex {
  const duplex = toDuplex(trial.reactor.connect({ host: "127.0.0.1", port }));
  duplex.on("error", () => {});
  return duplex;
}

const STATES: Record<string, (trial: Trial, port: number, dead: number) => Promise<ConnectionDuplex>> = {
  connecting: async (trial, port) => dial(trial, port),
  open: async (trial, port) => {
    const duplex = dial(trial, port);
    await once(duplex, "connect");
    return duplex;
  },
  "with its output ended": async (trial, port) => {
    const duplex = dial(trial, port);
    await once(duplex, "connect");
    duplex.end();
    return duplex;
  },
  destroyed: async (trial, port) => {
    const duplex = dial(trial, port);
    await once(duplex, "connect");
    duplex.destroy();
    return duplex;
  },
  closed: async (trial, port) => {
    const duplex = dial(trial, port);
    duplex.destroy();
    await new Promise((resolve) => duplex.once("close", resolve));
    return duplex;
  },
  refused: async (trial, _port, dead) => {
    const duplex = dial(trial, dead);
    await new Promise((resolve) => duplex.once("close", resolve));
    return duplex;
  },
};

onEveryEngine("misuse of a Duplex", (engine) => {
  for (const [state, reach] of Object.entries(STATES)) {
    engine.rule(`every member of a stream that is ${state} gives a value or a typed error`, async (trial) => {
      const served = await trial.serve();
      const { port } = served.at as { port: number };
      const dead = await trial.deadPort();
      const faults: string[] = [];
      for (const [name, use] of Object.entries(MEMBERS)) {
        const duplex = await reach(trial, port, dead);
        try {
          use(duplex);
        } catch (error) {
          if (!(error instanceof EventMachineError)) faults.push(`${name} threw ${inspect(error)}`);
        }
        duplex.destroy();
      }
      assert.deepEqual(faults, []);
      for (const peer of served.peers) peer.closeConnection();
      await trial.allUnbound();
    });
  }

  engine.rule("the table names every member the class adds", async (trial) => {
    const duplex = dial(trial, await trial.deadPort());
    const has = Reflect.ownKeys(Object.getPrototypeOf(duplex) as object)
      .map(String)
      .filter((name) => !["constructor", "tlsLife"].includes(name) && !name.startsWith("_")); // tlsLife is protected.
    assert.deepEqual(has.sort(), Object.keys(MEMBERS).sort());
    duplex.destroy();
  });

  engine.rule("wrong connections, options and arguments are refused", async (trial) => {
    const refused = (action: () => unknown, code: string): void => {
      assert.throws(action, (error) => error instanceof EventMachineError && error.code === code, String(action));
    };
    const served = await trial.serve();
    for (const wrong of [undefined, ...WRONG]) {
      refused(() => toDuplex(wrong as Connection), "ERR_EM_INVALID_ARGUMENT");
      const connection = trial.dial(served);
      // An option that is not there is one that was left out.
      if (wrong !== undefined) {
        refused(() => toDuplex(connection, { allowHalfOpen: wrong as boolean }), "ERR_EM_INVALID_ARGUMENT");
        refused(() => toDuplex(connection, { highWaterMark: wrong as number }), "ERR_EM_INVALID_ARGUMENT");
      }
      const duplex = toDuplex(connection);
      if (wrong !== 1.5) refused(() => duplex.setTimeout(wrong as number), "ERR_EM_INVALID_ARGUMENT");
      if (typeof wrong !== "function" && wrong !== undefined) {
        refused(() => duplex.setTimeout(1, wrong as () => void), "ERR_EM_INVALID_ARGUMENT");
      }
      duplex.destroy();
    }
    const connection = trial.dial(served);
    const duplex = toDuplex(connection);
    refused(() => toDuplex(connection), "ERR_EM_CLAIMED");
    refused(() => connection[Symbol.asyncIterator](), "ERR_EM_CLAIMED");
    duplex.destroy();
    await connection.closed;
    refused(() => toDuplex(connection), "ERR_EM_CLOSED");
    refused(() => duplex.connect(), "ERR_EM_CLOSED");
    class Eager extends Connection {
      constructor() {
        super();
        refused(() => toDuplex(this), "ERR_EM_NOT_ATTACHED");
      }
    }
    const eager = trial.reactor.connect(served.at as { host: string; port: number }, Eager);
    eager.closeConnection();
    await eager.closed;
    await trial.allUnbound();
  });

  engine.rule("a listener of the stream that throws is the connection's error, and ends both", async (trial) => {
    const reported: unknown[] = [];
    trial.reactor.onError((error) => reported.push(error));
    const served = await trial.serve({ postInit: (me) => me.sendData("x") });
    const duplex = dial(trial, (served.at as { port: number }).port);
    const error = new Error("on purpose");
    duplex.on("data", () => {
      throw error;
    });
    await new Promise((resolve) => duplex.once("close", resolve));
    assert.deepEqual(reported, [error]);
    assert.equal(duplex.connection.closeReason?.kind, "handler-error");
    assert.equal(duplex.errored, error);
    await trial.allUnbound();
  });

  engine.rule("after reconnect the connection has a new life, and can be taken again", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    const at = served.at as { host: string; port: number };
    const connection = trial.reactor.connect(at);
    for (let life = 0; life < 3; life++) {
      const duplex = toDuplex(connection);
      duplex.end(`life ${life}`);
      const chunks: Buffer[] = [];
      for await (const chunk of duplex) chunks.push(chunk as Buffer);
      assert.equal(Buffer.concat(chunks).toString(), `life ${life}`);
      await connection.closed;
      if (life < 2) connection.reconnect(at);
    }
    await trial.allUnbound();
  });

  engine.rule("stop and drain end the stream", async (trial) => {
    const served = await trial.serve();
    const duplex = dial(trial, (served.at as { port: number }).port);
    await once(duplex, "connect");
    const closed = new Promise((resolve) => duplex.once("close", resolve));
    const counts = await trial.reactor.drain(20);
    assert.equal(counts.aborted, 2);
    assert.equal(await closed, false);
    assert.equal(duplex.connection.closeReason?.kind, "drain-deadline");
    await trial.allUnbound();
  });
});
