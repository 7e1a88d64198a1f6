// A connection read by a loop, line by line: answers the lines that contain a word, and hangs up at "quit".
//   node .build/examples/log_filter.js WORD [ADDRESS]        try: nc 127.0.0.1 7000
import { Connection, formatAddress, lines, parseAddress, run, startServer } from "eventmachine";

const word = process.argv[2] ?? "error";
const address = parseAddress(process.argv[3] ?? "127.0.0.1:7000");

class Filter extends Connection {
  override async postInit(): Promise<void> {
    for await (const line of lines(this, { maxLineLength: 8 * 1024 })) {
      if (line === "quit") break;
      if (line.includes(word)) this.sendData(`${line}\n`);
    }
  }

  /** A line over the limit: the loop has thrown, and has closed the connection behind it. */
  override onError(error: unknown): boolean {
    console.error(`${error}`);
    return true;
  }
}

await run(
  async () => {
    const server = await startServer({ ...address, commInactivityTimeout: 60_000 }, Filter);
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true, drainDeadline: 1_000 },
);
