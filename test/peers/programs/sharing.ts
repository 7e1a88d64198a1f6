import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection, type EngineName, Reactor } from "eventmachine";

/**
 * `sharing.js ENGINE LISTENER CONNECTION` takes over two descriptors that another process has too, and closes
 * both. Told to go on, it says what doing nothing for 300 ms costs it, in milliseconds of CPU time.
 */
const reactor = new Reactor({ engine: process.argv[2] as EngineName });

await reactor.run(async () => {
  const listener = await reactor.attachServer({ fd: Number(process.argv[3]) }, Connection);
  const connection = reactor.attach({ fd: Number(process.argv[4]) }, class extends Connection {});
  await connection.opened;
  connection.closeConnection();
  await connection.closed;
  await listener.close();
  process.stdin.once("end", () => process.exit(1));
  console.log("closed");
  await once(process.stdin, "data");
  process.stdin.destroy();
  const before = process.cpuUsage();
  await sleep(300);
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify((user + system) / 1000));
  reactor.stop();
});
