import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { Connection, Reactor } from "eventmachine";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program, source } from "../support/paths.js";
import { until, within } from "../support/wait.js";

/** A handle's generation has 11 bits: the native engine gives the same one out again after so many uses of a slot. */
const GENERATIONS = 2048;

onEveryEngine("handles and descriptors", (engine) => {
  test("a connection that outlives its listener by all generations of its handle ends like any other", async () => {
    const reactor = new Reactor({ engine: engine.name });
    const kept: Survivor[] = [];
    class Survivor extends Connection {
      override postInit(): void {
        kept.push(this);
      }
    }
    class Newcomer extends Connection {
      override postInit(): void {
        this.sendData("!");
      }
    }
    await reactor.run(async () => {
      // The first one's slot is what every newcomer takes once it is closed.
      const closing = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Survivor);
      const staying = await reactor.startServer({ host: "127.0.0.1", port: 0, maxConnections: 2 }, Newcomer);
      const old = connect(closing.port as number, "127.0.0.1");
      await until(() => kept.length === 1, "the connection is accepted");
      await closing.close();
      const arrive = async (): Promise<Socket> => {
        const socket = connect(staying.port as number, "127.0.0.1");
        await within(once(socket, "data"), "a newcomer is served");
        return socket;
      };
      for (let generation = 1; generation < GENERATIONS; generation++) {
        (await arrive()).resetAndDestroy();
        while (reactor.connectionCount > 1) await new Promise((resolve) => setImmediate(resolve));
      }
      const last = await arrive();
      kept[0]?.closeConnection();
      await kept[0]?.closed;
      const another = await arrive();
      assert.equal(staying.connectionCount, 2);
      for (const socket of [old, last, another]) socket.destroy();
      reactor.stop();
    });
  });

  test("a socket that was taken over and closed costs nothing, though another process has it still", async () => {
    if (!engine.has("adoptListener")) return;
    const node = [process.execPath, program(import.meta.url, "./programs/sharing.js"), engine.name];
    await using sharing = new Child("python3", [source("peers/share.py"), ...node]);
    const spent = await sharing.json<number>();
    assert.ok(spent < 100, `${spent} ms of CPU time in 300 ms of doing nothing`);
    assert.deepEqual(await sharing.ended(), { code: 0, signal: null }, sharing.stderr);
  });
});
