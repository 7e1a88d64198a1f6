import type { SocketAddress } from "../../base/addresses.js";
import type { ListenOptions } from "../streams.js";

const MAX_UINT32 = 2 ** 32 - 1;
const MAX_INT32 = 2 ** 31 - 1;

/** An address as the addon takes it; family 0 is none. */
export function plain(address: SocketAddress | undefined): [family: number, host: string, port: number] {
  if (address === undefined) return [0, "", 0];
  if (address.family === "unix") return [1, address.path, 0];
  return [address.family === "IPv4" ? 4 : 6, address.host, address.port];
}

/** Flags, backlog, accept quota, most connections and low-water mark, each within what the addon takes. */
export function listenSettings(options: ListenOptions): [number, number, number, number, number] {
  const flags =
    (options.reusePort ? 1 : 0) |
    (options.ipv6Only ? 2 : 0) |
    (options.halfOpen ? 4 : 0) |
    (options.whenFull === "close" ? 8 : 0);
  return [
    flags,
    Math.min(options.backlog, MAX_INT32),
    Math.min(options.acceptQuota, MAX_UINT32),
    Math.min(options.maxConnections, MAX_UINT32),
    lowWater(options.lowWaterMark),
  ];
}

export function lowWater(bytes: number): number {
  return Math.min(bytes, MAX_UINT32);
}
