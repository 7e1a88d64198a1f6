// One reactor in each of several threads, all on one port: the kernel spreads the connections over them.
//   node .build/examples/workers.js [PORT] [THREADS]         needs the capability reusePort
import { isMainThread, parentPort, threadId, Worker, workerData } from "node:worker_threads";
import { Connection, run, type ServerAddress, startServer, stop } from "eventmachine";

class WhoAmI extends Connection {
  override postInit(): void {
    this.sendData(`thread ${threadId}\n`);
    this.closeConnectionAfterWriting();
  }
}

/** Each thread has a default reactor of its own: module-level functions act on the thread's. */
async function serve(address: ServerAddress): Promise<void> {
  await run(async () => {
    const server = await startServer(address, WhoAmI);
    parentPort?.postMessage(server.port);
    parentPort?.once("message", stop);
  });
  parentPort?.close();
}

/** Starts a thread, and waits until it listens. */
async function startWorker(port: number): Promise<{ worker: Worker; port: number }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { host: "127.0.0.1", port, reusePort: true } });
  const listening = await new Promise<number>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  return { worker, port: listening };
}

if (isMainThread) {
  const [port = 7000, threads = 2] = process.argv.slice(2).map(Number);
  // The first one chooses the port where none is given; the others share it.
  const first = await startWorker(port);
  const others = await Promise.all(Array.from({ length: threads - 1 }, () => startWorker(first.port)));
  console.log(`listening on 127.0.0.1:${first.port}`);
  process.once("SIGTERM", () => {
    for (const { worker } of [first, ...others]) worker.postMessage("stop");
  });
} else {
  await serve(workerData as ServerAddress);
}
