// Check results as JSON, over TCP and over UDP on the same port and by the same class, as sensu's client takes them.
//   node .build/examples/check_input.js [HOST:PORT]          default 127.0.0.1:3030; try:
//   echo '{"name":"disk","status":0,"output":"42 % free"}' | nc 127.0.0.1 3030        (or nc -u)
import { Connection, formatAddress, openDatagramSocket, parseAddress, run, startServer } from "eventmachine";

const LONGEST = 64 * 1024;

/** One result for each datagram; over a stream one for each connection, in as many pieces as it likes. */
class CheckInput extends Connection {
  readonly #isDatagrams: boolean;
  #text = "";

  constructor(isDatagrams: boolean) {
    super();
    this.#isDatagrams = isDatagrams;
  }

  override receiveData(data: Buffer): void {
    if (this.#isDatagrams) {
      this.#answer(data.toString());
      return;
    }
    this.#text += data.toString("latin1");
    if (this.#text.length > LONGEST) this.#finish("too long");
    else if (isWhole(this.#text)) this.#answer(Buffer.from(this.#text, "latin1").toString());
  }

  #answer(text: string): void {
    const result = parse(text);
    if (result !== undefined) console.log(`${result.name}: ${result.status} ${result.output}`);
    this.#finish(result === undefined ? "invalid" : "ok");
  }

  /** Inside receiveData `sendData` answers the sender of a datagram as it does a stream's peer. */
  #finish(answer: string): void {
    this.sendData(answer);
    if (!this.#isDatagrams) this.closeConnectionAfterWriting();
  }
}

function isWhole(text: string): boolean {
  return text.trimEnd().endsWith("}") && parse(text) !== undefined;
}

function parse(text: string): { name: string; status: number; output: string } | undefined {
  try {
    const { name, status, output } = JSON.parse(text);
    if (typeof name === "string" && Number.isInteger(status) && typeof output === "string")
      return { name, status, output };
  } catch {
    // No JSON, or not all of it.
  }
  return undefined;
}

const address = parseAddress(process.argv[2] ?? "127.0.0.1:3030");
if ("path" in address) throw new Error("HOST:PORT, please");

await run(
  async () => {
    const server = await startServer(
      { ...address, firstByteTimeout: 5_000, lifetimeTimeout: 10_000 },
      CheckInput,
      false,
    );
    const port = server.port as number;
    await openDatagramSocket({ ...address, port }, CheckInput, true);
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true },
);
