import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import {
  ChildProcess,
  type CloseReason,
  Deferrable,
  DNS,
  FileTail,
  FileWatch,
  ProcessWatch,
  WatchedDescriptor,
} from "eventmachine";
import { Fifo } from "../support/fifo.js";
import { onEveryEngine } from "../support/harness.js";
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

const callback: Member = { calls: [], gives: nothing };
const reason = optional((value) => text((value as CloseReason).kind));
const status = optional((value) => flag((value as { isSuccess: unknown }).isSuccess));

const CHILD: Record<string, Member> = {
  receiveError: callback,
  pid: { gives: optional(size) },
  exitStatus: { gives: status },
  kill: { calls: [["SIGCONT"]], gives: flag },
};
const WATCHED: Record<string, Member> = {
  notifyReadable: callback,
  notifyWritable: callback,
  notifiesReadable: { sets: [true, false], gives: flag },
  notifiesWritable: { sets: [true, false], gives: flag },
  fd: { gives: size },
  detach: { calls: [], gives: (value) => size((value as { fd: unknown }).fd) },
};
/** Of what is watched beside descriptors. */
const WATCH: Record<string, Member> = {
  postInit: callback,
  onError: { calls: [], gives: (value) => value === false },
  unbind: callback,
  isWatching: { gives: flag },
  closeReason: { gives: reason },
  stopWatching: callback,
};
const FILE: Record<string, Member> = {
  fileModified: callback,
  fileAttributesChanged: callback,
  fileCreated: callback,
  fileMoved: callback,
  fileDeleted: callback,
  path: { gives: text },
};
const PROCESS: Record<string, Member> = { processExited: callback, pid: { gives: size } };
const TAIL: Record<string, Member> = {
  ...WATCH,
  receiveLine: callback,
  positions: { gives: (value) => typeof value === "object" },
  pause: callback,
  resume: callback,
  isPaused: { gives: flag },
};

/** Everything that may be asked of one object, one after the other. */
async function sweepAll(on: object, members: Record<string, Member>): Promise<string[]> {
  const faults: string[] = [];
  await sweep(members, async (what, action, gives) => {
    const fault = await outcome(() => action(on as never), gives);
    if (fault !== undefined) faults.push(`${what} ${fault}`);
  });
  return faults;
}

