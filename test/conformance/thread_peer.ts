import { readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import {
  ChildProcess,
  type CloseReason,
  Connection,
  Reactor,
  type ReactorOptions,
  WatchedDescriptor,
} from "eventmachine";

/** What the thread is asked, with a descriptor that is its own from then on; it answers each. */
export type Order =
  | { readonly what: "attach"; readonly fd: number; readonly unread: Uint8Array }
  | { readonly what: "watch" | "write"; readonly fd: number }
  | { readonly what: "write to a child" }
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

/** Writes until nobody reads any more. */
class Writer extends ChildProcess {
  override connectionCompleted(): void {
    this.#write();
  }

  #write(): void {
    if (this.state !== "open") return;
    this.sendData(Buffer.alloc(1024));
    reactor.addTimer(1, () => this.#write());
  }

  override unbind({ kind }: CloseReason): void {
    tell({ ended: kind });
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
    case "write":
      reactor.attach({ fd: order.fd }, Writer);
      return;
    case "write to a child":
      reactor.popen(["sh", "-c", "exec <&-; sleep 0.05"], Writer);
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
