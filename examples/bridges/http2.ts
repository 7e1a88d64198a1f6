// node:http2 on connections of the reactor, both ends.
//   node .build/examples/bridges/http2.js
import { connect as connectHttp2, createServer } from "node:http2";
import { Connection, connect, run, startServer, stop, toDuplex } from "eventmachine";

const server = createServer((request, response) => response.end(`hello ${request.url.slice(1)}`));

class Http2 extends Connection {
  override postInit(): void {
    server.emit("connection", toDuplex(this));
  }
}

await run(async () => {
  const { port } = await startServer({ host: "127.0.0.1", port: 0 }, Http2);
  const session = connectHttp2(`http://127.0.0.1:${port}`, {
    createConnection: () => toDuplex(connect({ host: "127.0.0.1", port })),
  });
  for await (const chunk of session.request({ ":path": "/world" })) console.log(String(chunk));
  session.close(() => stop());
});
