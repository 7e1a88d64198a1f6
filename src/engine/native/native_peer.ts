import { ipv4Address, type SocketAddress } from "../../base/addresses.js";
import { unixName } from "../../base/unix_name.js";
import type { Peer } from "../datagrams.js";
import type { Binding } from "./binding.js";
import { Family } from "./layout.js";

/** The families, and the sizes of their sockaddr, on every Linux. */
export const AF_INET = 2;
export const AF_INET6 = 10;
export const IPV4_NAME = 16;
export const IPV6_NAME = 28;

/** The address of a datagram's peer, as the kernel writes it: what comes in goes out again without being read. */
export class NativePeer implements Peer {
  /** The sockaddr in whole words. */
  readonly words: Int32Array;
  /** Its length in bytes. */
  readonly length: number;
  readonly first: number;
  readonly second: number;
  readonly #native: Binding;
  #bytes: Uint8Array | undefined;
  #address: SocketAddress | undefined;

  /** `words` are the peer's from here on. */
  constructor(native: Binding, words: Int32Array, length: number) {
    this.#native = native;
    this.words = words;
    this.length = length;
    this.first = words[0] ?? 0;
    this.second = words[1] ?? 0;
  }

  get bytes(): Uint8Array {
    this.#bytes ??= new Uint8Array(this.words.buffer, this.words.byteOffset, this.length);
    return this.#bytes;
  }

  get address(): SocketAddress {
    this.#address ??= Object.freeze(this.#read());
    return this.#address;
  }

  #read(): SocketAddress {
    const bytes = this.bytes;
    if (this.length < 2) return { family: "unix", path: "" };
    const [family] = new Uint16Array(bytes.buffer, bytes.byteOffset, 1);
    if (family === AF_INET && this.length >= 8) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
      return ipv4Address(view.getUint32(4), view.getUint16(2));
    }
    const shown = this.#native.showAddress(bytes);
    // A Unix socket that is bound to nothing has no name.
    if (shown === undefined) return { family: "unix", path: "" };
    const [kind, host, port] = shown;
    if (typeof host !== "string") return { family: "unix", path: unixName(host) };
    return { family: kind === Family.ipv4 ? "IPv4" : "IPv6", host, port };
  }
}

/** A power of two. */
const PEERS = 1024;

/**
 * The peers that were met lately: one object for each, in the place that its address says. Another one of that place takes
 * it over, so that whoever sends from many addresses costs no memory.
 */
export class PeerTable {
  readonly #native: Binding;
  readonly #peers = new Array<NativePeer | undefined>(PEERS).fill(undefined);

  constructor(native: Binding) {
    this.#native = native;
  }

  /** The peer whose sockaddr of this many bytes begins at this word, with zeros behind it in the last one. */
  find(words: Int32Array, at: number, length: number): NativePeer {
    const count = (length + 3) >> 2;
    const first = count > 0 ? words[at]! : 0;
    const second = count > 1 ? words[at + 1]! : 0;
    let hash = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
    for (let i = 2; i < count; i++) hash = Math.imul(hash ^ words[at + i]!, 0x9e3779b1);
    const place = (hash ^ (hash >>> 15)) & (PEERS - 1);
    const known = this.#peers[place];
    if (known !== undefined && known.first === first && known.second === second && known.length === length) {
      if (isSame(known.words, words, at, count)) return known;
    }
    const peer = new NativePeer(this.#native, words.slice(at, at + count), length);
    this.#peers[place] = peer;
    return peer;
  }
}

/** But for the first two. */
function isSame(known: Int32Array, words: Int32Array, at: number, count: number): boolean {
  for (let i = 2; i < count; i++) if (known[i] !== words[at + i]) return false;
  return true;
}
