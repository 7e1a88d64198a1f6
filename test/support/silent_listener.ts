import { parentPort, workerData } from "node:worker_threads";
import { Connection, Reactor, type ReactorOptions, type ServerOptions } from "eventmachine";

/** A worker whose reactor listens and then stands still: its accept queue fills up, and the kernel drops what knocks. */
const { engine, gate, options } = workerData as {
  engine: NonNullable<ReactorOptions["engine"]>;
  gate: SharedArrayBuffer;
  options: ServerOptions;
};
const reactor = new Reactor({ engine });
await reactor.run(async () => {
  const listener = await reactor.startServer({ host: "127.0.0.1", port: 0, ...options }, Connection);
  parentPort?.postMessage(listener.port);
  Atomics.wait(new Int32Array(gate), 0, 0);
  reactor.stop();
});
