import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type ConnectionOptions, connect as secure, createServer as secureServer } from "node:tls";
import { identity } from "./pki.js";
import { until } from "./wait.js";

/** What the two ends of a handshake say in clear, taken apart. */

export const TYPE = {
  changeCipherSpec: 20,
  handshake: 22,
  applicationData: 23,
  clientHello: 1,
  certificate: 11,
  serverKeyExchange: 12,
} as const;

export function record(type: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, 3, 1, payload.length >> 8, payload.length & 0xff]), payload]);
}

/** Of a message, in records of `size`. */
export function records(payload: Buffer, size = 16_384): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < payload.length; at += size) parts.push(record(TYPE.handshake, payload.subarray(at, at + size)));
  return Buffer.concat(parts);
}

/** A message of zeros, of so many bytes behind its header. */
export function message(type: number, length: number): Buffer {
  return Buffer.concat([Buffer.from([type, length >> 16, (length >> 8) & 0xff, length & 0xff]), Buffer.alloc(length)]);
}

export async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** The hello of a node:tls client, one record. */
export async function helloOf(options: ConnectionOptions = {}): Promise<Buffer> {
  const server = createServer();
  const port = await listening(server);
  const client = secure({ port, host: "127.0.0.1", ...options }).on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  socket.on("error", () => {});
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

/** What a node:tls server of TLS 1.2 answers: its hello, and that with its certificates. */
export async function answerOf(): Promise<{ hello: Buffer; certified: Buffer }> {
  const { cert, key } = identity("server");
  const server = secureServer({ maxVersion: "TLSv1.2", cert: readFileSync(cert), key: readFileSync(key) });
  const client = connect(await listening(server), "127.0.0.1").on("error", () => {});
  client.write(await helloOf({ maxVersion: "TLSv1.2" }));
  let bytes = Buffer.alloc(0);
  client.on("data", (part: Buffer) => {
    bytes = Buffer.concat([bytes, part]);
  });
  const ends = () => {
    const found: number[] = [];
    for (let at = 0; at + 5 <= bytes.length; found.push(at)) at += 5 + bytes.readUInt16BE(at + 3);
    return found.filter((end) => end <= bytes.length);
  };
  await until(() => ends().length >= 2, "the hello and the certificates");
  const [first, second] = ends();
  client.destroy();
  server.close();
  return { hello: bytes.subarray(0, first), certified: bytes.subarray(0, second) };
}
