import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { type ConnectionOptions, connect as connectTls, createServer as createTlsServer, TLSSocket } from "node:tls";
import { CA, NAME, nodeIdentity } from "./corpus.js";
import { mutateRecord } from "./mutate.js";
import type { Attack, Finale } from "./plan.js";
import { RecordCutter } from "./records.js";
import { HANDSHAKE_TIMEOUT, LIFETIME, MESSAGE } from "./target.js";

/** Attackers that stay are thrown out by then, or something is wrong. */
export const ATTACK_LIMIT = HANDSHAKE_TIMEOUT + LIFETIME + 8_000;

/** Writes in pieces, and then does as the attack says. */
export function assault(socket: Socket, bytes: Buffer, { pieces, finale }: Attack): void {
  const size = Math.max(1, Math.ceil(bytes.length / pieces));
  for (let at = 0; at < bytes.length; at += size) socket.write(bytes.subarray(at, at + size));
  conclude(socket, finale);
}

export function conclude(socket: Socket, finale: Finale): void {
  if (finale === "fin") socket.end();
  // What it has written leaves first; then it goes without a word.
  else if (finale === "reset") setTimeout(() => socket.resetAndDestroy(), 3);
}

/** Resolves with the socket's end, true where it came in time. */
export function gone(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(false);
    }, ATTACK_LIMIT);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

export function dial(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  socket.resume();
  return socket;
}

export async function listen(onConnection: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

/** Two ends of a wire in memory. */
function memoryWire(): [Duplex, Duplex] {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      read() {},
      write(data: Buffer, _encoding, done) {
        other().push(data);
        done();
      },
      final(done) {
        other().push(null);
        done();
      },
    });
  const near: Duplex = make(() => far);
  const far: Duplex = make(() => near);
  for (const end of [near, far]) end.on("error", () => {});
  return [near, far];
}

/** Passes everything on between an honest end in memory and a socket, but for one record. */
function tamper(near: Duplex, socket: Socket, nearIsServer: boolean, attack: Attack): void {
  const pass = (from: Duplex, to: Duplex, isMutated: boolean): void => {
    const cutter = new RecordCutter();
    let count = 0;
    from.on("data", (data: Buffer) => {
      for (const record of cutter.take(data)) {
        const bytes = isMutated && count === attack.at ? mutateRecord(record, attack.random) : record;
        count++;
        if (bytes.length > 0 && to.writable) to.write(bytes);
      }
    });
    from.on("end", () => to.end());
  };
  pass(near, socket, nearIsServer === attack.fromServer);
  pass(socket, near, nearIsServer !== attack.fromServer);
  socket.on("close", () => near.destroy());
}

/** node:tls's client, whose wire to our server is tampered with. */
export function tamperedClient(port: number, attack: Attack): Socket {
  const [near, far] = memoryWire();
  const socket = dial(port);
  const version = attack.random.oneIn(2) ? "TLSv1.2" : "TLSv1.3";
  const options: ConnectionOptions = { socket: near, ca: CA, servername: NAME, maxVersion: version };
  const client = connectTls(options, () => client.write(MESSAGE));
  client.on("error", () => {});
  client.on("data", () => {
    if (attack.finale !== "stay") client.end();
  });
  tamper(far, socket, false, attack);
  endWith(client, socket, attack.finale);
  return socket;
}

/** node:tls's server on a connection that our client has made, tampered with alike. */
export function tamperedServer(socket: Socket, attack: Attack): void {
  const [near, far] = memoryWire();
  const server = new TLSSocket(near, {
    ...nodeIdentity(),
    isServer: true,
    maxVersion: attack.random.oneIn(2) ? "TLSv1.2" : "TLSv1.3",
  });
  server.on("error", () => {});
  server.on("secure", () => server.write(MESSAGE));
  server.resume();
  tamper(far, socket, true, attack);
  endWith(server, socket, attack.finale);
}

/** An honest end gives up where its wire makes no sense; where neither does, somebody has to. */
function endWith(end: TLSSocket, socket: Socket, finale: Finale): void {
  end.on("close", () => socket.end());
  if (finale !== "stay") setTimeout(() => socket.destroy(), 60);
}

/** One honest exchange with a server that echoes or not: its message comes. Rejects where it does not. */
export function honest(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const client = connectTls({ port, host: "127.0.0.1", ca: CA, servername: NAME });
    let got = 0;
    const timer = setTimeout(() => fail(new Error("no answer")), ATTACK_LIMIT);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      client.destroy();
      reject(error);
    };
    client.on("error", fail);
    client.on("data", (data: Buffer) => {
      got += data.length;
      if (got < MESSAGE.length) return;
      client.destroy();
      clearTimeout(timer);
      resolve();
    });
    client.on("close", () => fail(new Error(`closed after ${got} bytes`)));
  });
}

/** node:tls's server, which says the message to everybody. */
export async function honestServer(): Promise<{ server: Server; port: number }> {
  const server = createTlsServer(nodeIdentity(), (socket) => socket.on("error", () => {}).end(MESSAGE));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}
