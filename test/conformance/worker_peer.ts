import { parentPort, workerData } from "node:worker_threads";
import { Connection, Reactor, type ReactorOptions } from "eventmachine";

/** A worker thread with a reactor of its own: it echoes, and connects back to the thread that made it. */
const { engine, back } = workerData as { engine: NonNullable<ReactorOptions["engine"]>; back: number };

class Echo extends Connection {
  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
}

class Caller extends Connection {
  override connectionCompleted(): void {
    this.sendData("from the worker");
    this.closeConnectionAfterWriting();
  }
}

const reactor = new Reactor({ engine });
parentPort?.once("message", () => reactor.stop());
await reactor.run(async () => {
  const listener = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Echo);
  await reactor.connect({ host: "127.0.0.1", port: back }, Caller).closed;
  parentPort?.postMessage(listener.port);
});
parentPort?.postMessage("stopped");
