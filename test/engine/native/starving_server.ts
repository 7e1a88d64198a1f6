// Accepts as many connections as its descriptors allow, and reports on request: "report\n" is answered by one line of
// JSON. Ends when its input does.
import { Driver } from "./driver.js";

const driver = new Driver();
const { listener, address } = await driver.listen();
console.log(address.port);
process.stdin.on("data", () => {
  const { accepted, systemCalls } = driver.engine.counters();
  console.log(JSON.stringify({ accepted, systemCalls }));
});
process.stdin.on("end", () => void driver.finish(listener));
