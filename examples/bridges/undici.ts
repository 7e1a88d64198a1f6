// undici on connections of the reactor. Its callback must not be called within the call: `connect` is a later turn.
//   node .build/examples/bridges/undici.js HOST:PORT PATH
import { connect, parseAddress, run, stop, toDuplex } from "eventmachine";
import { Client } from "undici";

const { host = "127.0.0.1", port } = parseAddress(process.argv[2] as string) as { host?: string; port: number };

await run(async () => {
  const client = new Client(`http://${host}:${port}`, {
    connect(_options, callback) {
      const socket = toDuplex(connect({ host, port }));
      socket.once("connect", () => callback(null, socket));
      socket.once("error", (error) => callback(error, null));
    },
  });
  const { statusCode, body } = await client.request({ method: "GET", path: process.argv[3] ?? "/" });
  console.log(`${statusCode} ${await body.text()}`);
  await client.close();
  stop();
});
