// node:net, as its own documentation writes an echo, with Nagle off like every other server here.
import net from "node:net";

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("data", (chunk) => socket.write(chunk));
  socket.on("error", () => socket.destroy());
});
server.listen(0, "127.0.0.1", 1024, () => console.log(`listening on 127.0.0.1:${server.address().port}`));
