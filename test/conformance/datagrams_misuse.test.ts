import assert from "node:assert/strict";
import { inspect } from "node:util";
import { Connection, DatagramSocket, EventMachineError, LineText2, toDuplex, toWeb } from "eventmachine";
import { pattern } from "../support/bytes.js";
import { DatagramRecorder, type DatagramScript, datagramRules, openDatagrams, placeOf } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";
import {
  type Check,
  checkComplete,
  commonMembers,
  flag,
  type Member,
  nothing,
  size,
  sweep,
  sweepState,
} from "./sweep.js";

/** What only a stream can do: each with right arguments. */
const STREAM_ONLY: Record<string, (socket: DatagramRecorder) => unknown> = {
  sendFileData: (socket) => socket.sendFileData("/dev/null"),
  streamFileData: (socket) => socket.streamFileData("/dev/null"),
  startTls: (socket) => socket.startTls(),
  secured: (socket) => socket.secured,
  asyncIterator: (socket) => socket[Symbol.asyncIterator](),
  halfClose: (socket) => socket.halfClose(),
  detach: (socket) => socket.detach(),
  reconnect: (socket) => socket.reconnect({ host: "127.0.0.1", port: 1 }),
  pendingConnectTimeout: (socket) => {
    socket.pendingConnectTimeout = 1000;
  },
  setWaterMarks: (socket) => socket.setWaterMarks(1000),
  outboundLimit: (socket) => {
    socket.outboundLimit = 1000;
  },
  setNoDelay: (socket) => socket.setNoDelay(),
  enableKeepalive: (socket) => socket.enableKeepalive(),
  disableKeepalive: (socket) => socket.disableKeepalive(),
  setTcpUserTimeout: (socket) => socket.setTcpUserTimeout(1000),
  peerCredentials: (socket) => socket.peerCredentials(),
  toDuplex: (socket) => toDuplex(socket),
  toWeb: (socket) => toWeb(socket),
};

const CALLBACKS = ["receiveData", "sendFailed"];
const never: Check = () => false;

/** Every member of a datagram socket, those of Connection too; `gives: never` is what must throw. */
function members(at: { host: string; port: number }): Record<string, Member> {
  return {
    ...commonMembers(),
    ...ownMembers(at),
    sendFileData: { calls: [["/dev/null"]], gives: never },
    streamFileData: { calls: [["/dev/null", {}]], gives: never },
    startTls: { calls: [[{}]], gives: never },
    secured: { gives: never },
    tls: { gives: nothing },
    peerCertificate: { gives: nothing },
    cipher: { gives: nothing },
    protocol: { gives: nothing },
    alpnProtocol: { gives: nothing },
    sniHostname: { gives: nothing },
    isSessionReused: { gives: nothing },
    asyncIterator: { calls: [], gives: never },
    halfClose: { calls: [], gives: never },
    detach: { calls: [], gives: never },
    reconnect: { calls: [[at]], gives: never },
    pendingConnectTimeout: { gives: size },
    setWaterMarks: { calls: [[1000], [1000, 10]], gives: never },
    outboundLimit: { gives: size },
    setNoDelay: { calls: [[true]], gives: never },
    enableKeepalive: { calls: [[{}]], gives: never },
    disableKeepalive: { calls: [], gives: never },
    setTcpUserTimeout: { calls: [[1000]], gives: never },
    getSockOpt: { calls: [[1, 7, 4]], gives: Buffer.isBuffer },
    setSockOpt: {
      calls: [
        [1, 7, 100_000],
        [1, 7, new Uint8Array([0, 0, 1, 0])],
      ],
      gives: nothing,
    },
    peerCredentials: { calls: [], gives: never },
  };
}

