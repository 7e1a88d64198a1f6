import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import {
  ChildProcess,
  Connection,
  FileTail,
  FileWatch,
  PeriodicTimer,
  ProcessWatch,
  Reactor,
  Resolver,
  Timer,
  TlsContext,
  TlsInfo,
  WatchedDescriptor,
} from "eventmachine";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { serverContext } from "../support/pki.js";
import { address, checkComplete, flag, type Member, nothing, optional, outcome, size, sweep, text } from "./sweep.js";

const SERVER_TLS = serverContext();

/** Not in the published types: for the toolbox alone, which asks nothing wrong of them. */
const INTERNAL = ["atEnd", "operationFailed", "ownTick"];

onEveryEngine("misuse of the other classes", (engine: EngineSuite) => {
  const noAddress = { host: "127.0.0.1", port: 1 };
  const reactorMembers: Record<string, Member> = {
    run: { calls: [[() => {}, {}]], gives: nothing },
    drain: { calls: [[1]], gives: (value) => size((value as { finished: number }).finished) },
    isRunning: { gives: flag },
    isStopping: { gives: flag },
    hasTurns: { gives: flag },
    ref: { calls: [], gives: (value) => value instanceof Reactor },
    unref: { calls: [], gives: (value) => value instanceof Reactor },
    addShutdownHook: { calls: [[() => {}]], gives: nothing },
    onError: { calls: [[() => {}]], gives: nothing },
    now: { calls: [], gives: size },
    currentTime: { gives: size },
    addTimer: { calls: [[60_000, () => {}]], gives: (value) => value instanceof Timer },
    addPeriodicTimer: { calls: [[60_000, () => {}]], gives: (value) => value instanceof PeriodicTimer },
    cancelTimer: { calls: [[{}]], gives: nothing },
    timerCount: { gives: size },
    nextTick: { calls: [[() => {}]], gives: nothing },
    schedule: { calls: [[() => {}]], gives: nothing },
    startServer: { calls: [[{ host: "127.0.0.1", port: 0 }, Connection]], gives: (value) => value instanceof Object },
    startProxy: {
      calls: [[{ listen: { host: "127.0.0.1", port: 0 }, backends: ["127.0.0.1:9"] }]],
      gives: (value) => value instanceof Object,
    },
    attachServer: { calls: [[{ fd: 999_999 }, Connection]], gives: () => false },
    stopServer: { calls: [[{}]], gives: () => false },
    openDatagramSocket: {
      calls: [[{ host: "127.0.0.1", port: 0 }], [{ host: "127.0.0.1", port: 0 }, Connection]],
      gives: (value) => value instanceof Connection,
    },
    connect: { calls: [[noAddress], [noAddress, Connection]], gives: (value) => value instanceof Connection },
    bindConnect: {
      calls: [[{ host: "127.0.0.1" }, noAddress, Connection]],
      gives: (value) => value instanceof Connection,
    },
    attach: { calls: [[{ fd: 999_999 }, Connection]], gives: (value) => value instanceof Connection },
    fromDuplex: {
      get calls() {
        return [[new PassThrough(), Connection]];
      },
      gives: (value) => value instanceof Connection,
    },
    watch: {
      calls: [
        [999_999, WatchedDescriptor],
        [{ fd: 999_999 }, WatchedDescriptor],
      ],
      gives: (value) => value instanceof WatchedDescriptor,
    },
    // The standard input of the test, whatever that is.
    openKeyboard: {
      calls: [[Connection], [{ raw: false }, Connection], [{ raw: true }]],
      gives: (value) => value instanceof Connection,
    },
    popen: { calls: [["true"], [["true"], ChildProcess]], gives: (value) => value instanceof ChildProcess },
    // With a callback it gives the child's number.
    system: {
      calls: [["true", { timeout: 60_000 }]],
      gives: (value) => size(typeof value === "object" ? (value as { status: { code: number } }).status.code : value),
    },
    watchFile: { calls: [["/etc/passwd", FileWatch]], gives: (value) => value instanceof FileWatch },
    tailFile: { calls: [["/etc/passwd", FileTail]], gives: (value) => value instanceof FileTail },
    watchProcess: { calls: [[process.pid, ProcessWatch]], gives: (value) => value instanceof ProcessWatch },
    connectionCount: { gives: size },
    resolver: { gives: (value) => value instanceof Resolver },
    defer: { calls: [[() => 1, () => {}, () => {}, {}]], gives: () => true },
    defersFinished: { gives: flag },
    threadpoolSize: { sets: [4], gives: size },
    threadpool: { gives: (value) => size((value as { threads: number }).threads) },
    stats: { calls: [], gives: (value) => size((value as { events: number }).events) },
  };

  async function sweepReactor(reactor: Reactor, apart: readonly string[] = []): Promise<string[]> {
    const faults: string[] = [];
    const members = Object.fromEntries(Object.entries(reactorMembers).filter(([name]) => !apart.includes(name)));
    await sweep(members, async (what, action, gives) => {
      const fault = await outcome(() => action(reactor as never), gives);
      if (fault !== undefined) faults.push(`${what} ${fault}`);
    });
    return faults;
  }

  engine.runRule("every member of a Reactor: idle, running, stopping and stopped", async (trial) => {
    checkComplete(Reactor.prototype, reactorMembers, ["stop", ...INTERNAL]);
    const reactor = trial.makeReactor();
    // Functions that it takes on the way, as hooks and as ticks, must not make the runs below fail.
    assert.deepEqual(await sweepReactor(reactor, ["run"]), []);
    let faults: string[] = [];
    await reactor.run(async () => {
      faults = await sweepReactor(reactor);
      reactor.stop();
      faults.push(...(await sweepReactor(reactor)));
    });
    assert.deepEqual(faults, []);
    assert.deepEqual(await sweepReactor(reactor, ["run"]), []);
  });

  engine.rule("every member of a Listener, open and closed", async (trial) => {
    const members: Record<string, Member> = {
      address: { gives: address },
      addresses: { gives: Array.isArray },
      port: { gives: size },
      connectionCount: { gives: size },
      acceptedCount: { gives: size },
      refusedCount: { gives: size },
      isListening: { gives: flag },
      setTlsContext: { calls: [[SERVER_TLS]], gives: nothing },
      close: { calls: [], gives: nothing },
      asyncDispose: { calls: [], gives: nothing },
    };
    for (const { listener } of [await trial.serve(), await trial.serve({}, { tls: SERVER_TLS })]) {
      checkComplete(Object.getPrototypeOf(listener) as object, members, []);
      for (let round = 0; round < 2; round++) {
        await sweep(members, async (what, action, gives) => {
          assert.equal(await outcome(() => action(listener as never), gives), undefined, what);
        });
      }
    }
  });

  engine.rule("every member of a TlsContext, served with and not, and of what a handshake came to", async (trial) => {
    const members: Record<string, Member> = {
      certificates: { gives: Array.isArray },
      sessionCount: { gives: size },
      setTicketKeys: { calls: [[[Buffer.alloc(48)]], [[Buffer.alloc(48), Buffer.alloc(48)]]], gives: nothing },
      setOcspResponse: { calls: [[Buffer.from([0x30, 0x03])], [undefined]], gives: nothing },
    };
    checkComplete(TlsContext.prototype, members, []);
    const context = serverContext();
    for (let round = 0; round < 2; round++) {
      await sweep(members, async (what, action, gives) => {
        assert.equal(await outcome(() => action(context as never), gives), undefined, what);
      });
      context.setTicketKeys([Buffer.alloc(48)]);
      await trial.serve({}, { tls: context });
    }
    const { client } = await trial.over("tls").pair();
    const info: Record<string, Member> = {
      isAuthorized: { gives: flag },
      peerCertificate: { gives: optional((value) => text((value as { subject: unknown }).subject)) },
      peerCertificates: { gives: Array.isArray },
    };
    checkComplete(TlsInfo.prototype, info, []);
    await sweep(info, async (what, action, gives) => {
      assert.equal(await outcome(() => action(client.tls as never), gives), undefined, what);
    });
  });

  engine.rule("every member of a Timer: waiting, fired, cancelled, and in its own callback", async (trial) => {
    const members: Record<string, Member> = {
      active: { gives: flag },
      cancel: { calls: [], gives: nothing },
      dispose: { calls: [], gives: nothing },
      ref: { calls: [], gives: (value) => value instanceof Timer },
      unref: { calls: [], gives: (value) => value instanceof Timer },
      hasRef: { calls: [], gives: flag },
    };
    const check = (timer: Timer, table: Record<string, Member>) =>
      sweep(table, async (what, action, gives) => {
        assert.equal(await outcome(() => action(timer as never), gives), undefined, what);
      });
    const { reactor } = trial;
    const fired = reactor.addTimer(0, () => {});
    const cancelled = reactor.addTimer(1, () => {});
    cancelled.cancel();
    await trial.sleep(3);
    for (const timer of [fired, cancelled, reactor.addTimer(60_000, () => {})]) await check(timer, members);
    const periodic = { ...members, interval: { sets: [0, 5, 60_000], gives: size } };
    await check(
      reactor.addPeriodicTimer(60_000, () => {}),
      periodic,
    );
    await new Promise<void>((resolve, reject) => {
      const inside = reactor.addPeriodicTimer(1, () => check(inside, periodic).then(resolve, reject));
    });
  });
});
