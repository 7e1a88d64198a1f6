import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { type ChildRecorder, popen } from "../support/children.js";
import { onEveryEngine } from "../support/harness.js";
import { Random } from "../support/random.js";

const CHILDREN = 500;

const open = () => readdirSync("/proc/self/fd").length;

onEveryEngine("many child processes", (engine) => {
  engine.rule(
    "at once, each killed at a random moment: every one ends, once, and nothing is left",
    async (trial) => {
      const seed = Date.now() >>> 0;
      const random = new Random(seed);
      const before = open();
      const children: ChildRecorder[] = [];
      for (let at = 0; at < CHILDREN; at++) {
        const child = popen(trial, random.oneIn(8) ? ["/nonexistent"] : ["cat"], { keep: false });
        children.push(child);
        child.sendData(Buffer.alloc(random.size(200_000)));
        trial.reactor.addTimer(random.between(0, 400), () => {
          const ways = [
            () => child.kill("SIGKILL"),
            () => child.kill("SIGTERM"),
            () => child.abort(),
            () => child.closeConnection(),
            () => child.closeConnectionAfterWriting(),
            () => child.halfClose(),
          ];
          random.pick(ways)();
        });
        if (random.oneIn(4)) await trial.turn();
      }
      await Promise.all(children.map((child) => child.closed));
      for (const child of children) {
        const unbinds = child.log.filter((entry) => entry.startsWith("unbind"));
        assert.equal(unbinds.length, 1, `seed ${seed}: ${child.order}`);
        assert.equal(child.log.at(-1), unbinds[0]);
        if (child.pid === undefined) continue;
        assert.notEqual(child.reasons[0]?.exit, undefined, `seed ${seed}: ${child.order}`);
      }
      await trial.until(() => open() <= before, `seed ${seed}: ${open()} descriptors of ${before}`);
    },
    { limit: 120_000 },
  );

  engine.rule("what this process opens is not handed to them", async (trial) => {
    const list = async () => {
      const child = popen(trial, ["ls", "/proc/self/fd"]);
      await child.closed;
      return child.text.trim().split("\n");
    };
    // The fourth is its own, the folder that it lists; whoever ran this process may have left others open.
    const before = await list();
    assert.deepEqual(
      ["0", "1", "2", "3"].filter((fd) => !before.includes(fd)),
      [],
    );
    const { served } = await trial.pair();
    await trial.over("unix").pair();
    await trial.over("tls").pair();
    const socket = await trial.reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 });
    const other = popen(trial, ["cat"]);
    void other.sendFileData("/proc/self/exe").catch(() => {});
    await other.opened;
    assert.deepEqual(await list(), before);
    other.abort();
    socket.closeConnection();
    await served.listener.close();
    await other.closed;
  });
});
