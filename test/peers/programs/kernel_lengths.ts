import { Connection, Reactor } from "eventmachine";

/**
 * `kernel_lengths.js CONNECTION LISTENER`: asks for the filter of the one, with memory of several sizes, and for the address
 * of the other, and prints what came as JSON.
 */
const SOL_SOCKET = 1;
const SO_GET_FILTER = 26;

const reactor = new Reactor({ engine: "native" });

function ask(connection: Connection, size: number): number | string {
  try {
    return connection.getSockOpt(SOL_SOCKET, SO_GET_FILTER, size).length;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

await reactor.run(async () => {
  const connection = reactor.attach({ fd: Number(process.argv[2]) }, class extends Connection {});
  await connection.opened;
  const lengths: (number | string)[] = [];
  // Many, beside other memory: what is written beyond its end shows at the next collection at the latest.
  for (let round = 0; round < 200; round++)
    lengths.splice(0, 9, ...[8, 64, 100, 512, 1024].map((size) => ask(connection, size)));
  const listener = await reactor.attachServer({ fd: Number(process.argv[3]) }, Connection);
  const { address } = listener;
  console.log(JSON.stringify({ lengths, path: address?.family === "unix" ? address.path : undefined }));
  reactor.stop();
});
