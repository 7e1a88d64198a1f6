// Sends back what comes in.
//   node .build/examples/echo_server.js [ADDRESS]        default 127.0.0.1:7000; try: nc 127.0.0.1 7000
import { Connection, formatAddress, parseAddress, run, startServer } from "eventmachine";

class Echo extends Connection {
  override receiveData(data: Buffer): void {
    // False: the peer sends faster than it reads. Take nothing more from it until it has caught up.
    if (!this.sendData(data)) this.pause();
  }

  override drained(): void {
    this.resume();
  }

  override shutdownRequested(): void {
    this.closeConnectionAfterWriting();
  }
}

const address = parseAddress(process.argv[2] ?? "127.0.0.1:7000");

await run(
  async () => {
    const server = await startServer(address, Echo);
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true },
);
