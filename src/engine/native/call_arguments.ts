import type { SocketAddress } from "../../base/addresses.js";
import type { UnixName } from "../../base/unix_name.js";
import type { ListenFile, ListenOptions } from "../streams.js";
import { Family, ListenFlag } from "./layout.js";

const MAX_UINT32 = 2 ** 32 - 1;
const MAX_INT32 = 2 ** 31 - 1;

/** An address as the addon takes it; a Family. */
export function plain(address: SocketAddress | undefined): [family: number, host: UnixName, port: number] {
  if (address === undefined) return [Family.noFamily, "", 0];
  if (address.family === "unix") return [Family.unix, address.path, 0];
  return [address.family === "IPv4" ? Family.ipv4 : Family.ipv6, address.host, address.port];
}

/** The file a listener owns, none where the path is empty, and its mode, -1 where it has none. */
export function listenFile(file: ListenFile | undefined): [path: UnixName, mode: number] {
  return [file?.path ?? "", file?.mode ?? -1];
}

/** Flags, backlog, accept quota, most connections and low-water mark, each within what the addon takes. */
export function listenSettings(options: ListenOptions): [number, number, number, number, number] {
  const flags =
    (options.reusePort ? ListenFlag.reusePort : 0) |
    (options.ipv6Only ? ListenFlag.ipv6Only : 0) |
    (options.halfOpen ? ListenFlag.halfOpen : 0) |
    (options.whenFull === "close" ? ListenFlag.closeWhenFull : 0);
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
