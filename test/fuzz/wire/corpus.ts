import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect as connectRaw } from "node:net";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type ConnectionOptions, connect, createServer, type SecureContextOptions, type TlsOptions } from "node:tls";
import { AUTHORITY, identity } from "../../support/pki.js";

/** What real programs send first: the seeds of everything that is mutated. */
export interface Corpus {
  readonly hellos: readonly Buffer[];
  /** What a server answers, up to where it waits for its client. */
  readonly flights: readonly Buffer[];
}

export const CA = readFileSync(AUTHORITY);
/** The test certificate's name. */
export const NAME = "localhost";

export function nodeIdentity(name = "server"): SecureContextOptions {
  const { cert, key } = identity(name);
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

const CLIENTS: readonly ConnectionOptions[] = [
  {},
  { servername: NAME },
  { servername: "server.test", ALPNProtocols: ["h2", "http/1.1"] },
  { maxVersion: "TLSv1.2" },
  { maxVersion: "TLSv1.2", servername: NAME, ALPNProtocols: ["x"] },
  { minVersion: "TLSv1.3", ecdhCurve: "P-384:X25519" },
  { minVersion: "TLSv1.3", ecdhCurve: "prime256v1" },
  { maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA" },
];

const SERVERS: readonly TlsOptions[] = [
  { ...nodeIdentity() },
  { ...nodeIdentity(), maxVersion: "TLSv1.2" },
  { ...nodeIdentity(), maxVersion: "TLSv1.2", requestCert: true, rejectUnauthorized: false },
  { ...nodeIdentity("chained"), requestCert: true, rejectUnauthorized: false },
];

/** A flight is over when so long nothing came of it, and it has begun; how long it may take. */
const FLIGHT_PAUSE = 50;
const FLIGHT_LIMIT = 20_000;

export async function gather(): Promise<Corpus> {
  const fresh = await Promise.all(CLIENTS.map(helloOf));
  const sessions: ConnectionOptions[] = [];
  const flights: Buffer[] = [];
  for (const options of SERVERS) {
    const server = createServer(options, (socket) => socket.on("error", () => {}).end("hello")).listen(0, "127.0.0.1");
    server.on("tlsClientError", () => {});
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    sessions.push({ session: await sessionFrom(port), servername: NAME });
    for (const hello of fresh.slice(0, 5)) flights.push(await flightOf(port, hello));
    server.close();
  }
  return { hellos: [...fresh, ...(await Promise.all(sessions.map(helloOf)))], flights };
}

/** The first flight of node:tls's client. */
function helloOf(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(data: Buffer, _encoding, done) {
        resolve(data);
        done();
        setImmediate(() => client.destroy());
      },
    });
    const client = connect({ socket: wire, ca: CA, ...options });
    client.on("error", () => {});
  });
}

async function sessionFrom(port: number): Promise<Buffer> {
  const client = connect({ port, host: "127.0.0.1", ca: CA, servername: NAME });
  const [session] = (await once(client.resume(), "session")) as [Buffer];
  client.destroy();
  return session;
}

async function flightOf(port: number, hello: Buffer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const socket = connectRaw(port, "127.0.0.1").on("data", (data) => pieces.push(data));
  socket.on("error", () => {});
  socket.write(hello);
  const end = performance.now() + FLIGHT_LIMIT;
  for (let before = -1; pieces.length === 0 || pieces.length > before; ) {
    if (performance.now() > end) throw new Error(`a server does not answer a hello of ${hello.length} bytes`);
    before = pieces.length;
    await sleep(FLIGHT_PAUSE);
  }
  socket.destroy();
  return Buffer.concat(pieces);
}
