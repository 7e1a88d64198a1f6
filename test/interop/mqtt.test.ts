import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before } from "node:test";
import tls from "node:tls";
import { Aedes } from "aedes";
import { type IClientOptions, MqttClient } from "mqtt";
import { startUnlessMissing } from "../support/programs.js";
import { type Carrier, onEveryCarrier, sameAsNodeNet, sleep, until } from "./carriers.js";
import { endings, Gate, type Side } from "./gate.js";
import { makeIdentity } from "./identity.js";
import { startMosquitto, type TestServer } from "./servers/servers.js";

const identity = makeIdentity();
let server: TestServer;
before(async () => {
  server = await startUnlessMissing(startMosquitto);
});
after(() => server?.stop());

let clients = 0;

/** A client whose stream comes from the carrier. */
function mqttOver(carrier: Carrier, port: number, ca?: Buffer): MqttClient {
  const options: IClientOptions = {
    clientId: `${carrier.name}-${process.pid}-${++clients}`,
    clean: true,
    protocolId: "MQTT",
    protocolVersion: 4,
    reconnectPeriod: 0,
    connectTimeout: 10_000,
    keepalive: 60,
    resubscribe: true,
  };
  return new MqttClient(() => {
    const socket = carrier.dial(port);
    return ca === undefined ? socket : tls.connect({ socket, ca, servername: "localhost" });
  }, options);
}

async function connected(client: MqttClient): Promise<void> {
  if (!client.connected) await new Promise<void>((resolve) => client.once("connect", () => resolve()));
}

async function session(carrier: Carrier, port: number, ca?: Buffer): Promise<void> {
  const [listener, speaker] = [mqttOver(carrier, port, ca), mqttOver(carrier, port, ca)];
  const topic = `${carrier.name.replace(":", "-")}/${clients}`;
  const payloads: Buffer[] = [];
  listener.on("message", (_topic, payload) => payloads.push(payload));
  await listener.subscribeAsync(topic, { qos: 1 });
  const large = Buffer.alloc(200_000, "large ");
  for (let count = 0; count < 100; count++) await speaker.publishAsync(topic, `message ${count}`, { qos: 1 });
  await speaker.publishAsync(topic, large, { qos: 2 });
  await until(() => payloads.length === 101, "every message");
  // MQTT keeps the order within a quality of service.
  const small = payloads.filter(({ length }) => length < 100).map(String);
  assert.deepEqual(
    small,
    Array.from({ length: 100 }, (_, count) => `message ${count}`),
  );
  assert.ok(payloads.some((payload) => payload.equals(large)));
  await speaker.endAsync();
  await listener.endAsync();
}

onEveryCarrier("mqtt with mosquitto", ({ test }) => {
  test("a session", (carrier) => session(carrier, server.port));
  test("a session over TLS", (carrier) => session(carrier, server.tlsPort, server.ca));
});

onEveryCarrier("mqtt with aedes", ({ test }) => {
  for (const secure of [false, true]) {
    test(`both ends over the carrier${secure ? ", and TLS" : ""}`, async (carrier) => {
      // Before the broker, which would go on where there is no certificate.
      const ours = secure ? { ...identity } : undefined;
      const broker = await Aedes.createBroker();
      const { port, close } = await carrier.serve((socket) => {
        broker.handle(ours ? new tls.TLSSocket(socket, { isServer: true, ...ours }) : socket);
      });
      await session(carrier, port, ours?.cert);
      await new Promise<void>((resolve) => broker.close(() => resolve()));
      await close();
    });
  }
});

for (const { how, secure, title } of endings) {
  sameAsNodeNet(`mqtt: ${title} under a session`, async (carrier, note) => {
    const gate = await Gate.to(secure ? server.tlsPort : server.port);
    const client = mqttOver(carrier, gate.port, secure ? server.ca : undefined);
    client.on("error", (error: Error & { code?: unknown }) => note("error", error.code, error.message));
    await connected(client);
    await sleep(30);
    const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
    await gate[how]();
    await closed;
    note("connected", client.connected);
    await client.endAsync(true);
    await gate.close();
  });
}

