// node:net, as its own documentation joins two sockets: node_relay.mjs BACKEND_PORT
import net from "node:net";

const backend = Number(process.argv[2]);
const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (front) => {
  const back = net.connect({ host: "127.0.0.1", port: backend, noDelay: true, allowHalfOpen: true });
  front.pipe(back);
  back.pipe(front);
  front.on("error", () => back.destroy());
  back.on("error", () => front.destroy());
});
server.listen(0, "127.0.0.1", 1024, () => console.log(`listening on 127.0.0.1:${server.address().port}`));
