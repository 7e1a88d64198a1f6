import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { Connection, type ErrorHandler, WatchedDescriptor } from "eventmachine";
import type { Fifo } from "../support/fifo.js";
import { onEveryEngine, type RuleOptions } from "../support/harness.js";
import type { Trial } from "../support/trial.js";
import { Watcher } from "../support/watcher.js";

onEveryEngine("watches", (engine) => {
  /** A rule about one pipe; where the engine has no watches the call is refused, and the handler is not made. */
  function rule(name: string, body: (trial: Trial, fifo: Fifo) => unknown, options: RuleOptions = {}): void {
    engine.ruleNeeding(
      "watch",
      name,
      (trial) => body(trial, trial.fifo()),
      (trial) => trial.reactor.watch(trial.fifo().reader, NeverMade),
      options,
    );
  }

  rule(
    "a readable descriptor is reported in every turn until it is read, and never read by us",
    async (trial, fifo) => {
      const watch = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {});
      assert.deepEqual(watch.log, ["postInit"]);
      assert.equal(watch.state, "open");
      assert.equal(watch.fd, fifo.reader);
      await trial.settle();
      assert.equal(watch.readable, 0);
      fifo.write("one");
      await trial.until(() => watch.readable >= 5, "it comes again and again");
      assert.equal(fifo.read(), "one");
      const before = watch.readable;
      await trial.settle();
      assert.ok(watch.readable <= before + 1, "and stops when it was read");
      assert.equal(watch.writable, 0);
      fifo.write("two");
      await trial.until(() => watch.readable > before + 1, "and begins anew");
      assert.equal(fifo.read(), "two");
      await watch.detach();
    },
  );

  rule("nothing is reported that was not asked for", async (trial, fifo) => {
    const watch = trial.reactor.watch(fifo.reader, Watcher, {});
    const other = trial.reactor.watch(fifo.writer, Watcher, {});
    assert.deepEqual([watch.notifiesReadable, watch.notifiesWritable], [false, false]);
    fifo.write("x");
    await trial.settle();
    assert.deepEqual([watch.log, other.log], [["postInit"], ["postInit"]]);
    watch.notifiesReadable = true;
    other.notifiesWritable = true;
    await trial.until(() => watch.readable > 2 && other.writable > 2, "both from here on");
    assert.deepEqual([watch.writable, other.readable], [0, 0]);
  });

  rule(
    "either can be switched at any time, and what is switched off is not called from that moment",
    async (trial, fifo) => {
      const log: string[] = [];
      const watches: Watcher[] = [];
      const silence = (me: Watcher) => {
        log.push(`${watches.indexOf(me)}`);
        for (const each of watches) each.notifiesWritable = false;
      };
      for (let count = 0; count < 4; count++) {
        const { writer } = trial.fifo();
        watches.push(trial.reactor.watch({ fd: writer, notifiesWritable: true }, Watcher, { notifyWritable: silence }));
      }
      await trial.until(() => log.length > 0, "one of them is told");
      await trial.settle();
      assert.equal(log.length, 1, "and silences the others of the same batch");
      const watch = trial.reactor.watch(fifo.reader, Watcher, {
        notifyReadable: (me) => {
          fifo.read();
          me.notifiesReadable = false;
        },
      });
      for (let round = 1; round <= 3; round++) {
        watch.notifiesReadable = true;
        fifo.write("again");
        await trial.until(() => watch.readable === round, `round ${round}`);
      }
      fifo.write("unheard");
      await trial.settle();
      assert.equal(watch.readable, 3);
    },
  );

  rule("a full pipe is not writable, and is when it was read", async (trial, fifo) => {
    fifo.fill();
    const watch = trial.reactor.watch({ fd: fifo.writer, notifiesWritable: true }, Watcher, {});
    await trial.settle();
    assert.equal(watch.writable, 0);
    fifo.read();
    await trial.until(() => watch.writable > 0, "there is room");
  });

  rule("the end of a pipe is readable, and an error of it writable", async (trial, fifo) => {
    const second = trial.fifo();
    const reader = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {
      notifyReadable: (me) => assert.equal(fifo.read(), "", `${me}: the end is read`),
    });
    const filled = second.fill();
    assert.ok(filled > 0);
    const writer = trial.reactor.watch({ fd: second.writer, notifiesWritable: true }, Watcher, {});
    await trial.settle(10);
    assert.deepEqual([reader.readable, writer.writable], [0, 0]);
    fifo.closeWriter();
    second.closeReader();
    await trial.until(() => reader.readable > 2 && writer.writable > 2, "both are told, and told again");
  });

  rule("a hang-up that nobody waits for does not keep the loop awake", async (trial, fifo) => {
    const watch = trial.reactor.watch(fifo.reader, Watcher, {});
    fifo.write("left");
    fifo.closeWriter();
    await trial.settle();
    const before = trial.reactor.stats();
    await trial.sleep(100);
    const { systemCalls } = trial.reactor.stats();
    assert.ok(systemCalls - before.systemCalls < 50, `${systemCalls - before.systemCalls} system calls`);
    watch.notifiesReadable = true;
    await trial.until(() => watch.readable > 0, "it is told as soon as somebody waits");
  });

  rule("detach lets the descriptor go at once, also in the turn that began the watch", async (trial, fifo) => {
    const watch = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {});
    fifo.write("x");
    const detached = watch.detach();
    const again = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {});
    assert.equal(watch.state, "closing");
    assert.deepEqual(await detached, { fd: fifo.reader, unread: Buffer.alloc(0) });
    await trial.until(() => again.readable > 0, "another watch has it");
    assert.deepEqual(watch.log, ["postInit", "unbind detached"]);
    assert.deepEqual(await watch.closed, { kind: "detached" });
    await assert.rejects(watch.detach(), { name: "StateError", code: "ERR_EM_NOT_OPEN" });
    assert.equal(fifo.read(), "x", "nobody has read it");
  });

  rule("closing, aborting and a stop end the watch and leave the descriptor as it is", async (trial, fifo) => {
    const ends: [(watch: Watcher) => void, string][] = [
      [(watch) => watch.closeConnection(), "local-close"],
      [(watch) => watch.closeConnectionAfterWriting(), "local-close"],
      [(watch) => watch.abort(), "local-abort"],
    ];
    for (const [end, kind] of ends) {
      const watch = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {});
      end(watch);
      assert.equal(watch.log.length, 1, "unbind never comes inside the call");
      assert.equal((await watch.closed).kind, kind);
      watch.notifiesReadable = false;
      assert.equal(watch.notifiesReadable, true, "it is over");
    }
    fifo.write("still");
    assert.equal(fifo.read(), "still");
  });

  rule(
    "two watchers on one descriptor, and a watch on a connection's, are refused by a code of their own",
    async (trial, fifo) => {
      const watch = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {});
      const owned = { name: "StateError", code: "ERR_EM_DESCRIPTOR_OWNED" };
      assert.throws(() => trial.reactor.watch(fifo.reader, NeverMade), owned);
      const attached = trial.reactor.attach({ fd: fifo.reader }, Connection);
      await assert.rejects(attached.opened, { code: "ERR_EM_DESCRIPTOR_OWNED" });
      fifo.write("x");
      await trial.until(() => watch.readable > 0, "the first goes on");
      await watch.detach();
      trial.reactor.watch(fifo.reader, Watcher, {});
    },
  );

  rule("what cannot be watched is a typed error, before the handler is made", (trial) => {
    const { reactor } = trial;
    assert.throws(() => reactor.watch(999_999, NeverMade), { name: "SystemError", code: "EBADF" });
    for (const path of [trial.path() /* a regular file */, "/dev/null"]) {
      const fd = openSync(path, path === "/dev/null" ? "r" : "w");
      try {
        const refused = {
          name: "ArgumentError",
          code: "ERR_EM_NOT_POLLABLE",
          message: new RegExp(`descriptor ${fd} `),
        };
        assert.throws(() => reactor.watch(fd, NeverMade), refused);
      } finally {
        closeSync(fd);
      }
    }
    for (const fd of [-1, 1.5, 2 ** 31, Number.NaN, "3", null, undefined, {}]) {
      assert.throws(() => reactor.watch(fd as never, NeverMade), { code: "ERR_EM_INVALID_ARGUMENT" });
      assert.throws(() => reactor.watch({ fd } as never, NeverMade), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
    assert.throws(() => reactor.watch({ fd: 0, notifiesReadable: 1 } as never, NeverMade), {
      code: "ERR_EM_INVALID_ARGUMENT",
    });
    assert.throws(() => reactor.watch({ fd: 0, readable: true } as never, NeverMade), {
      code: "ERR_EM_INVALID_ARGUMENT",
    });
  });

  rule("only a WatchedDescriptor can watch, and it can do nothing else", async (trial, fifo) => {
    const invalid = { name: "ArgumentError", code: "ERR_EM_INVALID_HANDLER" };
    assert.throws(() => trial.reactor.watch(fifo.reader, Connection as never), invalid);
    assert.throws(() => trial.reactor.watch(fifo.reader, undefined as never), invalid);
    assert.throws(() => trial.reactor.attach({ fd: fifo.reader }, Watcher), invalid);
    assert.throws(() => trial.reactor.connect({ host: "127.0.0.1", port: 9 }, Watcher), invalid);
    await assert.rejects(trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, WatchedDescriptor), invalid);
  });

  rule("what only those can do who read and write is a typed error", async (trial, fifo) => {
    const watch = trial.reactor.watch(fifo.writer, Watcher, {});
    const refused = { name: "StateError", code: "ERR_EM_WATCH_ONLY" };
    const calls: (() => unknown)[] = [
      () => watch.sendData("x"),
      () => watch.sendData(Buffer.from("x")),
      () => watch.pause(),
      () => watch.resume(),
      () => watch.startTls(),
      () => watch.halfClose(),
      () => watch.setNoDelay(),
      () => watch.setWaterMarks(10),
      () => watch.reconnect({ host: "127.0.0.1", port: 9 }),
      () => watch.peerCredentials(),
      () => watch[Symbol.asyncIterator](),
      () => {
        watch.readTimeout = 5;
      },
      () => {
        watch.outboundLimit = 5;
      },
    ];
    for (const call of calls) assert.throws(call, refused);
    await assert.rejects(watch.sendFileData("/dev/null"), refused);
    await assert.rejects(watch.secured, refused);
    assert.equal(fifo.read(), undefined, "nothing was written");
    assert.equal(watch.remoteAddress, undefined);
    await watch.opened;
    await watch.detach();
    await watch.closed;
    for (const call of calls) assert.throws(call, refused);
  });

  rule("a constructor that throws leaves no watch", async (trial, fifo) => {
    class Throwing extends WatchedDescriptor {
      constructor() {
        super();
        throw new Error("no");
      }
    }
    assert.throws(() => trial.reactor.watch(fifo.reader, Throwing), /^Error: no$/);
    trial.reactor.watch(fifo.reader, Watcher, {});
  });

  rule("a callback that throws ends the watch, and the descriptor is as it was", async (trial, fifo) => {
    const errors: unknown[] = [];
    trial.reactor.onError(((error) => errors.push(error)) as ErrorHandler);
    const watch = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {
      notifyReadable: () => {
        throw new Error("no");
      },
    });
    fifo.write("x");
    await watch.closed;
    assert.deepEqual(watch.log, ["postInit", "notifyReadable", "onError", "unbind handler-error"]);
    assert.equal(errors.length, 1);
    assert.equal(fifo.read(), "x");
    trial.reactor.onError(undefined);
  });

  rule("a drain tells a watch and leaves it to those who need it", async (trial, fifo) => {
    const watch = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {
      notifyReadable: () => fifo.read(),
    });
    const { client, server } = await trial.pair({ server: { shutdownRequested: () => fifo.write("work") } });
    const draining = trial.reactor.drain(5_000);
    await trial.until(() => watch.readable > 0, "it goes on");
    assert.equal(server.state, "open");
    client.closeConnection();
    assert.deepEqual(await draining, { finished: 2, aborted: 0 });
    assert.deepEqual(watch.log, ["postInit", "shutdownRequested", "notifyReadable"]);
    assert.equal(watch.state, "open");
    assert.equal(trial.reactor.connectionCount, 0);
  });

  if (engine.has("watch")) {
    engine.runRule("a stop unbinds watches with its reason, and then nothing is watched any more", async (trial) => {
      const fifo = trial.fifo();
      let watch: Watcher | undefined;
      let late: Watcher | undefined;
      await trial.reactor.run(() => {
        watch = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {
          unbind: () => {
            late = trial.reactor.watch({ fd: fifo.writer, notifiesWritable: true }, Watcher, {});
          },
        });
        trial.reactor.stop();
      });
      assert.deepEqual(watch?.log, ["postInit", "unbind stop"]);
      assert.deepEqual([late?.log, late?.state, late?.closeReason], [[], "closed", { kind: "stop" }]);
      fifo.write("still open");
      assert.equal(fifo.read(), "still open");
      assert.throws(() => trial.reactor.watch(fifo.reader, NeverMade), { code: "ERR_EM_NOT_RUNNING" });
    });
  }
});

class NeverMade extends WatchedDescriptor {
  constructor() {
    super();
    assert.fail("the handler was made");
  }
}
