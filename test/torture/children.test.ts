import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { ChildProcess } from "eventmachine";
import { pattern } from "../support/bytes.js";
import { Fifo } from "../support/fifo.js";
import { onEveryEngine } from "../support/harness.js";
import { Watcher } from "../support/watcher.js";
import { WatchRecorder } from "../support/watches.js";
import { LIMIT, tortured } from "./seeds.js";

const CHILDREN = 8;
const ROUNDS = 200;

onEveryEngine("children and watches under torture", (engine) => {
  tortured(engine, "children echo every byte, are killed and told", async ({ reactor }) => {
    const sizes = Array.from({ length: CHILDREN }, (_, at) => 1 + at * 40_000);
    const echoes = sizes.map(async (size) => {
      const input = pattern(size);
      const { output, status } = await reactor.system(["cat"], { input, timeout: LIMIT });
      assert.ok(status.isSuccess);
      assert.ok(output.equals(input), `${output.length} of ${size} bytes`);
    });
    const killed = sizes.map(async () => {
      const child = reactor.popen(["sleep", "600"], ChildProcess);
      child.abort();
      const { exit } = await child.closed;
      assert.equal(exit?.signal, "SIGKILL");
    });
    await Promise.all([...echoes, ...killed]);
    assert.equal(reactor.connectionCount, 0);
  });

  tortured(engine, "a file's watch tells what is done to it", async (trial) => {
    const path = trial.path("file");
    writeFileSync(path, "");
    const watches = Array.from({ length: 4 }, () => trial.reactor.watchFile(path, WatchRecorder));
    for (let round = 0; round < 10; round++) {
      for (const watch of watches) watch.take();
      await trial.sleep(30);
      appendFileSync(path, `${round}`);
      await trial.until(() => watches.every(({ log }) => log.includes("modified")), `round ${round}`, LIMIT);
    }
  });

  if (!engine.has("watch")) return;
  tortured(engine, "a descriptor's watch misses nothing and reports nothing that is not so", async (trial) => {
    const fifo = new Fifo(trial.path("fifo"));
    try {
      let read = "";
      let idle = 0;
      const watch = trial.reactor.watch({ fd: fifo.reader, notifiesReadable: true }, Watcher, {
        notifyReadable: () => {
          const what = fifo.read();
          if (what === undefined) idle++;
          else read += what;
        },
      });
      for (let round = 0; round < ROUNDS; round++) {
        fifo.write(String.fromCharCode(97 + (round % 26)));
        await trial.until(() => read.length === round + 1, `byte ${round}`, LIMIT);
        if (round % 10 === 9) {
          watch.notifiesReadable = false;
          await trial.turn();
          watch.notifiesReadable = true;
        }
      }
      assert.equal(idle, 0);
      await watch.detach();
    } finally {
      fifo.close();
    }
  });
});
