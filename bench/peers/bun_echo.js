// Bun.listen: the runtime's own socket handlers, one object for all connections. What a write did not take is kept.
// With a certificate and a key it speaks TLS (BoringSSL).
//
//   bun_echo.js [CERTIFICATE KEY]
const [certificate, key] = process.argv.slice(2);
const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  ...(key === undefined ? {} : { tls: { cert: Bun.file(certificate), key: Bun.file(key) } }),
  socket: {
    open(socket) {
      socket.setNoDelay(true);
      socket.data = null;
    },
    data(socket, chunk) {
      if (socket.data) {
        socket.data = Buffer.concat([socket.data, chunk]);
        return;
      }
      const sent = socket.write(chunk);
      if (sent < chunk.length) socket.data = Buffer.from(chunk.subarray(Math.max(sent, 0)));
    },
    drain(socket) {
      if (!socket.data) return;
      const sent = socket.write(socket.data);
      socket.data = sent < socket.data.length ? socket.data.subarray(Math.max(sent, 0)) : null;
    },
  },
});
console.log(`listening on 127.0.0.1:${server.port}`);
