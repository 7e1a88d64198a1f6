import { Connection, type EngineName, listenFds, Reactor } from "eventmachine";

/**
 * A server that is handed its listening sockets: `activated.js ENGINE` accepts from every descriptor passed to it, greets
 * with the descriptor's name, and says what it was passed.
 */
class Greeter extends Connection {
  readonly #name: string;

  constructor(name: string) {
    super();
    this.#name = name;
  }

  override postInit(): void {
    this.sendData(`this is ${this.#name}\n`);
    this.closeConnectionAfterWriting();
  }
}

const reactor = new Reactor({ engine: process.argv[2] as EngineName });

await reactor.run(async () => {
  const passed = listenFds();
  const addresses = [];
  try {
    for (const { fd, name } of passed) {
      addresses.push((await reactor.attachServer({ fd }, Greeter, name ?? "nameless")).address);
    }
    console.log(JSON.stringify({ passed, addresses }));
  } catch (error) {
    console.log(JSON.stringify({ passed, error: (error as { code?: string }).code }));
  }
  process.stdin.on("end", () => reactor.stop()).resume();
});
