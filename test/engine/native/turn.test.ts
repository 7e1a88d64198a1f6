import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Engine, EngineEvents } from "../../../src/engine/engine.js";
import type { Binding } from "../../../src/engine/native/binding.js";
import { MAX_SLOTS } from "../../../src/engine/native/layout.js";
import { CONNECT, Driver, native, rawServer, stopDrivers } from "./driver.js";

afterEach(stopDrivers);

const scenarios = fileURLToPath(new URL("./scenarios.js", import.meta.url));

test("timers come when their time has passed, never before", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const early: number[] = [];
  let due = 0;
  let fired = 0;
  await new Promise<void>((resolve) => {
    const arm = () => {
      due = engine.now() + (fired % 7) * 0.7;
      engine.setDeadline(due);
    };
    driver.react.timer = () => {
      const now = engine.now();
      if (now < due) early.push(due - now);
      if (++fired === 100) resolve();
      else arm();
    };
    arm();
  });
  assert.deepEqual(early, []);
  engine.setDeadline(engine.now() + 5);
  engine.setDeadline(Number.POSITIVE_INFINITY);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(fired, 100, "a deadline taken back does not fire");
  engine.setDeadline(engine.now() + 60_000);
  engine.setDeadline(engine.now() - 5);
  await driver.until(() => fired === 101, "an earlier one, already past");
  engine.stop();
});

test("ticks follow the batch, its nextTicks and its microtasks", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  const order: string[] = [];
  driver.react.data = () => {
    order.push("data");
    process.nextTick(() => order.push("nextTick"));
    queueMicrotask(() => order.push("microtask"));
    driver.engine.requestTurn();
  };
  driver.react.leave = () => order.push("leave");
  driver.react.ticks = () => order.push("ticks");
  driver.engine.writeString(client, "x", "utf8");
  await driver.until(() => order.includes("ticks"), "ticks");
  assert.deepEqual(order.slice(0, 5), ["data", "leave", "nextTick", "microtask", "ticks"]);
  assert.ok(driver.received.has(server));
  driver.react = {};
  driver.engine.requestTurn();
  const before = driver.log.filter((line) => line === "ticks").length;
  await driver.until(() => driver.log.filter((line) => line === "ticks").length > before, "a turn of its own");
  await driver.finish(client, listener);
});

test("ticks that ask for the next turn do not starve Node's own timers", async () => {
  const driver = new Driver();
  driver.react.ticks = () => driver.engine.requestTurn();
  driver.engine.requestTurn();
  for (let i = 0; i < 3; i++) {
    const before = driver.log.length;
    await driver.until(() => driver.log.length > before + 100, "ticks");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  driver.react = {};
  driver.engine.stop();
});

test("what is written in a setTimeout, an immediate or a promise goes out before the loop blocks", async () => {
  const driver = new Driver();
  const { listener, peer, server } = await driver.withPeer();
  const say = async (text: string) => {
    driver.engine.writeString(server, text, "utf8");
    let got = "";
    while (got.length < text.length) got += String((await once(peer, "data"))[0]);
    assert.equal(got, text);
  };
  await new Promise((resolve) => setTimeout(resolve, 1));
  await say("timeout");
  await new Promise((resolve) => setImmediate(resolve));
  await say("immediate");
  await import("node:fs/promises").then((fs) => fs.readFile(scenarios));
  await say("file");
  peer.destroy();
  await driver.finish(listener);
});

test("a batch begins with a clean async context", async () => {
  const driver = new Driver();
  const { client, listener, server } = await driver.pair();
  const storage = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  driver.react.data = () => {
    seen.push(storage.getStore());
    storage.enterWith("left over");
  };
  for (let i = 1; i <= 3; i++) {
    driver.engine.writeString(client, "x", "utf8");
    await driver.gets(server, i);
  }
  assert.deepEqual(seen, [undefined, undefined, undefined]);
  await driver.finish(client, listener);
});

test("stopped inside an event, the engine delivers nothing more", async () => {
  const driver = new Driver();
  const first = await driver.pair();
  const second = await driver.pair();
  driver.react.data = () => driver.engine.stop();
  driver.engine.writeString(first.client, "x", "utf8");
  driver.engine.writeString(second.client, "x", "utf8");
  await driver.until(() => driver.received.size > 0, "data");
  const events = driver.log.length;
  await driver.settle();
  assert.equal(driver.log.length, events);
  assert.equal(native().liveCounts().descriptors, 0, "and keeps no descriptor");
  driver.engine.write(first.client, Buffer.from("after stop"));
  driver.engine.requestTurn();
  driver.engine.flush();
  driver.engine.stop();
  assert.throws(
    () => driver.engine.connect({ family: "IPv4", host: "127.0.0.1", port: 1 }, { halfOpen: false, lowWaterMark: 0 }),
    {
      code: "ERR_EM_NOT_RUNNING",
    },
  );
});

/** Runs one of the scenarios in a process of its own; it must end by itself, and not by a signal. */
async function scenario(name: string, ...args: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [scenarios, name, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (output += text));
  const [code, signal] = (await once(child, "close", { signal: AbortSignal.timeout(30_000) })) as [
    number,
    string | null,
  ];
  assert.equal(signal, null, output);
  return { code, output };
}

test("process.exit inside data", async () => {
  const { code, output } = await scenario("exit");
  assert.equal(code, 7, output);
});

test("what was written goes out at process.exit, where the engine is flushed then", async () => {
  const chunks: Buffer[] = [];
  const { server, at } = await rawServer((socket) => {
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => socket.end());
  });
  const { code, output } = await scenario("exitFlush", String(at.port));
  assert.equal(code, 0, output);
  server.close();
  await once(server, "close");
  assert.equal(Buffer.concat(chunks).toString(), "written just before");
});

