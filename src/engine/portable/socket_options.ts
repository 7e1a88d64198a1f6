import type { Socket } from "node:net";
import { UnsupportedError } from "../../base/errors.js";
import type { Capability } from "../capabilities.js";
import { type KeepAlive, lackedFor, type SocketOptions } from "../socket_options.js";

export function unsupported(capability: Capability): UnsupportedError {
  return new UnsupportedError(capability, "portable");
}

/** Throws for the first option that node:net cannot set. */
export function checkOptions(options: SocketOptions, capabilities: ReadonlySet<Capability>): void {
  const lacked = lackedFor(options, capabilities);
  if (lacked !== undefined) throw unsupported(lacked);
}

/** The idle time as node:net wants it: milliseconds, of which it drops what is no whole second; 0 leaves the default. */
export function keepAliveDelay(keepAlive: KeepAlive | undefined): number {
  return Math.ceil((keepAlive?.idle ?? 0) / 1000) * 1000;
}

/** Sets what is there on an open or connecting socket. */
export function applyOptions(socket: Socket, options: SocketOptions & { keepAliveOff?: boolean }): void {
  if (options.noDelay !== undefined) socket.setNoDelay(options.noDelay);
  if (options.keepAliveOff === true) socket.setKeepAlive(false);
  else if (options.keepAlive !== undefined) socket.setKeepAlive(true, keepAliveDelay(options.keepAlive));
}
