import assert from "node:assert/strict";
import { after, before } from "node:test";
import tls from "node:tls";
import { Aedes } from "aedes";
import { type IClientOptions, MqttClient } from "mqtt";
import { type Carrier, onEveryCarrier, sameAsNodeNet, sleep, until } from "./carriers.js";
import { Gate } from "./gate.js";
import { makeIdentity } from "./identity.js";
import { startMosquitto, type TestServer } from "./servers/servers.js";

const identity = makeIdentity();
let server: TestServer;
before(async () => {
  server = await startMosquitto();
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
      const broker = await Aedes.createBroker();
      const { port, close } = await carrier.serve((socket) => {
        broker.handle(secure ? new tls.TLSSocket(socket, { isServer: true, ...identity }) : socket);
      });
      await session(carrier, port, secure ? identity.cert : undefined);
      await new Promise<void>((resolve) => broker.close(() => resolve()));
      await close();
    });
  }
});

for (const how of ["reset", "end"] as const) {
  sameAsNodeNet(`mqtt: a ${how} under a session`, async (carrier, note) => {
    const gate = await Gate.to(server.port);
    const client = mqttOver(carrier, gate.port);
    client.on("error", (error: Error & { code?: unknown }) => note("error", error.code, error.message));
    await new Promise<void>((resolve) => client.once("connect", () => resolve()));
    await sleep(30);
    const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
    await gate[how]();
    await closed;
    note("connected", client.connected);
    await client.endAsync(true);
    await gate.close();
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
