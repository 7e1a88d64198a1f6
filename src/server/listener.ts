import { inspect } from "node:util";
import { formatAddress, type InetAddress, type SocketAddress } from "../base/addresses.js";
import { StateError } from "../base/errors.js";
import type { ServerTls } from "../tls/tls_start.js";
import type { ListenSocket } from "./listen_socket.js";
import type { ListenerTls } from "./listener_tls.js";
/**
 * A running server: what `startServer` and `attachServer` resolve to. Closing it stops accepting; connections it has
 * accepted live on.
 */
export class Listener implements AsyncDisposable {
  readonly #sockets: readonly ListenSocket[];
  readonly #addresses: readonly SocketAddress[];
  readonly #gone: Promise<void>;
  readonly #tls: ListenerTls | undefined;
  #open: boolean;

  /** @internal */
  constructor(sockets: readonly ListenSocket[], tls: ListenerTls | undefined) {
    this.#sockets = sockets;
    this.#tls = tls;
    this.#open = true;
    this.#addresses = sockets.flatMap(({ address }) => (address === undefined ? [] : [address]));
    let left = sockets.length;
    this.#gone = new Promise((resolve) => {
      for (const socket of sockets) {
        socket.onGone = () => {
          if (--left > 0) return;
          this.#open = false;
          tls?.close();
          resolve();
        };
      }
    });
  }

  /** The bound address (the first, where a name stood for several), with the port the system chose for port 0. */
  get address(): SocketAddress {
    return this.#addresses[0] as SocketAddress;
  }

  /** Every bound address: several where a name stood for several. They stay after it has closed. */
  get addresses(): readonly SocketAddress[] {
    return this.#addresses;
  }

  /** The bound port; undefined on a Unix socket. */
  get port(): number | undefined {
    return this.address.family === "unix" ? undefined : this.address.port;
  }

  /** Connections of this listener that have not ended. */
  get connectionCount(): number {
    return this.#sockets.reduce((sum, { open }) => sum + open, 0);
  }
  /** Connections that it has accepted so far. */
  get acceptedCount(): number {
    return this.#sockets.reduce((sum, { accepted }) => sum + accepted, 0);
  }

  /** Whether it accepts: false once `close` was called, or the reactor has stopped. */
  get isListening(): boolean {
    return this.#open;
  }

  /** Peers that it has closed before a connection was made of them: see `proxyProtocol`. */
  get refusedCount(): number {
    return this.#sockets.reduce((sum, { refused }) => sum + refused, 0);
  }

  /**
   * Serves newcomers with another context, or what one is made of, from the next connection on; those that are there stay as they
   * are, and nobody is dropped. Throws `ERR_EM_TLS_NOT_SERVED` on a listener that was started without `tls`, ArgumentError and
   * TlsError for a context it cannot serve with: then the old one stays.
   */
  setTlsContext(tls: ServerTls): void {
    if (this.#tls === undefined) {
      throw new StateError("ERR_EM_TLS_NOT_SERVED", "setTlsContext: the listener was started without tls");
    }
    if (this.#open) this.#tls.replace(tls);
  }

  /** Stops accepting; resolves when the port (or path) is free again. Closing twice is harmless. (stop_server.) */
  async close(): Promise<void> {
    if (this.#open) for (const socket of this.#sockets) socket.close();
    this.#open = false;
    await this.#gone;
  }

  /** The same as `close`: `await using server = await startServer(…)`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What `console.log` shows: its addresses, and whether it is closed. */
  [inspect.custom](): string {
    return `Listener { ${this.#addresses.map(formatAddress).join(", ")}${this.#open ? "" : " closed"} }`;
  }
}

/** A listener on an internet address: its port is known to be one. */
export type InetListener = Listener & { readonly address: InetAddress; readonly port: number };
