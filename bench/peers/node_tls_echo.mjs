// node:tls, as its own documentation writes an echo, with Nagle off like every other server here.
//   node_tls_echo.mjs CERTIFICATE KEY
import { readFileSync } from "node:fs";
import tls from "node:tls";

const [certificate, key] = process.argv.slice(2).map((path) => readFileSync(path));
const server = tls.createServer({ cert: certificate, key, noDelay: true }, (socket) => {
  socket.on("data", (chunk) => socket.write(chunk));
  socket.on("error", () => socket.destroy());
});
server.on("tlsClientError", () => {});
server.listen(0, "127.0.0.1", 1024, () => console.log(`listening on 127.0.0.1:${server.address().port}`));
