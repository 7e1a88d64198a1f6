import type { Socket } from "node:net";
import { UnsupportedError } from "../../base/errors.js";
import type { Capability } from "../capabilities.js";
import type { KeepAlive, SocketOptions } from "../streams.js";

export function unsupported(capability: Capability): UnsupportedError {
  return new UnsupportedError(capability, "portable");
}

/** Throws for the first option that node:net cannot set: better refused than silently left out. */
export function checkOptions(options: SocketOptions): void {
  const { keepAlive, receiveBufferSize, sendBufferSize, tcpUserTimeout } = options;
  if (receiveBufferSize !== undefined || sendBufferSize !== undefined) throw unsupported("bufferSizes");
  if (tcpUserTimeout !== undefined) throw unsupported("tcpUserTimeout");
  if (keepAlive?.interval !== undefined || keepAlive?.count !== undefined) throw unsupported("keepAliveProbes");
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
