import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";

/**
 * Ends worker threads while they are inside one kind of native call: `native_calls.js CALL ROUNDS AT_ONCE`. Prints how many
 * were ended.
 */
const [call, rounds, atOnce] = process.argv.slice(2) as [string, string, string];

/** Ends it after a time of which each round takes another part, so that they meet different places. */
async function startAndEnd(part: number): Promise<void> {
  const worker = new Worker(new URL("./native_call.js", import.meta.url), { workerData: call });
  const failure = once(worker, "error").then(([error]) => Promise.reject(error));
  failure.catch(() => {});
  const [said] = (await Promise.race([once(worker, "message"), failure])) as [unknown];
  if (said !== "here") throw new Error(`a worker said ${String(said)}`);
  await sleep(12 * part);
  await worker.terminate();
}

let ended = 0;
for (let round = 0; round < Number(rounds); round++) {
  const parts = Array.from({ length: Number(atOnce) }, (_, i) => (round + i / Number(atOnce)) / Number(rounds));
  await Promise.all(parts.map(startAndEnd));
  ended += parts.length;
}
console.log(JSON.stringify({ ended }));
