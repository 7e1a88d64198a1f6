import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import tls from "node:tls";
import amqp from "amqplib";
import stompit from "stompit";
import { onEveryEngine } from "../examples/example.js";
import { startUnlessMissing } from "../support/programs.js";
import { type Carrier, onEveryCarrier, sameAsNodeNet, sleep, until } from "./carriers.js";
import { endings, Gate } from "./gate.js";
import { startRabbit, type TestServer } from "./servers/servers.js";

let server: TestServer & { readonly stomp: TestServer };
before(async () => {
  server = await startUnlessMissing(startRabbit);
});
after(() => server?.stop());

// AMQP ---------------------------------------------------------------------------------------------------------------

/** amqplib takes no stream, but hands its socket options to `tls.connect`, which does. */
function amqpOver(carrier: Carrier, port: number): Promise<amqp.ChannelModel> {
  const socket = carrier.dial(port);
  const options = { socket, ca: server.ca, servername: "localhost" };
  return amqp.connect({ protocol: "amqps", hostname: "localhost", port }, options);
}

onEveryCarrier("amqplib with RabbitMQ, over TLS", ({ test }) => {
  test("a session", async (carrier) => {
    const connection = await amqpOver(carrier, server.tlsPort);
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    const large = Buffer.alloc(1_000_000, "large ");
    const received: Buffer[] = [];
    const all = new Promise<void>((resolve) => {
      channel.consume(queue, (message) => {
        if (message === null) return;
        received.push(message.content);
        channel.ack(message);
        if (received.length === 101) resolve();
      });
    });
    for (let count = 0; count < 100; count++) channel.sendToQueue(queue, Buffer.from(`message ${count}`));
    channel.sendToQueue(queue, large);
    await channel.waitForConfirms();
    await all;
    assert.equal(received[99]?.toString(), "message 99");
    assert.ok(received[100]?.equals(large));
    await channel.close();
    await connection.close();
  });
});

for (const how of ["reset", "end"] as const) {
  sameAsNodeNet(`amqplib: ${how === "end" ? "an end" : "a reset"} under a session`, async (carrier, note) => {
    const gate = await Gate.to(server.tlsPort);
    const connection = await amqpOver(carrier, gate.port);
    connection.on("error", (error: NodeJS.ErrnoException) => note("error", error.code, error.message));
    const closed = once(connection, "close").catch(() => {});
    await sleep(30);
    await gate[how]();
    await closed;
    note("closed");
    await gate.close();
  });
}

const LARGE = Buffer.alloc(500_000, "large ");
const MANY = 30;

for (const side of ["client", "server"] as const) {
  const what =
    side === "client" ? "a broker that does not read for a while" : "a consumer that does not read for a while";
  onEveryCarrier(`amqplib: ${what}`, ({ test }) => {
    test("nothing is lost", async (carrier) => {
      const gate = await Gate.to(server.tlsPort);
      const connection = await amqpOver(carrier, gate.port);
      const channel = await connection.createConfirmChannel();
      const { queue } = await channel.assertQueue("", { exclusive: true });
      let received = 0;
      const taken = (message: amqp.ConsumeMessage | null): void => {
        received += message?.content.equals(LARGE) ? 1 : 0;
      };
      await channel.consume(queue, taken, { noAck: true });
      gate.stall(side);
      for (let count = 0; count < MANY; count++) channel.sendToQueue(queue, LARGE);
      await sleep(100);
      assert.equal(received, 0, "it was held up");
      gate.flow(side);
      await channel.waitForConfirms();
      await until(() => received === MANY, "every message");
      await connection.close();
      await gate.close();
    });
  });

  onEveryCarrier(`stompit: ${what}`, ({ test }) => {
    test("nothing is lost", async (carrier) => {
      const gate = await Gate.to(server.stomp.port);
      const client = await stompOver(carrier, gate.port);
      const destination = `/queue/slow-${carrier.name.replace(":", "-")}-${side}`;
      let received = 0;
      client.subscribe({ destination, ack: "auto" }, async (_error, message) => {
        const chunks: Buffer[] = [];
        for await (const chunk of message) chunks.push(chunk as Buffer);
        received += Buffer.concat(chunks).equals(LARGE) ? 1 : 0;
      });
      gate.stall(side);
      for (let count = 0; count < MANY; count++) {
        client.send({ destination, "content-length": LARGE.length }).end(LARGE);
      }
      await sleep(100);
      assert.equal(received, 0, "it was held up");
      gate.flow(side);
      await until(() => received === MANY, "every message");
      await new Promise<void>((resolve) => client.disconnect(() => resolve()));
      await gate.close();
    });
  });
}

