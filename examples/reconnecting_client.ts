// Prints what a server sends, and comes back with growing pauses whenever the connection is lost.
//   node .build/examples/reconnecting_client.js [ADDRESS] [FIRST-PAUSE-MS]
import { addTimer, type CloseReason, type ConnectAddress, Connection, connect, parseAddress, run } from "eventmachine";

const LONGEST_PAUSE = 30_000;

class Subscriber extends Connection {
  readonly #address: ConnectAddress;
  readonly #firstPause: number;
  #pause: number;
  #leaving = false;

  constructor(address: ConnectAddress, firstPause: number) {
    super();
    this.#address = address;
    this.#firstPause = firstPause;
    this.#pause = firstPause;
  }

  override connectionCompleted(): void {
    console.log("connected");
    this.#pause = this.#firstPause;
  }

  override receiveData(data: Buffer): void {
    process.stdout.write(data);
  }

  override shutdownRequested(): void {
    this.#leaving = true;
    this.closeConnection();
  }

  /** Also for a connect that failed: one place for every way to be without a connection. */
  override unbind(reason: CloseReason): void {
    if (this.#leaving || reason.kind === "stop") return;
    // A random part of the pause, so that a thousand clients of a restarted server do not come back at once.
    const pause = this.#pause * (0.5 + Math.random() / 2);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    console.log(`${reason.kind}, again in ${Math.round(pause)} ms`);
    addTimer(pause, () => this.reconnect(this.#address));
  }
}

const [target = "127.0.0.1:7000", firstPause = "100"] = process.argv.slice(2);
const address = { host: "127.0.0.1", connectTimeout: 5_000, ...parseAddress(target) };

await run(() => connect(address, Subscriber, address, Number(firstPause)), { signals: true });
