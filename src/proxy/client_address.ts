import type { SocketAddress } from "../base/addresses.js";
import type { ProxyHeaderOptions } from "../codecs/proxy/serializer.js";
import type { Connection } from "../connection/connection.js";

/** One client has one backend, whatever port it comes from. */
export function keyOf(address: SocketAddress | undefined): string {
  return address === undefined || address.family === "unix" ? "" : address.host;
}

/** Who the client is, as far as a header of that version can say. */
export function headerOf(version: 1 | 2, front: Connection): ProxyHeaderOptions {
  const source = withoutZone(front.remoteAddress);
  const destination = withoutZone(front.via?.header.destination ?? front.localAddress);
  if (source === undefined || destination === undefined) return { version };
  if ((source.family === "unix") !== (destination.family === "unix")) return { version };
  return version === 1 && source.family === "unix" ? { version } : { version, source, destination };
}

function withoutZone(address: SocketAddress | undefined): SocketAddress | undefined {
  if (address === undefined || address.family === "unix" || !address.host.includes("%")) return address;
  return { ...address, host: address.host.slice(0, address.host.indexOf("%")) };
}
