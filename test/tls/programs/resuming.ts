// Changes Node's own list of authorities between visits that resume a session, to a server and of a client of the library's;
// prints what each came to: "full", "resumed" or "refused".
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import * as tls from "node:tls";
import { Connection, Reactor, type ReactorOptions, TlsContext, type TlsVersion } from "eventmachine";

const [engine, cert, key, other] = process.argv.slice(2) as [
  NonNullable<ReactorOptions["engine"]>,
  string,
  string,
  string,
];

/** From Node 22.19 on. */
const { setDefaultCACertificates } = tls as unknown as { setDefaultCACertificates: (list: string[]) => void };

const TRUSTED = [readFileSync(cert, "utf8")];
const identity = { cert: readFileSync(cert), key: readFileSync(key) };
const reactor = new Reactor({ engine });

class Echo extends Connection {
  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
}

type Outcome = "full" | "resumed" | "refused";

/** A client of the library's. It waits for the echo, for TLS 1.3 gives its tickets after the handshake. */
async function visit(port: number, context: TlsContext): Promise<Outcome> {
  class Client extends Connection {
    override connectionCompleted(): void {
      this.sendData("x");
    }
    override receiveData(): void {
      // The session is told after what came with it.
      reactor.addTimer(5, () => this.closeConnection());
    }
  }
  const client = reactor.connect({ host: "127.0.0.1", port, tls: context }, Client);
  const outcome = client.secured.then(
    ({ isSessionReused }): Outcome => (isSessionReused ? "resumed" : "full"),
    (): Outcome => "refused",
  );
  await client.closed;
  return outcome;
}

let session: Buffer | undefined;

/** A client of node:tls, which offers the last session it was given. */
function call(port: number, options: tls.ConnectionOptions): Promise<Outcome> {
  return new Promise((resolve) => {
    let outcome: Outcome = "refused";
    const socket = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options }, () =>
      socket.write("x"),
    );
    socket.on("session", (given: Buffer) => {
      session = given;
    });
    socket.on("data", () => {
      outcome = socket.isSessionReused() ? "resumed" : "full";
      socket.end();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(outcome));
  });
}

async function asClient(ca: "default" | string[], maxVersion: TlsVersion): Promise<Outcome[]> {
  const server = tls.createServer({ ...identity, maxVersion }, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const context = new TlsContext({ ca });
  setDefaultCACertificates(TRUSTED);
  const outcomes = [await visit(port, context), await visit(port, context)];
  setDefaultCACertificates([]);
  outcomes.push(await visit(port, context));
  setDefaultCACertificates(TRUSTED);
  outcomes.push(await visit(port, context), await visit(port, context));
  server.close();
  return outcomes;
}

async function asServer(ca: "default" | string[], maxVersion: TlsVersion): Promise<Outcome[]> {
  // The list it was made under is neither of those that follow.
  setDefaultCACertificates([readFileSync(other, "utf8")]);
  const server = { cert, key, ca, maxVersion, requireCertificate: true, ticketKeys: [Buffer.alloc(48, 7)] };
  const listener = await reactor.startServer({ host: "127.0.0.1", port: 0, tls: new TlsContext(server) }, Echo);
  const port = listener.port as number;
  const resuming = (): tls.ConnectionOptions => (session === undefined ? {} : { session });
  setDefaultCACertificates(TRUSTED);
  session = undefined;
  const outcomes = [await call(port, identity), await call(port, resuming())];
  const kept = resuming();
  setDefaultCACertificates([]);
  outcomes.push(await call(port, kept), await call(port, { ...identity, ...kept }));
  await listener.close();
  return outcomes;
}

await reactor.run(async () => {
  reactor.onError(() => {});
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    for (const ca of ["default" as const, ["default", other]]) {
      const which = `${maxVersion}, ${ca === "default" ? "Node's list" : "Node's list and more"}`;
      console.log(`${which}, client: ${(await asClient(ca, maxVersion)).join(" ")}`);
      console.log(`${which}, server: ${(await asServer(ca, maxVersion)).join(" ")}`);
    }
  }
  reactor.stop();
});
