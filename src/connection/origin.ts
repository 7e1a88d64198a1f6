import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import type { TlsPlace } from "../tls/tls_start.js";
import type { HandshakeLimit } from "./handshake_limit.js";

/** Who made the connection: the listening socket that accepted it, or the dialer that connects it. */
export interface Origin extends TlsPlace {
  /** The address peers connected to, where it is known without asking the kernel. */
  readonly sharedLocalAddress: SocketAddress | undefined;
  /** The path a client connected to: what its server was bound to may be the same socket's name in another folder. */
  readonly sharedRemoteAddress: SocketAddress | undefined;
  /** How long the connect under way may take; 0 on accepted connections, where setting it does nothing. */
  connectTimeout: number;
  /** Calls a connect off that is still under way. */
  cancel(): void;
  /** What a connect that its caller called off ends with. */
  calledOff(): CloseReason;
  /** A connection of this origin has ended. */
  ended(): void;
  readonly accepts: boolean;
  /** Counts the handshakes of a listener's connections. */
  readonly handshakes: HandshakeLimit | undefined;
}
