import tls from "node:tls";
import type { Carrier } from "./carriers.js";
import { makeIdentity } from "./identity.js";

export const identity = makeIdentity();

export const halfOpen = { allowHalfOpen: true };

/** A TLS client over the carrier. */
export function secured(carrier: Carrier, port: number, options: tls.ConnectionOptions = {}): tls.TLSSocket {
  return tls.connect({ socket: carrier.dial(port), ca: identity.cert, servername: "localhost", ...options });
}

export async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
