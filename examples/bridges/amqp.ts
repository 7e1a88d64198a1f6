// AMQP on a connection of the reactor, with amqplib: it takes no stream, but hands its socket options to tls.connect.
//   node .build/examples/bridges/amqp.js HOST:PORT CERTIFICATE
import { readFileSync } from "node:fs";
import amqp from "amqplib";
import { connect, parseAddress, run, stop, toDuplex } from "eventmachine";

const { host = "127.0.0.1", port } = parseAddress(process.argv[2] ?? ":5671") as { host?: string; port: number };
const ca = readFileSync(process.argv[3] as string);

await run(async () => {
  const socket = toDuplex(connect({ host, port }));
  const broker = await amqp.connect(
    { protocol: "amqps", hostname: host, port },
    { socket, ca, servername: "localhost" },
  );
  const channel = await broker.createConfirmChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  channel.sendToQueue(queue, Buffer.from("hello"));
  await channel.waitForConfirms();
  const message = await channel.get(queue, { noAck: true });
  if (message !== false) console.log(message.content.toString());
  await broker.close();
  stop();
});
