// An echo server that tells systemd how it is: ready, still alive, stopping. systemd says by NOTIFY_SOCKET where it listens, a Unix
// datagram socket, and by WATCHDOG_USEC how often it wants to hear.
//   node .build/examples/sd_notify.js [HOST:PORT]            default 127.0.0.1:7000; in a unit with Type=notify, WatchdogSec=10
import {
  addPeriodicTimer,
  Connection,
  DatagramSocket,
  type EventMachineError,
  formatAddress,
  openDatagramSocket,
  parseAddress,
  run,
  startServer,
} from "eventmachine";

/** A socket without a name that is connected to systemd's; sends nothing where nobody wants to hear. */
class Notifier extends DatagramSocket {
  /** Undefined where the process is not systemd's, or the engine has no Unix datagrams. */
  static async open(): Promise<Notifier | undefined> {
    const { NOTIFY_SOCKET: path, WATCHDOG_USEC: watchdog } = process.env;
    if (path === undefined) return undefined;
    try {
      // A name that begins with @ is one of Linux's abstract space.
      const remote = { path: path.replace(/^@/, "\0") };
      const notifier = await openDatagramSocket({ path: "", remote }, Notifier);
      const every = Number(watchdog) / 1000 / 2;
      if (every > 0) addPeriodicTimer(every, () => notifier.tell("WATCHDOG=1"));
      return notifier;
    } catch (error) {
      console.error(`nobody is told: ${(error as Error).message}`);
      return undefined;
    }
  }

  tell(...lines: string[]): void {
    if (this.state === "open") this.sendData(lines.join("\n"));
  }

  override sendFailed(error: EventMachineError): void {
    console.error(`not told: ${error.message}`);
  }

  /** A drain has begun. What is sent here leaves before the socket closes. */
  override shutdownRequested(): void {
    this.tell("STOPPING=1", "STATUS=waiting for connections");
    this.closeConnectionAfterWriting();
  }
}

class Echo extends Connection {
  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
}

const address = parseAddress(process.argv[2] ?? "127.0.0.1:7000");

await run(
  async () => {
    const server = await startServer(address, Echo);
    const notifier = await Notifier.open();
    const place = formatAddress(server.address);
    notifier?.tell("READY=1", `STATUS=listening on ${place}`);
    console.log(`listening on ${place}`);
  },
  { signals: true },
);
