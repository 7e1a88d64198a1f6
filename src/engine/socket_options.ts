import type { Capability } from "./capabilities.js";

/** What the kernel is asked of every socket of a listener, or of one connection. Absent means the system's default. */
export interface SocketOptions {
  noDelay?: boolean;
  keepAlive?: KeepAlive;
  receiveBufferSize?: number;
  sendBufferSize?: number;
  tcpUserTimeout?: number;
}

/** Times in milliseconds, rounded up to whole seconds, as the kernel counts. */
export interface KeepAlive {
  /** How long nothing was received before the first probe: 1 to 32,767,000. */
  idle?: number;
  /** The time between probes: 1 to 32,767,000. */
  interval?: number;
  /** How many probes go unanswered before the connection ends: 1 to 127. */
  count?: number;
}

/** The capability that an option needs, of those every engine may lack; undefined where it needs none. */
const NEEDS: { readonly [Name in keyof SocketOptions]-?: (value: SocketOptions[Name]) => Capability | undefined } = {
  noDelay: () => undefined,
  keepAlive: (value) => (value?.interval === undefined && value?.count === undefined ? undefined : "keepAliveProbes"),
  receiveBufferSize: () => "bufferSizes",
  sendBufferSize: () => "bufferSizes",
  tcpUserTimeout: () => "tcpUserTimeout",
};

/** The first capability that these options need and the engine lacks: better refused than silently left out. */
export function lackedFor(options: SocketOptions, capabilities: ReadonlySet<Capability>): Capability | undefined {
  for (const [name, needs] of Object.entries(NEEDS)) {
    const value = options[name as keyof SocketOptions];
    const needed = value === undefined ? undefined : (needs as (value: unknown) => Capability | undefined)(value);
    if (needed !== undefined && !capabilities.has(needed)) return needed;
  }
  return undefined;
}
