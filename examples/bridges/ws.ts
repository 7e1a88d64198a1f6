// ws on connections of the reactor: a server on node:http's upgrade, and a client.
//   node .build/examples/bridges/ws.js
import { createServer } from "node:http";
import { Connection, connect, run, startServer, stop, toDuplex } from "eventmachine";
import { WebSocket, WebSocketServer } from "ws";

const server = createServer();
const sockets = new WebSocketServer({ noServer: true });
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (webSocket) => {
    webSocket.on("message", (data) => webSocket.send(`you said ${data}`));
  });
});

class Http extends Connection {
  override postInit(): void {
    server.emit("connection", toDuplex(this, { allowHalfOpen: true }));
  }
}

await run(async () => {
  const { port } = await startServer({ host: "127.0.0.1", port: 0 }, Http);
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, {
    createConnection: () => toDuplex(connect({ host: "127.0.0.1", port })),
  });
  socket.on("open", () => socket.send("hello"));
  socket.on("message", (data) => {
    console.log(String(data));
    socket.close();
  });
  socket.on("close", () => stop());
});
