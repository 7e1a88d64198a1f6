// Keeps connections busy with an echo server and says how many round trips they made and how long those took.
//   node .build/examples/load_generator.js [ADDRESS] [CONNECTIONS] [MESSAGE-BYTES] [MS]
import { type CloseReason, Connection, connect, parseAddress, run } from "eventmachine";

class Tally {
  readonly times: number[] = [];
  readonly failures = new Map<string, number>();

  fail(kind: string): void {
    this.failures.set(kind, (this.failures.get(kind) ?? 0) + 1);
  }

  /** The time that this share of all round trips stayed under. */
  quantile(share: number): string {
    const at = Math.min(this.times.length - 1, Math.floor(this.times.length * share));
    return `${(this.times[at] ?? Number.NaN).toFixed(2)} ms`;
  }
}

class Pinger extends Connection {
  readonly #tally: Tally;
  readonly #message: Buffer;
  #missing = 0;
  #sentAt = 0;

  constructor(tally: Tally, message: Buffer) {
    super();
    this.#tally = tally;
    this.#message = message;
  }

  override connectionCompleted(): void {
    this.#ping();
  }

  override receiveData(data: Buffer): void {
    this.#missing -= data.length;
    if (this.#missing > 0) return;
    this.#tally.times.push(performance.now() - this.#sentAt);
    this.#ping();
  }

  override unbind(reason: CloseReason): void {
    if (reason.kind !== "stop") this.#tally.fail(reason.kind);
  }

  #ping(): void {
    this.#missing = this.#message.length;
    this.#sentAt = performance.now();
    this.sendData(this.#message);
  }
}

const [target = "127.0.0.1:7000", connections = "64", size = "64", duration = "5000"] = process.argv.slice(2);
const tally = new Tally();

await run((reactor) => {
  const address = { host: "127.0.0.1", ...parseAddress(target) };
  const message = Buffer.alloc(Number(size), "x");
  for (let n = 0; n < Number(connections); n++) connect(address, Pinger, tally, message);
  reactor.addTimer(Number(duration), () => reactor.stop());
});

tally.times.sort((a, b) => a - b);
console.log(
  `${tally.times.length} round trips, ${Math.round((tally.times.length * 1_000) / Number(duration))} a second`,
);
console.log(`median ${tally.quantile(0.5)}, 99 % under ${tally.quantile(0.99)}, 99.9 % under ${tally.quantile(0.999)}`);
for (const [kind, count] of tally.failures) console.log(`${count} connections ended: ${kind}`);
