import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import type { TlsRole } from "../tls/tls_context.js";
import type { HandshakeLimit } from "./handshake_limit.js";

/** Who made the connection: the listening socket that accepted it, or the dialer that connects it. */
export interface Origin {
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
  /** The side of TLS that connections of this origin take where they are not told; undefined where they have to be. */
  readonly tlsRole: TlsRole | undefined;
  /** Counts the handshakes of a listener's connections. */
  readonly handshakes: HandshakeLimit | undefined;
  /** Whom a client was told to connect to; undefined where it was no host. */
  readonly peer: { readonly host: string; readonly port: number } | undefined;
}
