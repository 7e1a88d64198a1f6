// Forwards every connection to another address, both ways, holding at most a high-water mark of data a direction.
//   node .build/examples/port_forwarder.js LISTEN TARGET     such as 127.0.0.1:7002 127.0.0.1:7000
import {
  type CloseReason,
  type ConnectAddress,
  Connection,
  connect,
  formatAddress,
  parseAddress,
  run,
  startServer,
} from "eventmachine";

/** One end of a forwarded connection; what comes in here leaves at `other`. */
abstract class Leg extends Connection {
  protected abstract readonly other: Leg;

  override receiveData(data: Buffer): void {
    if (!this.other.sendData(data)) this.pause();
  }

  /** What was queued here has left: the other leg may read again. */
  override drained(): void {
    this.other.resume();
  }

  /** One direction is over; the other may go on for as long as it likes. */
  override receiveEnd(): void {
    this.other.halfClose();
  }

  override unbind(reason: CloseReason): void {
    if (reason.kind === "peer-reset") this.other.abort();
    else this.other.closeConnectionAfterWriting();
  }
}

class Outward extends Leg {
  protected override readonly other: Inward;

  constructor(inward: Inward) {
    super();
    this.other = inward;
  }

  override unbind(reason: CloseReason): void {
    if ("error" in reason) console.error(`target: ${reason.kind}`);
    super.unbind(reason);
  }
}

class Inward extends Leg {
  protected override other!: Outward;
  readonly #target: ConnectAddress;

  constructor(target: ConnectAddress) {
    super();
    this.#target = target;
  }

  /** Data may come in before the target answers: what is sent to a connection under way is queued. */
  override postInit(): void {
    this.other = connect({ ...this.#target, allowHalfOpen: true }, Outward, this);
  }
}

const [from = "127.0.0.1:7002", to = "127.0.0.1:7000"] = process.argv.slice(2);
const target = parseAddress(to);

await run(
  async () => {
    const address = "path" in target ? target : { host: "127.0.0.1", ...target };
    const server = await startServer({ ...parseAddress(from), allowHalfOpen: true }, Inward, address);
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true, drainDeadline: 1_000 },
);
