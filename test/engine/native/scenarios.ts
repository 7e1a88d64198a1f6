// What ends a process or a worker has one of its own: `node scenarios.js NAME`.
import { connect } from "node:net";
import { constants } from "node:os";
import { parentPort } from "node:worker_threads";
import { CONNECT, Driver, LISTEN } from "./driver.js";

const driver = new Driver();

async function dial(): Promise<number> {
  const { address } = await driver.listen();
  return address.port;
}

const scenarios: Record<string, () => Promise<void>> = {
  async exit() {
    driver.react.data = () => process.exit(7);
    connect({ port: await dial(), host: "127.0.0.1" }).write("x".repeat(100_000));
  },

  async exitFlush() {
    process.on("exit", () => driver.engine.flush());
    driver.react.connected = (handle) => {
      driver.engine.writeString(handle, "written just before", "utf8");
      process.exit(0);
    };
    driver.engine.connect({ family: "IPv4", host: "127.0.0.1", port: Number(process.argv[3]) }, CONNECT);
  },

  async throwing() {
    process.once("uncaughtException", (error) => console.log(`uncaught: ${error.message}`));
    const { client, listener, server } = await driver.pair();
    driver.react.data = () => {
      process.nextTick(() => {
        throw new Error("from nextTick");
      });
    };
    driver.engine.writeString(client, "x", "utf8");
    await driver.gets(server, 1);
    driver.react.data = () => console.log("data again");
    driver.engine.writeString(client, "x", "utf8");
    await driver.gets(server, 2);
    await driver.finish(client, listener);
  },

  async adoptListener() {
    const { engine } = driver;
    const listener = engine.adoptListener(3, LISTEN);
    const again = engine.adoptListener(3, LISTEN);
    await driver.until(() => driver.has("listening", listener), "listening");
    for (const refused of [again, engine.adoptListener(3, LISTEN), engine.adoptStream(3, CONNECT)]) {
      const { errno } = await driver.closing(refused);
      if (errno !== -constants.errno.EEXIST) throw new Error(`adopted again, it ended with ${errno}`);
    }
    await driver.until(() => driver.accepts.length === 1, "accepted");
    const server = driver.accepts[0] as number;
    driver.engine.writeString(server, "from the child", "utf8");
    driver.engine.finish(server);
    await driver.closing(server);
    driver.engine.close(listener);
    await driver.closing(listener);
    driver.engine.stop();
  },

  async unref() {
    await driver.listen();
    driver.engine.unref();
    driver.engine.setDeadline(driver.engine.now() + 3_600_000);
  },

  async workerTerminate() {
    driver.react.data = () => {
      parentPort?.postMessage("inside");
      for (;;);
    };
    parentPort?.postMessage(await dial());
  },

  async workerExit() {
    driver.react.data = () => process.exit(5);
    parentPort?.postMessage(await dial());
  },
};

await scenarios[process.argv[2] as string]?.();
