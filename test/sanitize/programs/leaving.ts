import { Connection, type EngineName, Reactor } from "eventmachine";

/**
 * Leaves the process from inside a callback, with traffic under way on many connections: `leaving.js ENGINE WHERE`.
 * Exits with 7 from the callback that WHERE names, with 9 when that callback never comes.
 */
const where = process.argv[3] as string;
let armed = false;

function leaveFrom(callback: string): void {
  if (armed && callback === where) process.exit(7);
}

class Peer extends Connection {
  #halfClosed = false;

  override postInit(): void {
    leaveFrom("postInit");
  }
  override connectionCompleted(): void {
    leaveFrom("connectionCompleted");
    this.sendData(Buffer.alloc(6_000_000));
    reactor.addTimer(20, () => {
      this.#halfClosed = true;
      this.halfClose();
    });
  }
  override receiveData(data: Buffer): void {
    leaveFrom("receiveData");
    if (!this.#halfClosed) this.sendData(data.subarray(0, 20_000));
  }
  override receiveEnd(): void {
    leaveFrom("receiveEnd");
    this.closeConnection();
  }
  override drained(): void {
    leaveFrom("drained");
  }
  override unbind(): void {
    leaveFrom("unbind");
  }
}

/** The same with the engine's own memory in hand. */
class Borrower extends Peer {
  static override readonly borrowsData = true;
}

const reactor = new Reactor({ engine: process.argv[2] as EngineName });
setTimeout(() => process.exit(9), 50_000).unref();
await reactor.run(async () => {
  const at = { host: "127.0.0.1", port: 0, allowHalfOpen: true };
  const servers = await Promise.all([reactor.startServer(at, Peer), reactor.startServer(at, Borrower)]);
  const begin = () => {
    for (const { port } of servers) {
      reactor.connect({ host: "127.0.0.1", port: port as number, allowHalfOpen: true }, Peer);
    }
  };
  for (let count = 0; count < 20; count++) begin();
  reactor.addTimer(10, () => {
    armed = true;
    begin();
    leaveFrom("timer");
    reactor.nextTick(() => leaveFrom("tick"));
    queueMicrotask(() => leaveFrom("microtask"));
  });
  if (where === "block") process.exit(7);
  if (where === "shutdownHook") {
    reactor.addShutdownHook(() => process.exit(7));
    reactor.addTimer(15, () => reactor.stop());
  }
});
process.exit(9);
