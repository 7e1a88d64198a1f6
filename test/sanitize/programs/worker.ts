import { parentPort, workerData } from "node:worker_threads";
import { Connection, type EngineName, Reactor } from "eventmachine";

/**
 * A reactor in a worker thread, under load of its own. Where `workerData.where` says so, it tells its parent and then
 * stays inside that callback, or leaves the thread from there, or goes on.
 */
interface Work {
  engine: EngineName;
  where: string;
  then: "stay" | "exit" | "go on";
}

const { engine, where, then } = workerData as Work;
let armed = false;

function at(callback: string): void {
  if (!armed || callback !== where) return;
  parentPort?.postMessage("here");
  if (then === "exit") process.exit(0);
  // Until the parent ends this thread from outside.
  while (then === "stay");
}

class Peer extends Connection {
  static override readonly borrowsData = true;

  override postInit(): void {
    at("postInit");
  }
  override connectionCompleted(): void {
    this.sendData(Buffer.alloc(100_000));
  }
  override receiveData(data: Buffer): void {
    at("receiveData");
    this.sendData(data.subarray(0, 30_000));
  }
  override unbind(): void {
    at("unbind");
  }
}

const reactor = new Reactor({ engine });
await reactor.run(async () => {
  const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Peer);
  const begin = () => {
    const client = reactor.connect({ host: "127.0.0.1", port: port as number }, Peer);
    reactor.addTimer(5, () => client.abort());
  };
  for (let count = 0; count < 10; count++) begin();
  reactor.addPeriodicTimer(2, begin);
  reactor.addTimer(10, () => {
    armed = true;
    at("timer");
    reactor.nextTick(() => at("tick"));
    if (where === "anywhere") parentPort?.postMessage("here");
  });
});
