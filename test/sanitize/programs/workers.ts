import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Connection, type EngineName, Reactor } from "eventmachine";

/**
 * Starts and ends worker threads with reactors in them, beside a reactor of its own that is busy all the time:
 * `workers.js ENGINE WHERE THEN ROUNDS AT_ONCE`. Prints how many it has ended.
 */
const [engine, where, then, rounds, atOnce] = process.argv.slice(2) as [EngineName, string, string, string, string];

class Busy extends Connection {
  override connectionCompleted(): void {
    this.sendData("begin");
  }
  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
}

async function startAndEnd(): Promise<void> {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: { engine, where, then } });
  const gone = once(worker, "exit");
  const [said] = (await Promise.race([once(worker, "message"), gone])) as [unknown];
  if (said !== "here") throw new Error(`a worker ended (${String(said)}) before it was where it should be`);
  if (then !== "exit") await worker.terminate();
  await gone;
}

const reactor = new Reactor({ engine });
await reactor.run(async () => {
  const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Busy);
  for (let count = 0; count < 5; count++) reactor.connect({ host: "127.0.0.1", port: port as number }, Busy);
  let ended = 0;
  for (let round = 0; round < Number(rounds); round++) {
    await Promise.all(Array.from({ length: Number(atOnce) }, startAndEnd));
    ended += Number(atOnce);
  }
  const { bytesIn } = reactor.stats();
  console.log(JSON.stringify({ ended, busy: bytesIn > 1_000 }));
  reactor.stop();
});
