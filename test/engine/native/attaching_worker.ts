import { parentPort, workerData } from "node:worker_threads";
import type { Handle } from "../../../src/engine/streams.js";
import { CONNECT, Driver } from "./driver.js";

/** Attaches the descriptor it is given, and again each time it is asked; says the errno, or 0 when it is open. */
const driver = new Driver();

async function attach(): Promise<number> {
  const handle: Handle = driver.engine.adoptStream(workerData as number, CONNECT);
  await driver.until(() => driver.has("connected", handle) || driver.has("closed", handle), "an answer");
  return driver.closings.find((closing) => closing.handle === handle)?.errno ?? 0;
}

parentPort?.on("message", async () => parentPort?.postMessage(await attach()));
parentPort?.postMessage(await attach());