function ownMembers(at: { host: string; port: number }): Record<string, Member> {
  const group = "239.77.9.9";
  const options = { interface: "127.0.0.1" };
  return {
    sendDatagram: {
      calls: [
        ["data", at],
        [pattern(10), at],
        [["a", pattern(3)], at],
        ["", { ...at, family: "IPv4" }],
      ],
      gives: flag,
    },
    datagramInfo: { gives: nothing },
    counters: { gives: (value) => size((value as { received: unknown }).received) },
    setBroadcast: { calls: [[true], [false]], gives: nothing },
    setTtl: { calls: [[64]], gives: nothing },
    setMulticastTtl: { calls: [[1]], gives: nothing },
    setMulticastLoop: { calls: [[true]], gives: nothing },
    setMulticastInterface: { calls: [["127.0.0.1"]], gives: nothing },
    joinMulticast: { calls: [[group, options]], gives: nothing },
    leaveMulticast: { calls: [[group, options]], gives: nothing },
  };
}

type Reach = (trial: Trial, use: (socket: DatagramRecorder) => void) => Promise<void>;

async function opened(trial: Trial, script: DatagramScript = {}, options: object = {}): Promise<DatagramRecorder> {
  return openDatagrams(trial, { onError: () => true, ...script }, options);
}

const STATES: Record<string, Reach> = {
  "in postInit": async (trial, use) => void (await opened(trial, { postInit: use })),
  open: async (trial, use) => use(await opened(trial)),
  paused: async (trial, use) => {
    const socket = await opened(trial);
    socket.pause();
    use(socket);
  },
  connected: async (trial, use) => {
    const peer = await opened(trial);
    use(await opened(trial, {}, { remote: placeOf(peer) }));
    peer.closeConnection();
  },
  "in receiveData": async (trial, use) => {
    const socket = await opened(trial, { receiveData: use });
    socket.sendDatagram("x", placeOf(socket));
  },
  "in sendFailed": async (trial, use) => {
    const socket = await opened(trial, { sendFailed: use });
    socket.sendDatagram(Buffer.alloc(70_000), placeOf(socket));
  },
  "waiting for a name": async (trial, use) => {
    const socket = await opened(trial);
    socket.sendDatagram("x", { host: "never.test", port: 9 });
    use(socket);
  },
  closing: async (trial, use) => {
    const socket = await opened(trial);
    socket.closeConnection();
    use(socket);
  },
  "closing after writing": async (trial, use) => {
    const socket = await opened(trial);
    socket.sendDatagram("x", { host: "never.test", port: 9 });
    socket.closeConnectionAfterWriting();
    use(socket);
  },
  "in unbind": async (trial, use) => (await opened(trial, { unbind: use })).closeConnection(),
  closed: async (trial, use) => {
    const socket = await opened(trial);
    socket.closeConnection();
    await socket.closed;
    use(socket);
  },
};

async function sweepSockets(trial: Trial, reach: Reach): Promise<{ faults: string[]; uses: number }> {
  trial.names.set("never.test", () => new Promise(() => {}));
  return sweepState<DatagramRecorder>(trial, {
    members: members({ host: "127.0.0.1", port: 9 }),
    reach: (use) => reach(trial, use),
    most: 50,
  });
}

