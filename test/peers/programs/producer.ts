import { createInterface } from "node:readline";
import { Connection, type EngineName, Reactor } from "eventmachine";

/**
 * Sends to everybody without an end: `producer.js ENGINE OPTIONS`. A polite producer stops when it is told that it should
 * and goes on when it is `drained`; a rude one does not listen. Prints the ports of the producer and of an echo server
 * beside it, and for every line of input its figures.
 */
interface Options {
  rude: boolean;
  outboundLimit: number;
  reactorLimit: number;
}

const { rude, outboundLimit, reactorLimit } = JSON.parse(process.argv[3] as string) as Options;
const block = Buffer.alloc(16_384, "p");
let peak = 0;

class Producer extends Connection {
  override postInit(): void {
    this.#produce();
  }

  override drained(): void {
    if (!rude) this.#produce();
  }

  #produce(): void {
    if (this.state !== "open") return;
    while (this.sendData(block));
    peak = Math.max(peak, this.outboundSize);
    if (rude) reactor.addTimer(1, () => this.#produce());
  }
}

class Echo extends Connection {
  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
}

const reactor = new Reactor({ engine: process.argv[2] as EngineName, outboundLimit: reactorLimit });
await reactor.run(async () => {
  const listener = await reactor.startServer({ host: "127.0.0.1", port: 0, outboundLimit }, Producer);
  const echo = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Echo);
  console.log(JSON.stringify({ port: listener.port, echoPort: echo.port }));
  createInterface({ input: process.stdin }).on("line", () => {
    const { accepted, connections, closed } = reactor.stats();
    console.log(JSON.stringify({ accepted, connections, closed, peak }));
  });
});
