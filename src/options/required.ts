import { UnsupportedError } from "../base/errors.js";
import type { UnixName } from "../base/unix_name.js";
import type { Capability } from "../engine/capabilities.js";
import type { StreamEngine } from "../engine/engine.js";
import { lackedFor, type SocketOptions } from "../engine/socket_options.js";

/**
 * Refuses what the engine cannot do before anything is made: an engine that refuses a connect under way would leave a
 * connection behind that never ends.
 */
export function requireCapability(engine: StreamEngine, capability: Capability): void {
  if (!engine.capabilities.has(capability)) throw new UnsupportedError(capability, engine.name);
}

/** The same for the name of a Unix socket. */
export function requireName(engine: StreamEngine, name: UnixName): void {
  if (typeof name !== "string" || name.indexOf("\0", 1) !== -1) requireCapability(engine, "unixNameBytes");
}

/** The same for socket options. */
export function requireOptions(engine: StreamEngine, options: SocketOptions): void {
  const lacked = lackedFor(options, engine.capabilities);
  if (lacked !== undefined) throw new UnsupportedError(lacked, engine.name);
}
