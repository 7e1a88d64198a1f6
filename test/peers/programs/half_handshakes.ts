// One end of TLS handshakes, on the native engine; its argument says which: a role, and options of the context, as JSON.
// A server prints its port first. For each line that comes in it prints how many connections there are and the process's
// resident memory, as JSON; a client is told by "connect PORT" to connect once more. Needs --expose-gc.
import { createInterface } from "node:readline";
import { Connection, Reactor, type TlsOptions } from "eventmachine";
import { clientContext, serverContext } from "../../support/pki.js";

const { role, ...options } = JSON.parse(process.argv[2] ?? "{}") as TlsOptions & { role: "server" | "client" };
const reactor = new Reactor({ engine: "native" });
const tls = { ...options, handshakeTimeout: 0 };

class Client extends Connection {
  override postInit(): void {
    this.startTls({ context, serverName: "localhost" });
  }
}

const context = clientContext(role === "client" ? tls : {});

await reactor.run(async () => {
  if (role === "server") {
    const server = { host: "127.0.0.1", port: 0, tls: serverContext(tls), maxHandshakes: Number.POSITIVE_INFINITY };
    const listener = await reactor.startServer(server, class extends Connection {});
    console.log(listener.port);
  }
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const [what, port] = line.split(" ");
    if (what === "connect") {
      reactor.connect({ host: "127.0.0.1", port: Number(port) }, Client);
      return;
    }
    globalThis.gc?.();
    console.log(JSON.stringify({ open: reactor.connectionCount, resident: process.memoryUsage().rss }));
  });
  lines.on("close", () => reactor.stop());
});
