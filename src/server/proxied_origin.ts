import type { SocketAddress } from "../base/addresses.js";
import type { HandshakeLimit } from "../connection/handshake_limit.js";
import type { Origin } from "../connection/origin.js";
import type { Via } from "../connection/via.js";

/** Where a connection comes from that a PROXY protocol header has introduced: its listening socket, and who the peer is. */
export class ProxiedOrigin implements Origin {
  readonly accepts = true;
  readonly tlsRole = "server";
  readonly peer = undefined;
  readonly pending = undefined;
  readonly via: Via;
  readonly #socket: Origin;

  constructor(socket: Origin, via: Via) {
    this.#socket = socket;
    this.via = via;
  }

  get handshakes(): HandshakeLimit | undefined {
    return this.#socket.handshakes;
  }

  get sharedLocalAddress(): SocketAddress | undefined {
    return this.#socket.sharedLocalAddress;
  }

  get sharedRemoteAddress(): SocketAddress | undefined {
    return this.via.header.source;
  }

  ended(): void {
    this.#socket.ended();
  }
}
