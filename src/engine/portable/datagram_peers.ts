import { type InetAddress, unmapAddress } from "../../base/addresses.js";
import type { Peer } from "../datagrams.js";

/** How many peers one socket remembers. */
const PEERS_KEPT = 4096;

/** A peer, and its host as node:dgram takes it on the socket it belongs to. */
export interface PortablePeer extends Peer {
  readonly address: InetAddress;
  readonly host: string;
}

/** The peers that one socket meets: a peer that is met often is one object, and those met least recently are forgotten. */
export class DatagramPeers {
  readonly #known = new Map<string, PortablePeer>();

  /** `host` as node:dgram gives it, and takes it. */
  find(host: string, port: number): PortablePeer {
    const key = `${port} ${host}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= PEERS_KEPT) {
      const [oldest] = this.#known.keys();
      this.#known.delete(oldest as string);
    }
    const peer = { address: Object.freeze(unmapAddress(host, port)), host };
    this.#known.set(key, peer);
    return peer;
  }
}
