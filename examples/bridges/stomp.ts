// STOMP on a connection of the reactor, with stompit.
//   node .build/examples/bridges/stomp.js HOST:PORT
import { connect, parseAddress, run, stop, toDuplex } from "eventmachine";
import stompit from "stompit";

const { host = "127.0.0.1", port } = parseAddress(process.argv[2] ?? ":61613") as { host?: string; port: number };

interface Client {
  send(headers: object): NodeJS.WritableStream;
  subscribe(headers: object, taken: (error: Error | null, message: NodeJS.ReadableStream) => void): void;
  disconnect(done: () => void): void;
}

await run(() => {
  const options = {
    connect: (_options: unknown, connected: () => void) => toDuplex(connect({ host, port })).once("connect", connected),
    connectHeaders: { host: "/", login: "guest", passcode: "guest" },
  };
  stompit.connect(options, (error: Error | null, client: Client) => {
    if (error) throw error;
    client.subscribe({ destination: "/queue/greetings", ack: "auto" }, async (_error, message) => {
      for await (const chunk of message) console.log(String(chunk));
      client.disconnect(() => stop());
    });
    client.send({ destination: "/queue/greetings" }).end("hello");
  });
});