onEveryEngine("misuse of datagram sockets", (engine: EngineSuite) => {
  datagramRules(engine, () => {
    engine.rule("the sweep knows every member of DatagramSocket", async () => {
      checkComplete(DatagramSocket.prototype, ownMembers({ host: "127.0.0.1", port: 1 }), CALLBACKS);
    });

    for (const [state, reach] of Object.entries(STATES)) {
      engine.rule(
        `every member of a datagram socket ${state}, with right and wrong arguments`,
        async (trial) => {
          const { faults, uses } = await sweepSockets(trial, reach);
          assert.deepEqual(faults, []);
          assert.ok(uses > 400, `${uses} uses`);
        },
        { limit: 150_000 },
      );
    }

    engine.rule(
      "what only a stream can do throws ERR_EM_NOT_A_STREAM, and the docs of the class name it",
      async (trial) => {
        const socket = await openDatagrams(trial);
        for (const [name, use] of Object.entries(STREAM_ONLY)) {
          await assert.rejects(async () => await use(socket), { code: "ERR_EM_NOT_A_STREAM" }, name);
        }
        assert.equal(socket.state, "open");
        assert.equal(socket.pendingConnectTimeout, 0);
        assert.equal(socket.isSecure, false);
      },
    );

    engine.rule("what only datagrams have throws ERR_EM_NOT_A_DATAGRAM_SOCKET on a stream", async (trial) => {
      const served = await trial.serve();
      const at = served.at as { host: string; port: number };
      const stream = trial.reactor.connect(at, DatagramSocket);
      await stream.opened;
      await sweep(ownMembers(at), async (what, action) => {
        if (/\(\)$/.test(what)) return;
        try {
          await action(stream as never);
          assert.fail(`${what} did not throw`);
        } catch (error) {
          assert.match((error as { code: string }).code, /^ERR_EM_(NOT_A_DATAGRAM_SOCKET|INVALID_ARGUMENT)$/, what);
        }
      });
      assert.throws(() => stream.sendDatagram("x", at), { code: "ERR_EM_NOT_A_DATAGRAM_SOCKET" });
      assert.throws(() => stream.counters, { code: "ERR_EM_NOT_A_DATAGRAM_SOCKET" });
      stream.closeConnection();
    });

    engine.rule("a class that needs a stream of bytes fails for its own socket, and for no other", async (trial) => {
      const errors: unknown[] = [];
      trial.reactor.onError((error) => errors.push(error));
      const socket = await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, LineText2);
      const other = await openDatagrams(trial);
      other.sendDatagram("a line\n", placeOf(socket));
      await trial.settle();
      for (const error of errors) assert.ok(error instanceof EventMachineError, inspect(error));
      assert.equal(other.state, "open");
    });

    const wrong: readonly (readonly [string, object])[] = [
      ["no object", undefined as unknown as object],
      ["no port", { host: "127.0.0.1" }],
      ["a port that is none", { port: 65_536 }],
      ["a host that is none", { host: "not a host", port: 0 }],
      ["an unknown option", { port: 0, prot: 1 }],
      ["a path and a port", { path: "/tmp/x", port: 0 }],
      ["a mode without a file", { path: "", mode: 0o600 }],
      ["a remote of another kind", { port: 0, remote: { path: "/tmp/x" } }],
      ["a remote without a port", { port: 0, remote: { host: "127.0.0.1" } }],
      ["a remote at port 0", { port: 0, remote: { host: "127.0.0.1", port: 0 } }],
      ["a flag that is none", { port: 0, broadcast: 1 }],
      ["a limit that is none", { port: 0, outboundLimit: -1 }],
      ["a deadline that is none", { port: 0, commInactivityTimeout: "1" }],
      ["a discovery that is none", { port: 0, mtuDiscovery: "do" }],
      ["a buffer that is none", { port: 0, receiveBufferSize: 0 }],
      ["an onConnection that is none", { port: 0, onConnection: 1 }],
    ];
    engine.rule("bad addresses, options and handlers reject with ArgumentError, and nothing is made", async (trial) => {
      let made = 0;
      class Never extends Connection {
        constructor() {
          super();
          made++;
        }
      }
      for (const [what, options] of wrong) {
        const opening = trial.reactor.openDatagramSocket(options as never, Never);
        await assert.rejects(opening, { code: "ERR_EM_INVALID_ARGUMENT" }, what);
      }
      const address = { host: "127.0.0.1", port: 0 };
      for (const handler of [class {}, () => {}, {}, "Connection", null]) {
        const opening = trial.reactor.openDatagramSocket(address, handler as never);
        await assert.rejects(opening, { code: "ERR_EM_INVALID_HANDLER" });
      }
      assert.equal(made, 0);
      assert.equal(trial.reactor.connectionCount, 0);
      assert.equal((await trial.reactor.openDatagramSocket(address, DatagramRecorder)).state, "open");
    });

    engine.rule("destinations that are none are ArgumentErrors, at the call", async (trial) => {
      const socket = await openDatagrams(trial);
      const destinations = [
        undefined,
        null,
        "127.0.0.1:9",
        {},
        { host: "127.0.0.1" },
        { port: 9 },
        { host: "127.0.0.1", port: 0 },
      ];
      for (const destination of [
        ...destinations,
        { host: "a b", port: 9 },
        { path: "/tmp/x" },
        { path: "", port: 9 },
      ]) {
        assert.throws(() => socket.sendDatagram("x", destination as never), { code: "ERR_EM_INVALID_ARGUMENT" });
      }
      assert.deepEqual(socket.counters.sent, 0);
    });
  });
});
