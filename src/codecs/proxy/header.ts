import type { SocketAddress } from "../../base/addresses.js";
import { markPeer } from "../../base/error_marks.js";
import { EventMachineError } from "../../base/errors.js";

/** A further fact in a header of version 2: a type and its bytes. */
export interface ProxyTlv {
  /** From 0 to 255; `ProxyTlvType` names those that are registered. */
  readonly type: number;
  /** Its bytes: up to 4 KiB with everything else. */
  readonly value: Buffer;
}

/** Registered types of TLVs (section 2.2 of the specification). */
export const ProxyTlvType = {
  alpn: 0x01,
  authority: 0x02,
  crc32c: 0x03,
  noop: 0x04,
  uniqueId: 0x05,
  ssl: 0x20,
  netns: 0x30,
} as const;

/** A PROXY protocol header, read. */
export interface ProxyHeader {
  /** 1 is a line of text, 2 is binary. */
  readonly version: 1 | 2;
  /** `local`: the connection is the sender's own, a health check: nobody is proxied. */
  readonly command: "proxy" | "local";
  /** How the proxied peer speaks to the sender; undefined where that is not said. */
  readonly protocol: "stream" | "datagram" | undefined;
  /** The proxied peer; undefined where the header does not say, or the command is `local`: it is the socket's then. */
  readonly source: SocketAddress | undefined;
  /** Whom the peer connected to; undefined as `source` is. */
  readonly destination: SocketAddress | undefined;
  /** In their order, less padding and the checksum, which was verified. */
  readonly tlvs: readonly ProxyTlv[];
}

/** A peer's PROXY protocol header is none, or breaks the protocol's rules. */
export class ProxyHeaderError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "ProxyHeaderError";
}

export function faulty(what: string): ProxyHeaderError {
  return markPeer(new ProxyHeaderError("ERR_EM_PROXY_HEADER", what));
}