// STOMP --------------------------------------------------------------------------------------------------------------

interface StompClient extends NodeJS.EventEmitter {
  subscribe(headers: object, callback: (error: Error | null, message: NodeJS.ReadableStream) => void): void;
  send(headers: object): NodeJS.WritableStream;
  disconnect(callback: (error: Error | null) => void): void;
  destroy(): void;
}

function stompOver(carrier: Carrier, port: number, ca?: Buffer): Promise<StompClient> {
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      connect: (_options: unknown, connected: () => void) => {
        const socket = carrier.dial(port);
        if (ca === undefined) return socket.once("connect", connected);
        return tls.connect({ socket, ca, servername: "localhost" }, connected);
      },
      connectHeaders: { host: "/", login: "guest", passcode: "guest", "heart-beat": "0,0" },
    };
    stompit.connect(options, (error: Error | null, client: StompClient) => {
      if (error) reject(error);
      else resolve(client);
    });
  });
}

onEveryCarrier("stompit with RabbitMQ", ({ test }) => {
  for (const secure of [false, true]) {
    test(`a session${secure ? " over TLS" : ""}`, async (carrier) => {
      const { port, tlsPort, ca } = server.stomp;
      const client = secure ? await stompOver(carrier, tlsPort, ca) : await stompOver(carrier, port);
      const destination = `/queue/${carrier.name.replace(":", "-")}-${secure}`;
      const bodies: string[] = [];
      const all = new Promise<void>((resolve, reject) => {
        client.subscribe({ destination, ack: "auto" }, (error, message) => {
          if (error) return reject(error);
          let body = "";
          message.setEncoding("utf8").on("data", (text: string) => {
            body += text;
          });
          message.on("end", () => {
            bodies.push(body);
            if (bodies.length === 21) resolve();
          });
        });
      });
      const large = "large ".repeat(100_000);
      for (let count = 0; count < 20; count++) client.send({ destination }).end(`message ${count}`);
      client.send({ destination }).end(large);
      await all;
      assert.equal(bodies[19], "message 19");
      assert.equal(bodies[20], large);
      await new Promise<void>((resolve) => client.disconnect(() => resolve()));
    });
  }
});

for (const { how, secure, title } of endings) {
  sameAsNodeNet(`stompit: ${title} under a session`, async (carrier, note) => {
    const gate = await Gate.to(secure ? server.stomp.tlsPort : server.stomp.port);
    const client = await stompOver(carrier, gate.port, secure ? server.ca : undefined);
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => client.once("error", resolve));
    client.on("error", () => {});
    await sleep(30);
    await gate[how]();
    const error = await failed;
    note(error.code, error.message);
    client.destroy();
    await gate.close();
  });
}

onEveryEngine("the examples bridges/stomp and bridges/amqp", async ({ start, context }) => {
  const folder = mkdtempSync(join(tmpdir(), "em-ca-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, server.ca);
  for (const example of [
    start("bridges/stomp", `127.0.0.1:${server.stomp.port}`),
    start("bridges/amqp", `127.0.0.1:${server.tlsPort}`, ca),
  ]) {
    await example.ended();
    assert.deepEqual(example.output, ["hello"]);
  }
});
