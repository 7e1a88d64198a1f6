/** What has to be known of a kind of stream to drive it. */
export interface StreamKind {
  /** It calls back from Node's loop alone. Others may do so within the very call that is made to them. */
  readonly isDirect: boolean;
  /** What it is given may stay with it when it has reported it as written. */
  readonly keepsMemory: boolean;
}

/** A socket of node:net's. */
export const SOCKET: StreamKind = { isDirect: true, keepsMemory: false };
/** One of node:tls's on such a socket. */
export const SECURED: StreamKind = { isDirect: true, keepsMemory: false };
/** Any other: nothing is known of it but that it is a Duplex. */
export const FOREIGN: StreamKind = { isDirect: false, keepsMemory: true };