onEveryEngine("misuse of what is run and watched", (engine) => {
  engine.rule("the sweep knows every member", () => {
    checkComplete(ChildProcess.prototype, CHILD, []);
    checkComplete(WatchedDescriptor.prototype, WATCHED, ["unbind"]);
    checkComplete(Object.getPrototypeOf(FileWatch.prototype), WATCH, []);
    checkComplete(FileWatch.prototype, FILE, []);
    checkComplete(ProcessWatch.prototype, PROCESS, []);
    // It throws what it is given.
    checkComplete(FileTail.prototype, TAIL, ["fileFailed"]);
  });

  engine.rule("every member of a child process: in its constructor, running, ending and exited", async (trial) => {
    const { reactor } = trial;
    const members = { ...commonMembers(), ...CHILD };
    const early: Promise<string[]>[] = [];
    class Early extends ChildProcess {
      constructor() {
        super();
        early.push(sweepAll(this, members));
      }
    }
    const child = reactor.popen("true", Early);
    assert.deepEqual(await early[0], []);
    await child.closed;
    assert.deepEqual(await sweepAll(child, members), [], "exited");
    const run = (use: (fresh: ChildProcess) => void) => use(reactor.popen(["cat"], ChildProcess));
    assert.deepEqual((await sweepState(trial, { members: CHILD, reach: run, most: 20 })).faults, [], "opening");
    const open = async (use: (fresh: ChildProcess) => void) => {
      const fresh = reactor.popen(["cat"], ChildProcess);
      await fresh.opened;
      use(fresh);
    };
    assert.deepEqual((await sweepState(trial, { members, reach: open, most: 40 })).faults, [], "open");
    const ending = reactor.popen({ command: ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"] }, ChildProcess);
    await ending.opened;
    ending.closeConnection();
    const { kill: _, abort: __, ...harmless } = members;
    assert.deepEqual(await sweepAll(ending, harmless), [], "ending");
    ending.abort();
    const missing = reactor.popen("/nonexistent", ChildProcess);
    assert.deepEqual(await sweepAll(missing, CHILD), [], "never run");
    await trial.until(() => reactor.connectionCount === 0, "all have ended");
    assert.deepEqual(await sweepAll(missing, CHILD), []);
  });

  engine.rule("what is for child processes is refused by connections of other kinds", async (trial) => {
    const { server } = await trial.pair();
    const { host, port } = server.localAddress as { host: string; port: number };
    const others = [
      trial.reactor.connect({ host, port }, ChildProcess),
      await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, ChildProcess),
    ];
    for (const other of others) {
      for (const use of [() => other.pid, () => other.exitStatus, () => other.kill()]) {
        assert.throws(use, { code: "ERR_EM_NOT_A_CHILD_PROCESS" });
      }
      other.closeConnection();
    }
  });

  engine.ruleNeeding(
    "watch",
    "every member of a watched descriptor: open and ended",
    async (trial) => {
      const fifo = new Fifo(trial.path("fifo"));
      try {
        const members = { ...commonMembers(), ...WATCHED };
        const reach = (use: (fresh: WatchedDescriptor) => void) =>
          use(trial.reactor.watch(fifo.reader, WatchedDescriptor));
        const { faults, uses } = await sweepState(trial, { members, reach, most: 1 });
        assert.deepEqual(faults, []);
        assert.ok(uses > 300);
        const ended = trial.reactor.watch(fifo.reader, WatchedDescriptor);
        await ended.detach();
        await trial.settle();
        assert.deepEqual(await sweepAll(ended, members), []);
      } finally {
        fifo.close();
      }
    },
    (trial) => trial.reactor.watch(0, WatchedDescriptor),
  );

  engine.rule("every member of a watch of files and of a tail: unbegun, watching and ended", async (trial) => {
    const path = trial.path("file");
    writeFileSync(path, "a line\n");
    const kinds: [() => object, () => { stopWatching(): void }, Record<string, Member>][] = [
      [() => new FileWatch(), () => trial.reactor.watchFile(path, FileWatch), { ...WATCH, ...FILE }],
      [() => new FileTail(), () => trial.reactor.tailFile(path, FileTail), TAIL],
    ];
    for (const [unbegun, begin, members] of kinds) {
      assert.deepEqual(await sweepAll(unbegun(), members), [], "unbegun");
      const { stopWatching: _, ...harmless } = members;
      const watch = begin();
      assert.deepEqual(await sweepAll(watch, harmless), [], "watching");
      assert.deepEqual(await sweepAll(watch, members), [], "ending");
      await trial.settle();
      assert.deepEqual(await sweepAll(watch, members), [], "ended");
    }
  });

  engine.ruleNeeding(
    "processWatch",
    "every member of a watch of a process: unbegun, watching and ended",
    async (trial) => {
      const members = { ...WATCH, ...PROCESS };
      assert.deepEqual(await sweepAll(new ProcessWatch(), members), [], "unbegun");
      const { stopWatching: _, ...harmless } = members;
      const watch = trial.reactor.watchProcess(process.pid, ProcessWatch);
      assert.deepEqual(await sweepAll(watch, harmless), [], "watching");
      assert.deepEqual(await sweepAll(watch, members), [], "ending");
      await trial.settle();
      assert.deepEqual(await sweepAll(watch, members), [], "ended");
    },
    (trial) => trial.reactor.watchProcess(process.pid, ProcessWatch),
  );

  engine.rule("every member of DNS.Resolver", async (trial) => {
    trial.names.set("www.test", async () => ["192.0.2.1"]);
    const members: Record<string, Member> = {
      resolve: { calls: [["www.test"]], gives: (value) => value instanceof Deferrable },
      nameservers: { sets: [["127.0.0.1"]], gives: Array.isArray },
      nameserver: { gives: optional(text) },
      hosts: { calls: [], gives: (value) => value instanceof Map },
    };
    checkComplete(Object.getPrototypeOf(DNS.Resolver), members, []);
    const faults = await new Promise<string[]>((resolve, reject) =>
      trial.reactor.nextTick(() => void sweepAll(DNS.Resolver, members).then(resolve, reject)),
    );
    assert.deepEqual(faults, []);
  });
});
