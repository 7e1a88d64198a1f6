// A server on a UNIX socket that only its own user may open, and that knows who is calling.
//   node .build/examples/unix_server.js [PATH]               default ./greeter.sock; try: nc -U greeter.sock
import { Connection, formatAddress, run, startServer, UnsupportedError } from "eventmachine";

class Greeter extends Connection {
  override postInit(): void {
    this.sendData(`hello, ${this.#caller()}\n`);
    this.closeConnectionAfterWriting();
  }

  #caller(): string {
    try {
      const { pid, uid } = this.peerCredentials();
      return `process ${pid} of user ${uid}`;
    } catch (error) {
      // The portable engine cannot ask the kernel.
      if (error instanceof UnsupportedError) return "whoever you are";
      throw error;
    }
  }
}

const path = process.argv[2] ?? "greeter.sock";

await run(
  async () => {
    // A socket that a dead server left behind is replaced, a living server's or a regular file never.
    const server = await startServer({ path, mode: 0o600 }, Greeter);
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true },
);
