import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before } from "node:test";
import tls from "node:tls";
import { AbstractConnector, Redis } from "ioredis";
import { onEveryEngine } from "../examples/example.js";
import { startUnlessMissing } from "../support/programs.js";
import { type Carrier, onEveryCarrier, sameAsNodeNet, sleep, until } from "./carriers.js";
import { endings, Gate } from "./gate.js";
import { startRedis, type TestServer } from "./servers/servers.js";

let server: TestServer;
before(async () => {
  server = await startUnlessMissing(startRedis);
});
after(() => server?.stop());

/** A client whose connections come from the carrier. */
function redisOver(carrier: Carrier, port: number, ca?: Buffer): Redis {
  class CarrierConnector extends AbstractConnector {
    constructor() {
      super(1000);
    }
    override async connect() {
      this.connecting = true;
      const socket = carrier.dial(port);
      const stream = ca === undefined ? socket : tls.connect({ socket, ca, servername: "localhost" });
      this.stream = stream;
      return stream;
    }
  }
  return new Redis({
    Connector: CarrierConnector,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    ...(ca === undefined ? {} : { tls: {} }),
  });
}

async function session(carrier: Carrier, redis: Redis, subscriber: Redis): Promise<void> {
  const key = (name: string) => `${carrier.name}:${name}`;
  assert.equal(await redis.set(key("text"), "Grüße"), "OK");
  assert.equal(await redis.get(key("text")), "Grüße");
  const large = Buffer.alloc(3_000_000, "0123456789");
  await redis.set(key("large"), large);
  assert.deepEqual(await redis.getBuffer(key("large")), large);
  const counter = key(`counter ${Math.random()}`);
  const pipeline = redis.pipeline();
  for (let count = 0; count < 2_000; count++) pipeline.incr(counter);
  const answers = await pipeline.exec();
  assert.equal(answers?.length, 2_000);
  assert.deepEqual(answers?.at(-1), [null, 2_000]);
  await assert.rejects(redis.lpush(key("text"), "not a list"), /WRONGTYPE/);
  await subscriber.subscribe(key("news"));
  const message = once(subscriber, "message");
  await redis.publish(key("news"), "it works");
  assert.deepEqual(await message, [key("news"), "it works"]);
  assert.equal(await redis.quit(), "OK");
  subscriber.disconnect();
}

onEveryCarrier("ioredis", ({ test }) => {
  test("a session", async (carrier) => {
    await session(carrier, redisOver(carrier, server.port), redisOver(carrier, server.port));
  });

  test("a session over TLS", async (carrier) => {
    const { tlsPort, ca } = server;
    await session(carrier, redisOver(carrier, tlsPort, ca), redisOver(carrier, tlsPort, ca));
  });

  test("answers that stand still for a while are all there in the end", async (carrier) => {
    const gate = await Gate.to(server.port);
    const redis = redisOver(carrier, gate.port);
    await redis.set(`${carrier.name}:large`, "x".repeat(1_000_000));
    gate.stall("server");
    const answers = Promise.all(Array.from({ length: 20 }, () => redis.get(`${carrier.name}:large`)));
    await sleep(100);
    gate.flow("server");
    assert.ok((await answers).every((text) => text?.length === 1_000_000));
    redis.disconnect();
    await gate.close();
  });

  test("a server that reads nothing for a while gets every command", async (carrier) => {
    const gate = await Gate.to(server.port);
    const redis = redisOver(carrier, gate.port);
    await redis.ping();
    const key = `${carrier.name}:slow`;
    await redis.del(key);
    gate.stall("client");
    const large = "x".repeat(1_000_000);
    const answers = Promise.all(Array.from({ length: 20 }, () => redis.append(key, large)));
    await sleep(100);
    gate.flow("client");
    assert.deepEqual(
      await answers,
      Array.from({ length: 20 }, (_, count) => (count + 1) * 1_000_000),
    );
    redis.disconnect();
    await gate.close();
  });
});

for (const { how, secure, title } of endings) {
  sameAsNodeNet(`ioredis: ${title} under a command`, async (carrier, note) => {
    const gate = await Gate.to(secure ? server.tlsPort : server.port);
    const redis = redisOver(carrier, gate.port, secure ? server.ca : undefined);
    redis.on("error", (error: NodeJS.ErrnoException) => note("error", error.code, error.syscall, error.message));
    redis.on("close", () => note("closed"));
    await redis.ping();
    const waiting = redis.blpop("nothing comes here", 0).catch((error: Error) => note("command", error.message));
    // The command is with the server: what is told of a write that meets the reset is another matter.
    await sleep(30);
    await gate[how]();
    await waiting;
    await until(() => redis.status === "end", "it has ended");
    note("status", redis.status);
    await gate.close();
  });
}

sameAsNodeNet("ioredis: nobody listens", async (carrier, note) => {
  const gate = await Gate.to(server.port);
  const { port } = gate;
  await gate.close();
  const redis = redisOver(carrier, port);
  const [error] = (await once(redis, "error")) as [NodeJS.ErrnoException];
  note(error.code, error.syscall, error.message.replace(String(port), "PORT"));
  redis.disconnect();
});

onEveryEngine("the example bridges/redis", async ({ start }) => {
  const example = start("bridges/redis", `127.0.0.1:${server.port}`);
  await example.ended();
  assert.deepEqual(example.output, ["hello"]);
});
