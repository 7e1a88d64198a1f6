// What a library costs over the bridge and over node:net: prints the CPU time in nanoseconds of one operation.
//   bridges.mjs LIBRARY native|net
// Client and server are this process where both are libraries; redis-server, postgres and rabbitmq-server are processes of
// their own, and then the figure is the client's. The carriers and the servers are those of the tests (npm run build:test).
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import tls from "node:tls";
import { promisify } from "node:util";
import { Aedes } from "aedes";
import amqp from "amqplib";
import { AbstractConnector, Redis } from "ioredis";
import { MqttClient } from "mqtt";
import nodemailer from "nodemailer";
import pg from "pg";
import postgres from "postgres";
import { SMTPServer } from "smtp-server";
import stompit from "stompit";
import { Client } from "undici";
import { WebSocket, WebSocketServer } from "ws";
import { BridgeCarrier, nodeNet } from "../.build/test/interop/carriers.js";
import { makeIdentity } from "../.build/test/interop/identity.js";
import { startPostgres, startRabbit, startRedis } from "../.build/test/interop/servers/servers.js";

const [library, side] = process.argv.slice(2);
const carrier = side === "net" ? nodeNet : new BridgeCarrier(side);
const halfOpen = { allowHalfOpen: true };

async function serveHttp(listener) {
  const server = http.createServer(listener);
  return carrier.serve((socket) => server.emit("connection", socket), halfOpen);
}

async function read(stream) {
  for await (const _ of stream);
}

