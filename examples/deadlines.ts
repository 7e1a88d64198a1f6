// A server that waits for nobody for ever: each connection has its deadlines, and the log says which one passed.
//   node .build/examples/deadlines.js [ADDRESS] [SCALE]      SCALE multiplies the times below; try: nc 127.0.0.1 7000
import { type CloseReason, Connection, formatAddress, parseAddress, run, startServer } from "eventmachine";

class Guarded extends Connection {
  override receiveData(data: Buffer): void {
    const text = data.toString().trim();
    // "wait": this peer has said that it will be quiet, so it alone gets other deadlines.
    if (text === "wait") {
      this.readTimeout = 0;
      this.commInactivityTimeout = 0;
    }
    this.sendData(`${text}\n`);
  }

  override unbind(reason: CloseReason): void {
    console.log(`#${this.id} ended: ${reason.kind === "timeout" ? reason.error.message : reason.kind}`);
  }
}

const address = parseAddress(process.argv[2] ?? "127.0.0.1:7000");
const scale = Number(process.argv[3] ?? 1);

await run(
  async () => {
    const server = await startServer(
      {
        ...address,
        firstByteTimeout: 2_000 * scale, // says nothing after it has connected
        readTimeout: 5_000 * scale, // says nothing more
        commInactivityTimeout: 10_000 * scale, // neither reads nor writes
        writeTimeout: 5_000 * scale, // does not take what it is sent
        lifetimeTimeout: 20_000 * scale, // however busy it is
      },
      Guarded,
    );
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true, drainDeadline: 0 },
);
