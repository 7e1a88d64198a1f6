// The same http.Server as peers/node_http.mjs, its connections coming from a reactor: http_bridge.mjs ENGINE
import { createServer } from "node:http";
import { Connection, Reactor, toDuplex } from "eventmachine";

const server = createServer((_request, response) => response.end("hello world"));

class Http extends Connection {
  postInit() {
    server.emit("connection", toDuplex(this, { allowHalfOpen: true }));
  }
}

const reactor = new Reactor({ engine: process.argv[2] });
await reactor.run(async () => {
  const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Http);
  console.log(`listening on 127.0.0.1:${port}`);
  process.on("SIGTERM", () => reactor.stop());
});
process.exit();
