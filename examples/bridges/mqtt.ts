// MQTT on connections of the reactor: aedes is the broker, mqtt the client.
//   node .build/examples/bridges/mqtt.js
import { Aedes } from "aedes";
import { Connection, connect, run, startServer, stop, toDuplex } from "eventmachine";
import { MqttClient } from "mqtt";

const broker = await Aedes.createBroker();

class Mqtt extends Connection {
  override postInit(): void {
    broker.handle(toDuplex(this));
  }
}

await run(async () => {
  const { port } = await startServer({ host: "127.0.0.1", port: 0 }, Mqtt);
  const client = new MqttClient(() => toDuplex(connect({ host: "127.0.0.1", port })), {
    clientId: "example",
    protocolId: "MQTT",
    protocolVersion: 4,
    clean: true,
  });
  client.on("message", async (topic, payload) => {
    console.log(`${topic}: ${payload}`);
    await client.endAsync();
    broker.close(() => stop());
  });
  await client.subscribeAsync("greetings");
  await client.publishAsync("greetings", "hello");
});
