import type { Duplex } from "node:stream";
import { UnsupportedError } from "../../base/errors.js";
import type { Capability } from "../capabilities.js";
import { type KeepAlive, lackedFor, type SocketOptions } from "../socket_options.js";

/** A stream that may be a socket, and has its members then. */
interface MaybeSocket extends Duplex {
  setNoDelay?(on: boolean): unknown;
  setKeepAlive?(on: boolean, delay?: number): unknown;
}

/** Throws for the first option that the engine cannot set. */
export function checkOptions(options: SocketOptions, capabilities: ReadonlySet<Capability>, engine: string): void {
  const lacked = lackedFor(options, capabilities);
  if (lacked !== undefined) throw new UnsupportedError(lacked, engine);
}

/** The idle time as node:net wants it: milliseconds, of which it drops what is no whole second; 0 leaves the default. */
export function keepAliveDelay(keepAlive: KeepAlive | undefined): number {
  return Math.ceil((keepAlive?.idle ?? 0) / 1000) * 1000;
}

/** Sets what is there on an open or connecting socket. To a stream that is none it means nothing. */
export function applyOptions(stream: MaybeSocket, options: SocketOptions & { keepAliveOff?: boolean }): void {
  if (options.noDelay !== undefined) stream.setNoDelay?.(options.noDelay);
  if (options.keepAliveOff === true) stream.setKeepAlive?.(false);
  else if (options.keepAlive !== undefined) stream.setKeepAlive?.(true, keepAliveDelay(options.keepAlive));
}