const LARGE = Buffer.alloc(500_000, "large ");
const MANY = 30;

/** One publishes what another has subscribed to, while bytes from one side stand still for a while. */
async function slowSession(carrier: Carrier, gate: Gate, port: number, side: Side): Promise<void> {
  // The one under test is behind the gate: the speaker where the server does not read, the listener where it does not.
  const [listener, speaker] = [
    mqttOver(carrier, side === "server" ? gate.port : port),
    mqttOver(carrier, side === "client" ? gate.port : port),
  ];
  const topic = `slow/${clients}`;
  let received = 0;
  listener.on("message", (_topic, payload) => {
    received += payload.equals(LARGE) ? 1 : 0;
  });
  await listener.subscribeAsync(topic, { qos: 1 });
  await connected(speaker);
  gate.stall(side);
  const published = Array.from({ length: MANY }, () => speaker.publishAsync(topic, LARGE, { qos: 1 }));
  await sleep(100);
  assert.ok(received < MANY, "it was held up");
  gate.flow(side);
  await Promise.all(published);
  await until(() => received === MANY, "every message");
  await speaker.endAsync();
  await listener.endAsync();
}

for (const side of ["client", "server"] as const) {
  const what =
    side === "client" ? "a broker that does not read for a while" : "a subscriber that does not read for a while";
  onEveryCarrier(`mqtt: ${what}`, ({ test }) => {
    test("mosquitto and mqtt lose nothing", async (carrier) => {
      const gate = await Gate.to(server.port);
      await slowSession(carrier, gate, server.port, side);
      await gate.close();
    });

    test("aedes and mqtt lose nothing", async (carrier) => {
      const broker = await Aedes.createBroker();
      const { port, close } = await carrier.serve((socket) => broker.handle(socket));
      const gate = await Gate.to(port);
      await slowSession(carrier, gate, port, side);
      await gate.close();
      await new Promise<void>((resolve) => broker.close(() => resolve()));
      await close();
    });
  });
}

for (const how of ["reset", "end"] as const) {
  sameAsNodeNet(`aedes: ${how === "end" ? "an end" : "a reset"} under a client with a will`, async (carrier, note) => {
    const broker = await Aedes.createBroker();
    for (const event of ["clientError", "connectionError"] as const) {
      broker.on(event, (_client, error: NodeJS.ErrnoException) => note(event, error.code, error.message));
    }
    const gone = new Promise<void>((resolve) =>
      broker.on("clientDisconnect", ({ id }) => {
        note("gone", id);
        resolve();
      }),
    );
    const told = new Promise<void>((resolve) =>
      broker.on("publish", ({ topic, payload }) => {
        if (topic !== "will") return;
        note("will", payload);
        resolve();
      }),
    );
    const { port, close, socket: accepted } = await carrier.serve((socket) => broker.handle(socket));
    const client = new MqttClient(() => carrier.dial(port), {
      clientId: "the client",
      protocolId: "MQTT",
      protocolVersion: 4,
      reconnectPeriod: 0,
      will: { topic: "will", payload: Buffer.from("it is gone"), qos: 1, retain: false },
    });
    client.on("error", () => {});
    await connected(client);
    await accepted();
    const { stream } = client;
    if (how === "reset") (stream as Socket).resetAndDestroy();
    else stream.end();
    await Promise.all([gone, told]);
    note("clients", broker.connectedClients);
    await client.endAsync(true);
    await new Promise<void>((resolve) => broker.close(() => resolve()));
    await close();
  });
}

sameAsNodeNet("mqtt: nobody listens", async (carrier, note) => {
  const gate = await Gate.to(server.port);
  const { port } = gate;
  await gate.close();
  const client = mqttOver(carrier, port);
  const error = await new Promise<Error & { code?: unknown }>((resolve) => client.once("error", resolve));
  note(error.code, error.message.replace(String(port), "PORT"));
  await client.endAsync(true);
});
