import { Connection, type EngineName, Reactor } from "eventmachine";

/**
 * Puts its connections into whatever state the peer asks for, and leaves them there: `obeying.js ENGINE FILE` prints its
 * port; the first word of a connection is its order, answered with "ok".
 */
const file = process.argv[3] as string;
const MUCH = Buffer.alloc(8_000_000);

class Obedient extends Connection {
  #isNew = true;

  override receiveData(data: Buffer): void {
    if (!this.#isNew) return;
    this.#isNew = false;
    this.sendData("ok");
    const order = data.toString();
    if (order === "pause") this.pause();
    else if (order === "write") this.sendData(MUCH);
    else if (order === "send a file") void this.sendFileData(file);
    else if (order === "half-close") this.halfClose();
    else if (order === "finish") this.#finish();
    else if (order !== "stay") throw new Error(`what is ${order}?`);
  }

  #finish(): void {
    this.sendData(MUCH);
    this.closeConnectionAfterWriting();
  }
}

const reactor = new Reactor({ engine: process.argv[2] as EngineName });
await reactor.run(async () => {
  const at = { host: "127.0.0.1", port: 0, allowHalfOpen: true, lingerTimeout: 60_000 };
  const { port } = await reactor.startServer(at, Obedient);
  const full = await reactor.startServer({ ...at, maxConnections: 1 }, Obedient);
  console.log(JSON.stringify({ port, fullPort: full.port }));
});
