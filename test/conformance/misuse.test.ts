import assert from "node:assert/strict";
import { closeSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { Connection, TlsInfo } from "eventmachine";
import { pattern } from "../support/bytes.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Recorder, Script } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";
import {
  checkComplete,
  commonMembers,
  flag,
  type Member,
  nothing,
  optional,
  outcome,
  size,
  sweep,
  sweepState,
  text,
} from "./sweep.js";

const CALLBACKS = [
  "postInit",
  "connectionCompleted",
  "receiveData",
  "receiveEnd",
  "drained",
  "proxyTargetUnbound",
  "proxyCompleted",
  "sslHandshakeCompleted",
  "sslVerifyPeer",
  "shutdownRequested",
  "deadlineReached",
  "isIdle",
  "unbind",
  "onError",
];

const SERVER_TLS = serverContext();
const CLIENT_TLS = clientContext();

function connectionMembers(at: { host: string; port: number }, file: string): Record<string, Member> {
  return {
    ...commonMembers(),
    closed: { gives: (value) => text((value as { kind: unknown }).kind) },
    sendFileData: { calls: [[file]], gives: size },
    streamFileData: { calls: [[file, { httpChunks: true }]], gives: size },
    startTls: {
      calls: [
        [CLIENT_TLS],
        [SERVER_TLS],
        [{ context: CLIENT_TLS, role: "client", serverName: "server.test", verifyName: "server.test" }],
        [{ context: SERVER_TLS, role: "server", received: pattern(3) }],
      ],
      gives: nothing,
    },
    secured: { gives: (value) => value instanceof TlsInfo },
    tls: { gives: optional((value) => value instanceof TlsInfo) },
    peerCertificate: { gives: optional((value) => text((value as { subject: unknown }).subject)) },
    cipher: { gives: optional((value) => text((value as { name: unknown }).name)) },
    protocol: { gives: optional(text) },
    alpnProtocol: { gives: optional(text) },
    sniHostname: { gives: optional(text) },
    isSessionReused: { gives: optional(flag) },
    via: { gives: optional((value) => text((value as { header: { command: unknown } }).header.command)) },
    proxyIncomingTo: { calls: [[new Connection(), { bufferSize: 1000, length: 1000 }]], gives: nothing },
    stopProxying: { calls: [], gives: nothing },
    proxiedBytes: { gives: size },
    asyncIterator: { calls: [], gives: (value) => typeof (value as { next: unknown }).next === "function" },
    halfClose: { calls: [], gives: nothing },
    detach: {
      calls: [],
      gives: (value) => {
        closeSync((value as { fd: number }).fd);
        return true;
      },
    },
    reconnect: { calls: [[at]], gives: flag },
    asyncDispose: { calls: [], gives: nothing },
    pendingConnectTimeout: { sets: [0, 60_000], gives: size },
    setWaterMarks: { calls: [[1000], [1000, 10]], gives: nothing },
    outboundLimit: { sets: [0, 1000, Number.POSITIVE_INFINITY], gives: size },
    setNoDelay: { calls: [[true], [false]], gives: nothing },
    enableKeepalive: { calls: [[{}], [{ idle: 1000 }], [{ interval: 1000, count: 2 }]], gives: nothing },
    disableKeepalive: { calls: [], gives: nothing },
    setTcpUserTimeout: { calls: [[1000]], gives: nothing },
    getSockOpt: { calls: [[6, 1, 4]], gives: Buffer.isBuffer },
    setSockOpt: {
      calls: [
        [6, 1, 1],
        [6, 1, new Uint8Array([1, 0, 0, 0])],
      ],
      gives: nothing,
    },
    peerCredentials: { calls: [], gives: (value) => size((value as { pid: number }).pid) },
  };
}

type Use = (connection: Recorder) => void;
/** Brings a fresh connection to a state, and uses it there. */
type Reach = (world: World, use: Use) => void | Promise<void>;

interface World {
  readonly trial: Trial;
  readonly at: { host: string; port: number };
  /** A server that is told what to do by the first byte: see `SERVER`. */
  dial(script?: Script, options?: object): Recorder;
  /** The same over TLS. */
  dialTls(script?: Script): Recorder;
}

/** What the peer does when it is told one of these. */
const SERVER: Script = {
  keep: false,
  receiveData: (me, data) => {
    const word = data.toString("latin1", 0, 1);
    if (word === "e") me.sendData("echo");
    else if (word === "f") me.halfClose();
    else if (word === "p") me.pause();
  },
};

async function opened(world: World, script?: Script, options?: object): Promise<Recorder> {
  const connection = world.dial(script, options);
  await connection.opened;
  return connection;
}

async function ended(world: World): Promise<Recorder> {
  const connection = await opened(world);
  connection.closeConnection();
  await connection.closed;
  return connection;
}

const STATES: Record<string, Reach> = {
  "in postInit": (world, use) => void world.dial({ postInit: use }),
  connecting: (world, use) => use(world.dial()),
  open: async (world, use) => use(await opened(world)),
  paused: async (world, use) => {
    const connection = await opened(world);
    connection.pause();
    use(connection);
  },
  "half-closed": async (world, use) => {
    const connection = await opened(world, {}, { allowHalfOpen: true });
    connection.halfClose();
    use(connection);
  },
  "with the peer's FIN": async (world, use) => {
    const connection = await opened(world, {}, { allowHalfOpen: true });
    connection.sendData("f");
    await world.trial.until(() => connection.ends === 1, "the FIN");
    use(connection);
  },
  "with unsent output": async (world, use) => {
    const connection = await opened(world, {}, { highWaterMark: 1, lowWaterMark: 0 });
    connection.sendData("x");
    use(connection);
  },
  closing: async (world, use) => {
    const connection = await opened(world);
    connection.closeConnection();
    use(connection);
  },
  "closing after writing": async (world, use) => {
    const connection = await opened(world);
    connection.sendData("x");
    connection.closeConnectionAfterWriting();
    use(connection);
  },
  aborting: async (world, use) => {
    const connection = await opened(world);
    connection.abort();
    use(connection);
  },
  closed: async (world, use) => use(await ended(world)),
  "never open": async (world, use) => {
    const connection = world.dial();
    connection.closeConnection();
    await connection.closed;
    use(connection);
  },
  "in connectionCompleted": (world, use) => void world.dial({ connectionCompleted: use }),
  "in receiveData": (world, use) => {
    world.dial({ connectionCompleted: (me) => me.sendData("e"), receiveData: use });
  },
  "in receiveEnd": (world, use) => {
    world.dial({ connectionCompleted: (me) => me.sendData("f"), receiveEnd: use }, { allowHalfOpen: true });
  },
  "in drained": (world, use) => {
    world.dial({ connectionCompleted: (me) => me.sendData("x"), drained: use }, { highWaterMark: 1, lowWaterMark: 0 });
  },
  "in unbind": (world, use) => {
    world.dial({ connectionCompleted: (me) => me.closeConnection(), unbind: use });
  },
  "in deadlineReached": (world, use) => void world.dial({ deadlineReached: use }, { lifetimeTimeout: 30 }),
  "in its TLS handshake": async (world, use) => {
    const connection = world.dialTls();
    await connection.opened;
    use(connection);
  },
  "secured by TLS": async (world, use) => {
    const connection = world.dialTls();
    await connection.secured;
    use(connection);
  },
  "in sslHandshakeCompleted": (world, use) => void world.dialTls({ sslHandshakeCompleted: use }),
  "in sslVerifyPeer": (world, use) => void world.dialTls({ sslVerifyPeer: use }),
  "refused by TLS": async (world, use) => {
    const connection = world.dialTls({ sslVerifyPeer: () => false });
    await connection.closed;
    use(connection);
  },
  "in onError": (world, use) => {
    const connectionCompleted = () => {
      throw new Error("on purpose");
    };
    const onError = (me: Recorder) => {
      use(me);
      return true;
    };
    world.dial({ connectionCompleted, onError });
  },
};

/** What only settles at the end. */
const ENDS = /^(closed|opened|secured|asyncDispose|detach|sendFileData|streamFileData)/;

async function sweepStreams(trial: Trial, reach: Reach): Promise<{ faults: string[]; uses: number }> {
  const served = await trial.serve(SERVER, { allowHalfOpen: true });
  const at = served.at as { host: string; port: number };
  const { at: tlsAt } = await trial.serve(SERVER, { allowHalfOpen: true, tls: SERVER_TLS });
  const file = trial.path("file");
  writeFileSync(file, pattern(100));
  const world: World = {
    trial,
    at,
    dial: (script = {}, options = {}) => trial.dial(at, script, options),
    dialTls: (script = {}) => trial.dial(tlsAt, script, { tls: CLIENT_TLS }),
  };
  const result = await sweepState<Recorder>(trial, {
    members: connectionMembers(at, file),
    reach: (use) => reach(world, use),
    most: 100,
    used: (what, connection) => {
      if (ENDS.test(what)) trial.reactor.addTimer(20, () => connection.closeConnection());
    },
  });
  for (const recorder of trial.recorders) recorder.closeConnection();
  return result;
}

onEveryEngine("misuse", (engine: EngineSuite) => {
  engine.rule("the sweep knows every member of Connection", async (trial) => {
    checkComplete(Connection.prototype, connectionMembers({ host: "127.0.0.1", port: 1 }, ""), CALLBACKS);
    assert.ok(trial.reactor.isRunning);
  });

  for (const [state, reach] of Object.entries(STATES)) {
    engine.rule(
      `every member of a connection ${state}, with right and wrong arguments`,
      async (trial) => {
        const { faults, uses } = await sweepStreams(trial, reach);
        assert.deepEqual(faults, []);
        assert.ok(uses > 400, `${uses} uses`);
      },
      { limit: 150_000 },
    );
  }

  engine.rule(
    "every member of an accepted connection",
    async (trial) => {
      const accepted: Reach = async (world, use) => {
        const served = await world.trial.serve();
        world.trial.dial(served);
        use(await served.peer());
        void served.listener.close();
      };
      assert.deepEqual((await sweepStreams(trial, accepted)).faults, []);
    },
    { limit: 150_000 },
  );

  engine.rule("every member of a connection in its constructor throws ERR_EM_NOT_ATTACHED", async (trial) => {
    const members = connectionMembers({ host: "127.0.0.1", port: 1 }, "/dev/null");
    const faults: string[] = [];
    const used: Promise<void>[] = [];
    class Eager extends Connection {
      constructor() {
        super();
        void sweep(members, async (what, action) => {
          used.push(
            (async () => {
              try {
                await action(this as never);
                if (!/^(id|state)$/.test(what)) faults.push(`${what} did not throw`);
              } catch (error) {
                const { code } = error as { code?: string };
                if (code !== "ERR_EM_NOT_ATTACHED" && code !== "ERR_EM_INVALID_ARGUMENT")
                  faults.push(`${what}: ${inspect(error)}`);
              }
            })(),
          );
        });
      }
    }
    new Eager();
    await trial.settle();
    await Promise.all(used);
    assert.deepEqual(faults, []);
    assert.ok(used.length > 400);
  });

  engine.runRule("every member of a connection of a reactor that has stopped", async (trial) => {
    const connections: Recorder[] = [];
    let members: Record<string, Member> = {};
    await trial.reactor.run(async () => {
      const { client, server, served } = await trial.pair();
      members = connectionMembers(served.at as { host: string; port: number }, "/dev/null");
      connections.push(client, server);
      trial.reactor.stop();
    });
    const faults: string[] = [];
    for (const connection of connections) {
      await sweep(members, async (what, action, gives) => {
        const fault = await outcome(() => action(connection as never), gives);
        if (fault !== undefined) faults.push(`${what} ${fault}`);
      });
    }
    assert.deepEqual(faults, []);
  });
});
