import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { setImmediate as nextIteration } from "node:timers/promises";
import { CONNECT, dial, drive, PATIENCE, readText } from "./driver.js";

/** Waits until `check` holds; it is looked at again whenever the peer has received. */
async function until(check: () => boolean, peer: Socket): Promise<void> {
  while (!check()) await once(peer, "data");
}

describe("portable turns", () => {
  it("runs ticks and the flush behind nextTick and microtasks, in the same turn", () =>
    drive(async (driver) => {
      const { engine } = driver;
      const { handle, peer } = await driver.pair();
      const order: string[] = [];
      driver.react.ticks = () => order.push(`ticks with ${engine.outboundSize(handle)} unsent`);
      driver.react.data = () => {
        engine.requestTurn();
        engine.writeString(handle, "a", "latin1");
        process.nextTick(() => {
          order.push("nextTick");
          engine.writeString(handle, "b", "latin1");
        });
        queueMicrotask(() => {
          order.push("microtask");
          engine.writeString(handle, "c", "latin1");
        });
        setImmediate(() => order.push(`immediate with ${engine.outboundSize(handle)} unsent`));
      };
      peer.write("go");
      await readText(peer, "abc");
      assert.deepEqual(order, ["nextTick", "microtask", "ticks with 3 unsent", "immediate with 0 unsent"]);
      peer.destroy();
    }));

  it("sends the answers of many before the check phase, each whole", () =>
    drive(async (driver) => {
      const { engine } = driver;
      const { address } = await driver.listen();
      const peers = await Promise.all(Array.from({ length: 100 }, () => dial(address)));
      await driver.nextAccepted(peers.length);
      const chunks = peers.map((peer) => {
        const seen: string[] = [];
        peer.on("data", (chunk) => seen.push(chunk.toString()));
        return seen;
      });
      const answering: number[] = [];
      const unsentByFirst: number[] = [];
      driver.react.data = (handle) => {
        answering.push(handle);
        unsentByFirst.push(engine.outboundSize(answering[0] as number));
        engine.writeString(handle, "a", "latin1");
        process.nextTick(() => engine.writeString(handle, "b", "latin1"));
        queueMicrotask(() => engine.writeString(handle, "c", "latin1"));
      };
      for (const peer of peers) peer.write("go");
      await driver.until(() => unsentByFirst.length === peers.length, "every request");
      await Promise.all(peers.map((peer, at) => until(() => (chunks[at] as string[]).join("").length === 3, peer)));
      assert.deepEqual(new Set(chunks.map((seen) => seen.join("|"))), new Set(["abc"]));
      assert.equal(unsentByFirst.at(-1), 0);
      for (const peer of peers) peer.destroy();
    }));

  it("sends the answers to what resumed connections had read ahead each whole", () =>
    drive(async (driver) => {
      const { engine } = driver;
      const { address } = await driver.listen();
      const peers = await Promise.all(Array.from({ length: 100 }, () => dial(address)));
      await driver.nextAccepted(peers.length);
      for (const handle of driver.accepts) engine.pause(handle);
      const chunks = peers.map((peer) => {
        const seen: string[] = [];
        peer.on("data", (chunk) => seen.push(chunk.toString()));
        return seen;
      });
      for (const peer of peers) peer.write("go");
      const areReadAhead = () => driver.accepts.every((handle) => engine.undelivered(handle) === 2);
      for (let round = 0; round < 10_000 && !areReadAhead(); round++) await nextIteration();
      assert.ok(areReadAhead());
      driver.react.data = (handle) => {
        engine.writeString(handle, "a", "latin1");
        process.nextTick(() => engine.writeString(handle, "b", "latin1"));
        queueMicrotask(() => engine.writeString(handle, "c", "latin1"));
      };
      for (const handle of driver.accepts) engine.resume(handle);
      await Promise.all(peers.map((peer, at) => until(() => (chunks[at] as string[]).join("").length === 3, peer)));
      assert.deepEqual(new Set(chunks.map((seen) => seen.join("|"))), new Set(["abc"]));
      for (const peer of peers) peer.destroy();
    }));

  it("flushes what a timer wrote before the loop blocks", () =>
    drive(async (driver) => {
      const { handle, peer } = await driver.pair();
      setTimeout(() => driver.engine.writeString(handle, "from a timer", "latin1"), 5);
      await readText(peer, "from a timer");
      peer.destroy();
    }));

  it("keeps its deadline, never early, also when it is moved", () =>
    drive(async (driver) => {
      const { engine } = driver;
      const fired: number[] = [];
      driver.react.timer = () => fired.push(engine.now());
      const start = engine.now();
      engine.setDeadline(start + 3 * 2 ** 31);
      engine.setDeadline(start + 30);
      engine.setDeadline(start + 10.4);
      await driver.until(() => fired.length === 1, "the deadline");
      assert.ok((fired[0] as number) >= start + 10.4);
      engine.setDeadline(start + 20);
      engine.setDeadline(start + 40);
      await driver.until(() => fired.length === 2, "the moved deadline");
      assert.ok((fired[1] as number) >= start + 40);
      engine.setDeadline(engine.now() + 5);
      engine.setDeadline(Number.POSITIVE_INFINITY);
      const end = engine.now() + 20;
      await new Promise((resolve) => setTimeout(resolve, end - engine.now() + 1));
      assert.equal(fired.length, 2);
    }));

  it("delivers in a context that nothing was entered in", () => {
    const storage = new AsyncLocalStorage<string>();
    return drive(async (driver) => {
      const { engine } = driver;
      const seen: (string | undefined)[] = [];
      let timers = 0;
      const enter = (name: string) => () => {
        seen.push(storage.getStore());
        storage.enterWith(name);
      };
      driver.react = {
        listening: enter("listening"),
        accepted: enter("accepted"),
        connected: enter("connected"),
        data: enter("data"),
        writable: enter("writable"),
        closed: enter("closed"),
        ticks: enter("ticks"),
        timer: () => {
          timers++;
          enter("timer")();
        },
      };
      const { address, client } = await storage.run("caller", async () => {
        const { address } = await driver.listen();
        const client = engine.connect(address, CONNECT);
        await driver.event("connected", client);
        return { address, client };
      });
      const accepted = await driver.nextAccepted();
      const peers = [await dial(address), await dial(address)];
      for (const [i, peer] of peers.entries()) {
        const handle = await driver.nextAccepted(2 + i);
        for (const word of ["one", "two"]) {
          const before = driver.bytes(handle).length;
          peer.write(word);
          await driver.until(() => driver.bytes(handle).length > before, word);
        }
      }
      storage.run("caller", () => {
        engine.pause(accepted);
        engine.writeString(client, "held", "latin1");
        engine.awaitWritable(client);
        engine.requestTurn();
        engine.setDeadline(engine.now() + 1);
        engine.resume(accepted);
      });
      await driver.text(accepted, "held");
      await driver.event("writable", client);
      await driver.until(() => timers > 0, "the timer");
      storage.run("caller", () => engine.close(client));
      await driver.event("closed", accepted);
      assert.deepEqual(new Set(seen), new Set([undefined]));
      assert.ok(seen.length >= 12);
      for (const peer of peers) peer.destroy();
      storage.disable();
    });
  });
});

