import { Connection, type EngineName, Reactor } from "eventmachine";

/**
 * A server that drains on SIGTERM: `draining.js ENGINE` prints its port, echoes, and prints at the end what the run came
 * to: how many connections there were, and how many bytes it was asked to send back.
 */
let echoed = 0;
let accepted = 0;
const reasons: Record<string, number> = {};

class DrainingEcho extends Connection {
  override postInit(): void {
    accepted++;
  }
  override receiveData(data: Buffer): void {
    echoed += data.length;
    this.sendData(data);
  }
  override shutdownRequested(): void {
    this.closeConnectionAfterWriting();
  }
  override unbind({ kind }: { kind: string }): void {
    reasons[kind] = (reasons[kind] ?? 0) + 1;
  }
}

const reactor = new Reactor({ engine: process.argv[2] as EngineName });
await reactor.run(
  async () => {
    const listener = await reactor.startServer({ host: "127.0.0.1", port: 0 }, DrainingEcho);
    console.log(JSON.stringify({ port: listener.port }));
  },
  { signals: true, drainDeadline: 20_000 },
);
console.log(JSON.stringify({ accepted, echoed, reasons }));
