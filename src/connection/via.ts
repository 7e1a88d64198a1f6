import type { SocketAddress } from "../base/addresses.js";
import type { ProxyHeader } from "../codecs/proxy/header.js";

/** What a proxied connection came through. */
export interface Via {
  /** Who has the other end of the socket: the balancer. */
  readonly address: SocketAddress | undefined;
  /** What it has told of the peer, TLVs included. */
  readonly header: ProxyHeader;
}
