import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import type { TlsPlace } from "../tls/tls_start.js";
import type { HandshakeLimit } from "./handshake_limit.js";
import type { Via } from "./via.js";

/** What a connection waits for that is not open from the start: a connect, a descriptor, a stream. */
export interface Pending {
  /** How long the connect may take; undefined for what has no such limit. */
  connectTimeout?: number;
  /** Calls it off while it is under way. */
  cancel(how: "close" | "abort"): void;
  /** What a connection ends with whose program called it off; undefined where that is what it would end with were it open. */
  calledOff(): CloseReason | undefined;
}

/** Who made the connection: the listening socket that accepted it, or the dialer that connects it. */
export interface Origin extends TlsPlace {
  /** The address peers connected to, where it is known without asking the kernel. */
  readonly sharedLocalAddress: SocketAddress | undefined;
  /** The path a client connected to: what its server was bound to may be the same socket's name in another folder. */
  readonly sharedRemoteAddress: SocketAddress | undefined;
  /** What the connection came through, where a PROXY protocol header has told. */
  readonly via?: Via;
  /** What it waits for before it opens; undefined where it is open from the start. */
  readonly pending: Pending | undefined;
  /** A connection of this origin has ended. */
  ended(): void;
  readonly accepts: boolean;
  /** Counts the handshakes of a listener's connections. */
  readonly handshakes: HandshakeLimit | undefined;
}
