import type { Duplex } from "node:stream";
import { type SocketAddress, unmapAddress } from "../../base/addresses.js";

/** The addresses of the two ends. The kernel forgets them with the descriptor, so they are asked for while it is open. */
export interface Ends {
  readonly local: SocketAddress | undefined;
  readonly remote: SocketAddress | undefined;
}

/** A stream that may be an internet socket, and knows its addresses then. */
interface MaybeSocket extends Duplex {
  readonly localAddress?: unknown;
  readonly localPort?: unknown;
  readonly remoteAddress?: unknown;
  readonly remotePort?: unknown;
}

/** The ends of an internet socket; a peer that is gone already has no address. */
export function inetEnds(stream: MaybeSocket): Ends {
  return { local: inetAddress(stream.localAddress, stream.localPort), remote: inetPeer(stream) };
}

export function inetPeer(stream: MaybeSocket): SocketAddress | undefined {
  return inetAddress(stream.remoteAddress, stream.remotePort);
}

function inetAddress(host: unknown, port: unknown): SocketAddress | undefined {
  return typeof host === "string" && typeof port === "number" ? unmapAddress(host, port) : undefined;
}
