import { Connection, type EngineName, Reactor } from "eventmachine";

/** `exiting.js ENGINE SIZE`: answers the first bytes with SIZE bytes, and leaves the process in the same callback. */
const size = Number(process.argv[3]);

class LastWords extends Connection {
  override receiveData(): void {
    this.sendData("begin:");
    this.sendData(Buffer.alloc(size, "w"));
    process.exit(7);
  }
}

const reactor = new Reactor({ engine: process.argv[2] as EngineName });
await reactor.run(async () => {
  const listener = await reactor.startServer({ host: "127.0.0.1", port: 0 }, LastWords);
  console.log(JSON.stringify({ port: listener.port }));
});
