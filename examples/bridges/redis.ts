// ioredis on connections of the reactor, through its Connector.
//   node .build/examples/bridges/redis.js HOST:PORT
import { connect, parseAddress, run, stop, toDuplex } from "eventmachine";
import { AbstractConnector, Redis } from "ioredis";

const { host = "127.0.0.1", port } = parseAddress(process.argv[2] ?? ":6379") as { host?: string; port: number };

class ReactorConnector extends AbstractConnector {
  constructor() {
    super(1_000);
  }
  override async connect() {
    this.connecting = true;
    this.stream = toDuplex(connect({ host, port }));
    return this.stream;
  }
}

await run(async () => {
  const redis = new Redis({ Connector: ReactorConnector });
  await redis.set("greeting", "hello");
  console.log(await redis.get("greeting"));
  await redis.quit();
  stop();
});
