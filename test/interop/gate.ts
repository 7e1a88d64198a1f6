import { once } from "node:events";
import net, { type AddressInfo, type Socket } from "node:net";
import { until } from "./carriers.js";

/** What may become of a connection, plain and under TLS. */
export const endings = (["reset", "end"] as const).flatMap((how) =>
  [false, true].map((secure) => ({
    how,
    secure,
    title: `${how === "end" ? "an end" : "a reset"}${secure ? " of the connection under TLS" : ""}`,
  })),
);

/** From whom the bytes come. */
export type Side = "client" | "server";

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

function directed({ client, server }: Pair, side: Side): [from: Socket, to: Socket] {
  return side === "client" ? [client, server] : [server, client];
}

/** Stands between a client and its server, over node:net, and does to their connections what networks and peers do. */
export class Gate {
  readonly #server: net.Server;
  readonly #pairs: Pair[] = [];

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<Gate> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    const gate = new Gate(server);
    server.on("connection", (client) => gate.#join(client, net.connect({ port, host: "127.0.0.1", noDelay: true })));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.length;
  }

  #join(client: Socket, server: Socket): void {
    this.#pairs.push({ client, server });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  }

  /** Resets every client. */
  async reset(): Promise<void> {
    await until(() => this.#pairs.length > 0, "a client is at the gate");
    for (const { client } of this.#pairs.splice(0)) client.resetAndDestroy();
  }

  /** Ends every client in order, as a server that shuts down does. */
  async end(): Promise<void> {
    await until(() => this.#pairs.length > 0, "a client is at the gate");
    for (const { client, server } of this.#pairs.splice(0)) {
      server.unpipe(client);
      client.end();
      server.destroy();
    }
  }

  /** Stops carrying what comes from one side; it is not even read. */
  stall(side: Side): void {
    for (const pair of this.#pairs) {
      const [from, to] = directed(pair, side);
      from.unpipe(to);
      from.pause();
    }
  }

  /** Carries on. */
  flow(side: Side): void {
    for (const pair of this.#pairs) {
      const [from, to] = directed(pair, side);
      from.pipe(to);
    }
  }

  async close(): Promise<void> {
    for (const { client, server } of this.#pairs.splice(0)) {
      client.destroy();
      server.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }
}
