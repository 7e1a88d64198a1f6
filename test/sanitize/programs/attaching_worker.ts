import { parentPort, workerData } from "node:worker_threads";
import type { Handle } from "../../../src/engine/streams.js";
import { CONNECT, Driver, LISTEN } from "../../engine/native/driver.js";

/** One of those who attach one descriptor at one moment: see attaching.ts. */
export interface Order {
  readonly fd: number;
  readonly call: "adoptStream" | "adoptListener";
}

/** `errno` is 0 for the one whose it is. */
export interface Answer {
  readonly errno: number;
}

const { start, gate } = workerData as { start: BigInt64Array; gate: Int32Array };
const driver = new Driver();
let mine: Handle | undefined;

/** Everybody sleeps until the moment is fixed, and is awake when it comes. */
function awaitStart(): void {
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  if (Atomics.wait(gate, 1, 0, 20_000) === "timed-out") throw new Error("nobody gave the start");
  const at = Atomics.load(start, 0);
  while (process.hrtime.bigint() < at);
}

async function attach({ fd, call }: Order): Promise<Answer> {
  awaitStart();
  const handle =
    call === "adoptStream" ? driver.engine.adoptStream(fd, CONNECT) : driver.engine.adoptListener(fd, LISTEN);
  const opened = call === "adoptStream" ? "connected" : "listening";
  await driver.until(() => driver.has(opened, handle) || driver.has("closed", handle), "an answer");
  const closing = driver.closings.find((each) => each.handle === handle);
  driver.closings.length = 0;
  driver.log.length = 0;
  if (closing !== undefined) return { errno: closing.errno };
  mine = handle;
  return { errno: 0 };
}

/** What came in is echoed, by whose the connection is. */
driver.react.data = (handle, chunk, from, to) => driver.engine.write(handle, Buffer.from(chunk.subarray(from, to)));

parentPort?.on("message", async (order: Order | "release") => {
  if (order !== "release") {
    parentPort?.postMessage(await attach(order));
    return;
  }
  if (mine !== undefined) {
    driver.engine.close(mine);
    await driver.closing(mine);
    mine = undefined;
  }
  parentPort?.postMessage("released");
});
parentPort?.postMessage("here");