/** Each returns how many operations a round has, one operation, and the steps that end it all. */
const libraries = {
  async agent() {
    const { port, close } = await serveHttp((_request, response) => response.end("hello world"));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = () => carrier.dial(port);
    const operation = async () => {
      const [response] = await once(http.get({ agent, port, host: "127.0.0.1" }), "response");
      await read(response);
    };
    return { count: 6_000, operation, end: [() => agent.destroy(), close] };
  },

  async http2() {
    const server = http2.createServer((_request, response) => response.end("hello world"));
    const { port, close } = await carrier.serve((socket) => server.emit("connection", socket));
    const client = http2.connect(`http://127.0.0.1:${port}`, { createConnection: () => carrier.dial(port) });
    return {
      count: 3_000,
      operation: () => read(client.request({ ":path": "/" })),
      end: [() => client.close(), close],
    };
  },

  async tls() {
    const identity = makeIdentity();
    const { port, close } = await carrier.serve((socket) => {
      const server = new tls.TLSSocket(socket, { isServer: true, ...identity });
      server.pipe(server);
    });
    const socket = tls.connect({ socket: carrier.dial(port), ca: identity.cert, servername: "localhost" });
    await once(socket, "secureConnect");
    const operation = async () => {
      socket.write("sixteen bytes...");
      await once(socket, "data");
    };
    return { count: 20_000, operation, end: [() => socket.end(), close] };
  },

  async ws() {
    const server = http.createServer();
    const sockets = new WebSocketServer({ noServer: true });
    server.on("upgrade", (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (webSocket) =>
        webSocket.on("message", (data) => webSocket.send(data)),
      );
    });
    const { port, close } = await carrier.serve((socket) => server.emit("connection", socket), halfOpen);
    const client = new WebSocket(`ws://127.0.0.1:${port}/`, { createConnection: () => carrier.dial(port) });
    await once(client, "open");
    const operation = async () => {
      client.send("a message");
      await once(client, "message");
    };
    return { count: 20_000, operation, end: [() => client.terminate(), close] };
  },

  async undici() {
    const { port, close } = await serveHttp((_request, response) => response.end("hello world"));
    const client = new Client(`http://127.0.0.1:${port}`, {
      connect: (_options, callback) => {
        const socket = carrier.dial(port);
        socket.once("connect", () => callback(null, socket));
      },
    });
    const operation = async () => {
      const { body } = await client.request({ method: "GET", path: "/" });
      await body.text();
    };
    return { count: 10_000, operation, end: [() => client.close(), close] };
  },

  async mqtt() {
    const broker = await Aedes.createBroker();
    const { port, close } = await carrier.serve((socket) => broker.handle(socket));
    const options = { clientId: "bench", protocolId: "MQTT", protocolVersion: 4, clean: true };
    const client = new MqttClient(() => carrier.dial(port), options);
    await client.subscribeAsync("topic");
    const operation = () =>
      new Promise((resolve) => {
        client.once("message", resolve);
        client.publish("topic", "a message");
      });
    const end = [() => client.endAsync(), () => new Promise((resolve) => broker.close(resolve)), close];
    return { count: 6_000, operation, end };
  },

  async mail() {
    const smtp = new SMTPServer({
      authOptional: true,
      disabledCommands: ["STARTTLS"],
      disableReverseLookup: true,
      onData: (stream, _session, callback) => stream.resume().on("end", () => callback()),
    });
    const { port, close } = await carrier.serve((socket) => smtp.server.emit("connection", socket));
    const mailer = nodemailer.createTransport({
      pool: true,
      maxConnections: 1,
      maxMessages: Number.POSITIVE_INFINITY,
      getSocket(_options, callback) {
        const connection = carrier.dial(port);
        connection.once("connect", () => callback(null, { connection }));
      },
    });
    const operation = () => mailer.sendMail({ from: "a@example.com", to: "b@example.com", text: "hello" });
    return { count: 500, operation, end: [() => mailer.close(), close] };
  },

  async redis() {
    const server = await startRedis();
    class CarrierConnector extends AbstractConnector {
      constructor() {
        super(1000);
      }
      async connect() {
        this.connecting = true;
        this.stream = carrier.dial(server.port);
        return this.stream;
      }
    }
    const redis = new Redis({ Connector: CarrierConnector });
    const end = [() => redis.quit(), server.stop];
    return { count: 12_000, operation: () => redis.set("key", "value"), end };
  },

  async pg() {
    const server = await startPostgres();
    const stream = carrier.isBridge ? { stream: () => carrier.dial(server.port) } : {};
    const client = new pg.Client({
      user: server.user,
      database: "postgres",
      host: "127.0.0.1",
      port: server.port,
      ...stream,
    });
    await client.connect();
    const end = [() => client.end(), server.stop];
    return { count: 5_000, operation: () => client.query("SELECT 1"), end };
  },

  async postgres() {
    const server = await startPostgres();
    const socket = () => carrier.dial(server.port);
    const sql = postgres({
      user: server.user,
      database: "postgres",
      host: "127.0.0.1",
      port: server.port,
      max: 1,
      socket,
    });
    const end = [() => sql.end(), server.stop];
    return { count: 6_000, operation: () => sql`SELECT 1`, end };
  },

  /** A message to a queue of RabbitMQ and back, over TLS: amqplib takes no stream without it. */
  async amqp() {
    const server = await startRabbit();
    const socketOptions = { socket: carrier.dial(server.tlsPort), ca: server.ca, servername: "localhost" };
    const broker = await amqp.connect({ protocol: "amqps", hostname: "localhost" }, socketOptions);
    const channel = await broker.createChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    let received;
    await channel.consume(queue, () => received(), { noAck: true });
    const message = Buffer.from("a message");
    const operation = () =>
      new Promise((resolve) => {
        received = resolve;
        channel.sendToQueue(queue, message);
      });
    return { count: 4_000, operation, end: [() => broker.close(), server.stop] };
  },

  /** The same without TLS, in STOMP. */
  async stomp() {
    const server = await startRabbit();
    const options = {
      connect: (_options, connected) => carrier.dial(server.stomp.port).once("connect", connected),
      connectHeaders: { host: "/", login: "guest", passcode: "guest", "heart-beat": "0,0" },
    };
    const client = await promisify(stompit.connect)(options);
    const destination = "/queue/bench";
    let received;
    client.subscribe({ destination, ack: "auto" }, async (_error, message) => {
      await read(message);
      received();
    });
    const operation = () =>
      new Promise((resolve) => {
        received = resolve;
        client.send({ destination }).end("a message");
      });
    const end = [() => new Promise((resolve) => client.disconnect(resolve)), server.stop];
    return { count: 4_000, operation, end };
  },
};

await carrier.run(async () => {
  const { count, operation, end } = await libraries[library]();
  const round = async (most) => {
    for (let done = 0; done < most; done++) await operation();
  };
  await round(count / 2);
  const before = process.cpuUsage();
  await round(count);
  const { user, system } = process.cpuUsage(before);
  console.log(((user + system) * 1000) / count);
  for (const step of end) await step();
});
process.exit();
