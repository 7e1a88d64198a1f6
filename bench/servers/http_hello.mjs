// Eleven bytes to every request: http_hello.mjs ENGINE class|fetch|fetch-global
import { Reactor } from "eventmachine";
import { HttpConnection, Response as Ours, serveHttp } from "eventmachine/http";

const [, , engine, face] = process.argv;
const address = { host: "127.0.0.1", port: 0 };
const TEXT = { "content-type": "text/plain" };
const INIT = { headers: TEXT };

class Hello extends HttpConnection {
  receiveRequest(_request, response) {
    response.send(200, TEXT, "hello world");
  }
}

const reactor = new Reactor({ engine });
const faces = {
  class: () => reactor.startServer(address, Hello),
  fetch: () => serveHttp(address, () => new Ours("hello world", INIT), { reactor }),
  "fetch-global": () => serveHttp(address, () => new Response("hello world", INIT), { reactor }),
};
await reactor.run(async () => {
  const { port } = await faces[face]();
  console.log(`listening on 127.0.0.1:${port}`);
  process.on("SIGTERM", () => reactor.stop());
});
process.exit();
