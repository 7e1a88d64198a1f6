// Prints what a server sends, and comes back with growing pauses whenever the connection is lost.
//   node .build/examples/reconnecting_client.js [ADDRESS] [FIRST-PAUSE-MS]
import {
  type CloseReason,
  type ConnectAddress,
  Connection,
  connect,
  parseAddress,
  ReconnectPolicy,
  run,
} from "eventmachine";

class Subscriber extends Connection {
  readonly #address: ConnectAddress;
  readonly #again: ReconnectPolicy;
  #leaving = false;

  constructor(address: ConnectAddress, firstPause: number) {
    super();
    this.#address = address;
    this.#again = new ReconnectPolicy({ min: firstPause });
  }

  override connectionCompleted(): void {
    console.log("connected");
    this.#again.reset();
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
    if (this.#leaving || !this.#again.reconnect(this, this.#address)) return;
    console.log(`${reason.kind}, attempt ${this.#again.attempts} soon`);
  }
}

const [target = "127.0.0.1:7000", firstPause = "100"] = process.argv.slice(2);
const address = { host: "127.0.0.1", connectTimeout: 5_000, ...parseAddress(target) };

await run(() => connect(address, Subscriber, address, Number(firstPause)), { signals: true });
