// node:tls on connections of the reactor, both ends; the certificate is for localhost.
//   node .build/examples/bridges/tls.js CERTIFICATE KEY
import { readFileSync } from "node:fs";
import { connect as connectTls, TLSSocket } from "node:tls";
import { Connection, connect, run, startServer, stop, toDuplex } from "eventmachine";

const cert = readFileSync(process.argv[2] as string);
const key = readFileSync(process.argv[3] as string);

class Secured extends Connection {
  override postInit(): void {
    const socket = new TLSSocket(toDuplex(this), { isServer: true, cert, key });
    socket.on("error", (error) => console.error(error.message));
    socket.pipe(socket);
  }
}

await run(async () => {
  const { port } = await startServer({ host: "127.0.0.1", port: 0 }, Secured);
  const plain = toDuplex(connect({ host: "127.0.0.1", port }));
  const socket = connectTls({ socket: plain, ca: cert, servername: "localhost" });
  socket.end("hello over TLS");
  for await (const chunk of socket) console.log(`${socket.getProtocol()}: ${chunk}`);
  stop();
});
