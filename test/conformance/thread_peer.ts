import { readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { Connection, Reactor, type ReactorOptions, WatchedDescriptor } from "eventmachine";

/** What the thread is asked, with a descriptor that is its own from then on; it answers each. */
export type Order =
  | { readonly what: "attach"; readonly fd: number; readonly unread: Uint8Array }
  | { readonly what: "watch"; readonly fd: number }
  | { readonly what: "give back" | "stop" };

const { engine } = workerData as { engine: NonNullable<ReactorOptions["engine"]> };
const tell = (answer: object) => parentPort?.postMessage(answer);

class Echo extends Connection {
  readonly #unread: Uint8Array;

  constructor(unread: Uint8Array) {
    super();
    this.#unread = unread;
  }

  override connectionCompleted(): void {
    this.sendData(this.#unread);
    tell({ attached: true });
  }

  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
}

class Reader extends WatchedDescriptor {
  override notifyReadable(): void {
    const room = Buffer.alloc(1024);
    tell({ read: room.toString("utf8", 0, readSync(this.fd, room)) });
  }
}

const reactor = new Reactor({ engine });
let held: Connection | undefined;

async function obey(order: Order): Promise<void> {
  switch (order.what) {
    case "attach":
      held = reactor.attach({ fd: order.fd }, Echo, order.unread);
      return;
    case "watch":
      try {
        held = reactor.watch({ fd: order.fd, notifiesReadable: true }, Reader);
        tell({ watching: true });
      } catch (error) {
        tell({ refused: (error as { code?: string }).code });
      }
      return;
    case "give back":
      tell({ ...(await held?.detach()) });
      return;
    default:
      reactor.stop();
  }
}

await reactor.run(() => {
  parentPort?.on("message", (order: Order) => void obey(order));
  tell({ ready: true });
});
parentPort?.close();
