// Every connection relayed to one of its own to a backend on loopback: relay.mjs ENGINE BACKEND_PORT
import { Connection, Reactor, relay } from "eventmachine";

const [engine, backend] = process.argv.slice(2);
const reactor = new Reactor({ engine });

class Front extends Connection {
  postInit() {
    relay(this, reactor.connect({ host: "127.0.0.1", port: Number(backend) }));
  }
}

await reactor.run(async () => {
  const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Front);
  console.log(`listening on 127.0.0.1:${port}`);
  process.on("SIGTERM", () => reactor.stop());
});
