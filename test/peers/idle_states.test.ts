import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { RawPeer } from "../support/raw_peer.js";

/** How long a state is watched, and the CPU time that counts as none, in milliseconds. */
const WATCHED = 500;
const NEGLIGIBLE = 100;

const folder = mkdtempSync(join(tmpdir(), "em-idle-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "file");
writeFileSync(file, Buffer.alloc(8_000_000));

/** What the peer says first, and what it does then. */
const STATES: Record<string, [order: string, then: (peer: RawPeer) => Promise<unknown>]> = {
  open: ["stay", async () => {}],
  "paused with data waiting": ["pause", (peer) => peer.send("x".repeat(200_000))],
  "paused with the peer's FIN waiting": ["pause", (peer) => peer.shutdown()],
  "paused with data and the peer's FIN waiting": ["pause", (peer) => peer.sendWithFin("last")],
  "paused with the peer gone": ["pause", (peer) => peer.close()],
  "half-open: the peer has sent its FIN": ["stay", (peer) => peer.shutdown()],
  "half-open: we have sent our FIN": ["half-close", async () => {}],
  "output that nobody takes": ["write", async () => {}],
  "output that nobody takes, and the peer's FIN": ["write", (peer) => peer.shutdown()],
  "a file that nobody takes": ["send a file", async () => {}],
  "closing after writing to somebody who takes nothing": ["finish", async () => {}],
};

onEveryEngine("connections on which nothing happens", (engine) => {
  function start(): Child {
    return new Child(process.execPath, [program(import.meta.url, "./programs/obeying.js"), engine.name, file]);
  }

  async function assertIdle(server: Child): Promise<void> {
    // What it takes to get there is not counted.
    await sleep(100);
    const before = server.cpuTime();
    await sleep(WATCHED);
    const spent = server.cpuTime() - before;
    assert.ok(spent <= NEGLIGIBLE, `${spent} ms of CPU in ${WATCHED} ms`);
  }

  test("cost no CPU time in any state", async (t) => {
    await using server = start();
    const { port, fullPort } = await server.json<{ port: number; fullPort: number }>();
    await using peer = new RawPeer();
    for (const [state, [order, then]] of Object.entries(STATES)) {
      await t.test(state, async () => {
        await peer.connect({ port }, { receiveBuffer: 16_384 });
        await peer.send(order);
        assert.equal((await peer.receive(2)).text, "ok");
        await then(peer);
        await assertIdle(server);
        await peer.close();
      });
    }
    await t.test("newcomers who wait before a full server", async () => {
      await peer.connect({ port: fullPort }, { names: Array.from({ length: 20 }, (_, at) => `peer ${at}`) });
      await assertIdle(server);
    });
  });
});
