import type { Server } from "node:net";
import { type SocketAddress, unmapAddress } from "../../base/addresses.js";
import type { UnixName } from "../../base/unix_name.js";
import { unsupported } from "./unsupported.js";

/** A Unix socket that was bound to no path, as connecting ones are. */
export const UNNAMED: SocketAddress = { family: "unix", path: "" };

/** A Unix socket's name as node:net takes it. */
export function textName(name: UnixName): string {
  if (typeof name !== "string" || name.indexOf("\0", 1) !== -1) throw unsupported("unixNameBytes");
  return name;
}

/** What a listening server is bound to; undefined while it is not. */
export function boundAddress(server: Server): SocketAddress | undefined {
  if (!server.listening) return undefined;
  const address = server.address();
  // node:net does not tell the path of a Unix listener it was given as a descriptor.
  if (address === null) return UNNAMED;
  if (typeof address === "string") return { family: "unix", path: address };
  return unmapAddress(address.address, address.port);
}

export function isWildcard(address: SocketAddress): boolean {
  return address.family !== "unix" && (address.host === "0.0.0.0" || address.host === "::");
}
