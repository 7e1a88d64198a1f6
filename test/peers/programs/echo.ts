import { createInterface } from "node:readline";
import { Connection, type EngineName, Reactor } from "eventmachine";

/**
 * An echo server in a process of its own. `echo.js ENGINE` prints its port as JSON; every line on its standard input is
 * answered with its figures.
 */
class Echo extends Connection {
  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
}

const reactor = new Reactor({ engine: process.argv[2] as EngineName });

await reactor.run(async () => {
  const listener = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Echo);
  console.log(JSON.stringify({ port: listener.port }));
  const input = createInterface({ input: process.stdin });
  input.on("line", () => {
    const { accepted, connections } = reactor.stats();
    console.log(JSON.stringify({ accepted, connections }));
  });
  input.on("close", () => reactor.stop());
});
