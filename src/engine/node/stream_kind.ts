/** What has to be known of a kind of stream to drive it. */
export interface StreamKind {
  /** It calls back from Node's loop alone. Others may do so within the very call that is made to them. */
  readonly isDirect: boolean;
  /** It takes a write while it is made, as far as the kernel does, and its memory is free again then. */
  readonly isPrompt: boolean;
  /** What it is given may stay with it when it has reported it as written. */
  readonly keepsMemory: boolean;
  /** Destroyed when all its output is out, it ends in order. Others have ended when they have finished. */
  readonly endsWhenDestroyed: boolean;
}

/** A socket of node:net's. */
export const SOCKET: StreamKind = { isDirect: true, isPrompt: true, keepsMemory: false, endsWhenDestroyed: true };
/** One of node:tls's on such a socket, which is destroyed by its layer. */
export const SECURED: StreamKind = { ...SOCKET, isPrompt: false };
/** Any other: nothing is known of it but that it is a Duplex. */
export const FOREIGN: StreamKind = { isDirect: false, isPrompt: false, keepsMemory: true, endsWhenDestroyed: false };