describe("portable engine and the process", () => {
  const engineUrl = new URL("../../../src/engine/portable/portable_engine.js", import.meta.url).href;
  const prelude = `
    const { PortableEngine } = await import(${JSON.stringify(engineUrl)});
    const engine = new PortableEngine();
    const ignore = () => {};
    const events = { enter: ignore, leave: ignore, timer: ignore, ticks: ignore, listening: ignore, accepted: ignore,
      connected: ignore, data: ignore, end: ignore, writable: ignore, fileSent: ignore, closed: ignore };
    const listen = () => engine.listen({ family: "IPv4", host: "127.0.0.1", port: 0 }, { backlog: 8, reusePort: false,
      ipv6Only: false, halfOpen: false, acceptQuota: 8, maxConnections: Infinity, whenFull: "pause", lowWaterMark: 1 });
  `;

  async function run(script: string, stdio: "ignore" | number = "ignore") {
    const child = spawn(process.execPath, ["--input-type=module", "-e", prelude + script], {
      stdio: ["ignore", "pipe", "inherit", stdio],
    });
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
    const [code] = (await once(child, "close")) as [number | null];
    clearTimeout(timer);
    return { code, output };
  }

  it("holds the process while referenced, with nothing open", async () => {
    const { code, output } = await run(`
      engine.start(events);
      setTimeout(() => { console.log("held"); engine.unref(); }, 50).unref();
    `);
    assert.deepEqual({ code, output }, { code: 0, output: "held\n" });
  });

  it("lets the process go when unreferenced, with a listener, a connection and a deadline", async () => {
    const { code, output } = await run(`
      events.listening = (handle) => engine.connect(engine.localAddress(handle), { halfOpen: false, lowWaterMark: 1 });
      events.connected = () => { console.log("connected"); engine.unref(); };
      engine.start(events);
      engine.setDeadline(engine.now() + 60_000);
      listen();
    `);
    assert.deepEqual({ code, output }, { code: 0, output: "connected\n" });
  });

  it("keeps new sockets unreferenced while it is", async () => {
    const { code } = await run("engine.start(events); engine.unref(); listen();");
    assert.equal(code, 0);
  });

  it("writes out what is queued on flush at exit", () =>
    drive(async (driver) => {
      const { address } = await driver.listen();
      const child = run(`
        events.connected = (handle) => {
          engine.writeString(handle, "last words", "latin1");
          process.on("exit", () => engine.flush());
          process.exit();
        };
        engine.start(events);
        engine.connect(${JSON.stringify(address)}, { halfOpen: false, lowWaterMark: 1 });
      `);
      await driver.text(await driver.nextAccepted(), "last words");
      assert.equal((await child).code, 0);
    }));
});
