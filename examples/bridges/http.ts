// node:http on connections of the reactor: an http.Server, and an http.Agent that asks it.
//   node .build/examples/bridges/http.js
import { Agent, createServer, get } from "node:http";
import { Connection, connect, run, startServer, stop, toDuplex } from "eventmachine";

const server = createServer((request, response) => response.end(`hello ${request.url?.slice(1)}`));

class Http extends Connection {
  override postInit(): void {
    server.emit("connection", toDuplex(this, { allowHalfOpen: true }));
  }
}

await run(async () => {
  const { port } = await startServer({ host: "127.0.0.1", port: 0 }, Http);
  const agent = new Agent({ keepAlive: true });
  agent.createConnection = () => toDuplex(connect({ host: "127.0.0.1", port }));
  get({ agent, path: "/world" }, async (response) => {
    for await (const chunk of response) console.log(`${response.statusCode} ${chunk}`);
    stop();
  });
});
