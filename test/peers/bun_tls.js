// A TLS peer on Bun's own sockets (BoringSSL), for tls_bun.test.ts. Run by Bun, not by Node.
//   bun_tls.js server CERTIFICATE KEY     echoes; prints its port
//   bun_tls.js client PORT CA BYTES       sends so many bytes of a pattern, and prints how the echo and the end were
const [role, ...args] = process.argv.slice(2);

// What a write did not take is kept.
function send(socket, bytes) {
  if (socket.data.rest.length > 0) {
    socket.data.rest = Buffer.concat([socket.data.rest, bytes]);
    return;
  }
  const sent = Math.max(socket.write(bytes), 0);
  socket.data.rest = bytes.subarray(sent);
}

function drain(socket) {
  const { rest } = socket.data;
  socket.data.rest = Buffer.alloc(0);
  if (rest.length > 0) send(socket, rest);
}

if (role === "server") {
  const [certificate, key] = args;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert: Bun.file(certificate), key: Bun.file(key) },
    socket: {
      open(socket) {
        socket.data = { rest: Buffer.alloc(0) };
      },
      data(socket, chunk) {
        send(socket, Buffer.from(chunk));
      },
      drain,
      error() {},
    },
  });
  console.log(server.port);
} else {
  const [port, ca, size] = args;
  const all = Buffer.from(Array.from({ length: Number(size) }, (_, at) => (at * 31 + (at >> 8)) & 255));
  let got = 0;
  let right = true;
  await Bun.connect({
    hostname: "127.0.0.1",
    port: Number(port),
    tls: { ca: Bun.file(ca), serverName: "server.test", rejectUnauthorized: true },
    socket: {
      open(socket) {
        socket.data = { rest: Buffer.alloc(0) };
      },
      handshake(socket, authorized, error) {
        console.log(authorized ? "authorized" : `refused: ${error}`);
        if (authorized) send(socket, all);
        else socket.end();
      },
      data(socket, chunk) {
        right &&= Buffer.compare(Buffer.from(chunk), all.subarray(got, got + chunk.length)) === 0;
        got += chunk.length;
        if (got < all.length) return;
        console.log(right && got === all.length ? "all of it" : "something else");
        socket.end();
      },
      drain,
      close() {
        console.log("closed");
        process.exit(0);
      },
      error(_socket, error) {
        console.log(`error: ${error}`);
      },
      connectError(_socket, error) {
        console.log(`error: ${error}`);
        process.exit(1);
      },
    },
  });
}
