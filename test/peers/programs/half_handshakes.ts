// A TLS server of the native engine. It prints its port, and for each line that comes in how many connections there are and the
// process's resident memory, as JSON. Needs --expose-gc.
import { createInterface } from "node:readline";
import { Connection, Reactor } from "eventmachine";
import { serverContext } from "../../support/pki.js";

const reactor = new Reactor({ engine: "native" });

await reactor.run(async () => {
  const tls = serverContext({ handshakeTimeout: 0 });
  const options = { host: "127.0.0.1", port: 0, tls, maxHandshakes: Number.POSITIVE_INFINITY };
  const listener = await reactor.startServer(options, class extends Connection {});
  console.log(listener.port);
  const lines = createInterface({ input: process.stdin });
  lines.on("line", () => {
    globalThis.gc?.();
    console.log(JSON.stringify({ open: reactor.connectionCount, resident: process.memoryUsage().rss }));
  });
  lines.on("close", () => reactor.stop());
});
