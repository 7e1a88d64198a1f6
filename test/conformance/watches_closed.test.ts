import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import type { Readable } from "node:stream";
import { WatchedDescriptor } from "eventmachine";
import type { Fifo } from "../support/fifo.js";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";
import { Watcher } from "../support/watcher.js";

onEveryEngine("descriptors closed under their watch", (engine) => {
  function rule(name: string, body: (trial: Trial, fifo: Fifo) => unknown): void {
    engine.ruleNeeding(
      "watch",
      name,
      (trial) => body(trial, trial.fifo()),
      (trial) => trial.reactor.watch(trial.fifo().reader, WatchedDescriptor),
    );
  }

  const watching = (trial: Trial, fifo: Fifo) =>
    trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {});

  async function ended(watch: Watcher): Promise<void> {
    const reason = await watch.closed;
    assert.ok(reason.kind === "system-error", reason.kind);
    assert.equal(reason.error.code, "EBADF");
    assert.deepEqual(watch.log.slice(-1), ["unbind system-error"]);
  }

  /** A process that has the descriptor open too, the very same open file. */
  async function duplicate(fd: number): Promise<{ end(): Promise<void> }> {
    const child = spawn("sh", ["-c", "echo ready; cat >/dev/null"], { stdio: ["pipe", "pipe", "inherit", fd] });
    await once(child.stdout as Readable, "data");
    return {
      async end() {
        const over = once(child, "exit");
        child.stdin?.end();
        await over;
      },
    };
  }

  rule("the watch ends with EBADF after a second at most, when nothing happens to it", async (trial, fifo) => {
    const watch = watching(trial, fifo);
    const other = trial.fifo();
    const unaffected = watching(trial, other);
    const begun = trial.now();
    fifo.closeReader();
    await ended(watch);
    assert.ok(trial.now() - begun < 3_000);
    other.write("x");
    await trial.until(() => unaffected.readable > 0, "the other watch goes on");
  });

  rule("at once when its interest is changed", async (trial, fifo) => {
    const watch = watching(trial, fifo);
    fifo.closeReader();
    const begun = trial.now();
    watch.notifiesWritable = true;
    assert.equal(watch.state, "open", "what follows comes later");
    await ended(watch);
    assert.ok(trial.now() - begun < 900);
  });

  rule("a duplicate elsewhere neither keeps the loop awake nor the watch alive", async (trial, fifo) => {
    const watch = watching(trial, fifo);
    const other = await duplicate(fifo.reader);
    fifo.closeReader();
    fifo.write("for nobody");
    await ended(watch);
    assert.equal(watch.readable, 0);
    const before = trial.reactor.stats().systemCalls;
    await trial.sleep(100);
    const calls = trial.reactor.stats().systemCalls - before;
    assert.ok(calls < 50, `${calls} system calls`);
    await other.end();
  });

  rule("a number that is another's by now is left alone", async (trial, fifo) => {
    const watch = watching(trial, fifo);
    const other = await duplicate(fifo.reader);
    fifo.closeReader();
    const path = trial.path("file");
    const opened: number[] = [];
    while (opened.at(-1) !== fifo.reader && opened.length < 1000) opened.push(openSync(path, "w"));
    assert.equal(opened.at(-1), fifo.reader, "the number is given out again");
    fifo.write("for nobody");
    await ended(watch);
    for (const fd of opened) closeSync(fd);
    await other.end();
  });

  rule("a connection of the reactor's own that gets the number keeps it", async (trial, fifo) => {
    const served = await trial.serve();
    const watch = watching(trial, fifo);
    fifo.closeReader();
    const client = trial.dial(served);
    await client.opened;
    const server = await served.peer();
    await ended(watch);
    client.sendData("x");
    await trial.until(() => server.text === "x", "both ends live");
    fifo.gaveAway(fifo.reader);
  });

  rule("detaching, closing and a stop of such a watch are harmless", async (trial, fifo) => {
    const watch = watching(trial, fifo);
    fifo.closeReader();
    assert.deepEqual((await watch.detach()).fd, fifo.reader);
    const second = trial.fifo();
    const closing = watching(trial, second);
    second.closeReader();
    closing.closeConnection();
    const third = trial.fifo();
    watching(trial, third);
    third.closeReader();
    await trial.settle(5);
    assert.deepEqual([watch.log.at(-1), closing.log.at(-1)], ["unbind detached", "unbind local-close"]);
  });
});