test("a throw in process.nextTick is an uncaught exception, and the engine goes on", async () => {
  const { code, output } = await scenario("throwing");
  assert.equal(code, 0, output);
  assert.match(output, /uncaught: from nextTick\n.*data again/s);
});

test("an engine that is not held lets the process end", async () => {
  const { code, output } = await scenario("unref");
  assert.equal(code, 0, output);
});

for (const how of ["workerTerminate", "workerExit"] as const) {
  test(`${how === "workerExit" ? "process.exit" : "terminate"} inside data, in a worker`, async () => {
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(scenarios, { argv: [how] });
      const [port] = (await once(worker, "message")) as [number];
      const peer = connect({ port, host: "127.0.0.1" });
      peer.on("error", () => {});
      peer.write("x".repeat(100_000));
      if (how === "workerTerminate") {
        await once(worker, "message"); // it is inside `data` now, and stays there
        await worker.terminate();
      } else {
        assert.deepEqual(await once(worker, "exit"), [5]);
      }
      peer.destroy();
    }
  });
}

test("every argument of the addon is checked", async () => {
  const { createRequire } = await import("node:module");
  const addon = createRequire(import.meta.url)(native().path) as Record<string, unknown> & Binding;
  const nothing = () => {};
  const [loop] = addon.create(nothing, nothing, 0);
  const noHandle = 7 << 20;
  const odd = [
    undefined,
    null,
    Number.NaN,
    1.5,
    2 ** 40,
    -(2 ** 40),
    "text",
    "",
    {},
    [],
    new Float64Array(3),
    () => {},
    7n,
  ];
  for (const [name, call] of Object.entries(addon)) {
    if (typeof call !== "function" || name === "liveCounts" || name === "monotonic" || name === "close") continue;
    assert.throws(() => call(), { name: "TypeError" }, `${name}()`);
    for (let at = 0; at < 11; at++) {
      for (const first of odd) {
        for (const value of [0, -1, Buffer.alloc(8), new Int32Array(4), true, "::1"]) {
          const args: unknown[] = [loop, noHandle, ...Array.from({ length: 9 }, () => value)];
          args[at] = first;
          try {
            call(...args);
          } catch (error) {
            assert.ok(error instanceof TypeError, `${name}: ${String(error)}`);
          }
        }
      }
    }
  }
  assert.throws(() => (addon.close as (loop: unknown) => void)("text"), { name: "TypeError" });
  addon.close(loop);
  addon.close(loop);
  addon.flush(loop);
  // libuv lets go of the handles at the end of its round.
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(addon.liveCounts().loops, 0);
});

test("engines that come and go take no more numbers than there are at a time", () => {
  const numbers = new Set<number>();
  for (let count = 0; count < 20; count++) {
    const engines = [new Driver(), new Driver()].map(({ engine }) => engine as unknown as Engine & { loop: number });
    for (const { loop } of engines) numbers.add(loop);
    for (const engine of engines) engine.stop();
  }
  assert.ok(numbers.size <= 4, `${numbers.size} numbers`);
});

test("as many handles as there can be, and one more", async () => {
  const engine = native().create();
  // Each is taken until its end was told, which is in a later turn.
  let ended = 0;
  const events = new Proxy({} as EngineEvents, {
    get: (_, name) => () => {
      if (name === "closed") ended++;
    },
  });
  engine.start(events);
  const fill = () => {
    for (let count = 0; count <= MAX_SLOTS; count++) engine.adoptStream(0x7fffffff, CONNECT);
  };
  try {
    assert.throws(fill, { name: "LimitError", code: "ERR_EM_TOO_MANY_HANDLES", limit: MAX_SLOTS });
    const signal = AbortSignal.timeout(30_000);
    while (ended < MAX_SLOTS && !signal.aborted) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(ended, MAX_SLOTS);
  } finally {
    engine.stop();
  }
});
