// Opens as many datagram sockets as it is told, a number a line on its input, and then says so.
import { createInterface } from "node:readline";
import { DatagramSocket, Reactor } from "../../dist/index.js";

const reactor = new Reactor({ engine: "native" });
const sockets = [];

await reactor.run(async () => {
  console.log("listening on nothing:0");
  for await (const line of createInterface({ input: process.stdin })) {
    while (sockets.length < Number(line)) {
      sockets.push(await reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, DatagramSocket));
    }
    console.log(`holding ${sockets.length}`);
  }
  reactor.stop();
});
