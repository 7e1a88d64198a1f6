// Accepts as many connections as its descriptors allow. Each line it is given is answered by one line of JSON: "report" by
// what was accepted so far; "attach" by the errno of each way to attach the listener to another reactor. Ends when its input does.
import { createInterface } from "node:readline";
import { sockets } from "../../support/descriptors.js";
import { CONNECT, Driver, LISTEN } from "./driver.js";

const driver = new Driver();
const other = new Driver();
const before = sockets();
const { listener, address } = await driver.listen();
const [fd] = [...sockets()].filter((number) => !before.has(number)) as [number];

async function attach(): Promise<number[]> {
  const errnos: number[] = [];
  for (const each of [other, driver]) {
    for (const handle of [each.engine.adoptListener(fd, LISTEN), each.engine.adoptStream(fd, CONNECT)]) {
      errnos.push((await each.closing(handle)).errno);
    }
  }
  return errnos;
}

console.log(address.port);
const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const { accepted, systemCalls } = driver.engine.counters();
  const answer = line === "attach" ? await attach() : { accepted, systemCalls };
  console.log(JSON.stringify(answer));
});
lines.on("close", () => {
  other.engine.stop();
  void driver.finish(listener);
});
