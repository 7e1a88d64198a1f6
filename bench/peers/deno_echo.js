// Deno.listen, one async loop and one buffer a connection, as its documentation writes an echo.
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(`listening on 127.0.0.1:${listener.addr.port}`);

async function echo(connection) {
  connection.setNoDelay(true);
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (;;) {
      const got = await connection.read(buffer);
      if (got === null) break;
      let sent = 0;
      while (sent < got) sent += await connection.write(buffer.subarray(sent, got));
    }
  } finally {
    connection.close();
  }
}

for await (const connection of listener) echo(connection).catch((error) => console.error(error.message));
