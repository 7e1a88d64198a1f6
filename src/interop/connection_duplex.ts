import type { AddressInfo, SocketReadyState } from "node:net";
import { Duplex } from "node:stream";
import type { SocketAddress } from "../base/addresses.js";
import { describe } from "../base/addresses.js";
import { checkBoolean, checkDuration, checkFunction, checkInteger, checkObject } from "../base/checks.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { checkNames, type Names } from "../base/known_names.js";
import { Connection } from "../connection/connection.js";
import { State, type StreamTls } from "../core/stream_port.js";
import { DuplexLink } from "./duplex_link.js";
import { hasHandleAdapter } from "./handle_adapter.js";
import { IdleTimeout } from "./idle_timeout.js";
import type { Piece } from "./outgoing.js";
import { peerEnded } from "./stream_error.js";
import { TlsMembers } from "./tls_members.js";

/** What `toDuplex` may be given. */
export interface DuplexOptions {
  /**
   * Leave the stream open for writing when the peer has sent its FIN; without it the stream ends itself then, after what
   * was written. Default false, as for node:net's sockets; node:http's server wants true.
   */
  allowHalfOpen?: boolean;
  /** The stream's own high-water mark, in bytes, for each direction; the connection's comes on top. Default: Node's. */
  highWaterMark?: number;
}

const OPTIONS: Names<DuplexOptions> = { allowHalfOpen: true, highWaterMark: true };

/**
 * A connection as the libraries of the Node ecosystem expect a socket: a Duplex with the members of `net.Socket`, to which
 * it can be assigned. `toDuplex` makes it. Over a connection under TLS it shows what a `TLSSocket` shows, too.
 *
 * What differs from a socket of node:net: `ref` and `unref` do nothing, for the reactor keeps the process alive; `connect`
 * ignores its address, for the connection has one; a write's callback says that the connection has taken the bytes, while
 * `finish` and a `destroy` without an error still see to it that they reach the kernel.
 */
export class ConnectionDuplex extends TlsMembers {
  readonly #link: DuplexLink;
  #idle: IdleTimeout | undefined;
  /** What `setTimeout` was given last. */
  timeout?: number;

  /** @internal */
  constructor(connection: Connection, options: DuplexOptions = {}) {
    super({
      allowHalfOpen: options.allowHalfOpen === true,
      decodeStrings: false,
      emitClose: false,
      ...(options.highWaterMark === undefined ? {} : { highWaterMark: options.highWaterMark }),
    });
    this.#link = new DuplexLink(connection, Connection.portOf(connection), this, this.#peerEnds);
    this.#link.beginReading();
  }

  protected override tlsLife(): StreamTls | undefined {
    return this.#link.port.tls;
  }

  /** The connection underneath. Its `closeReason` says why it ended. */
  get connection(): Connection {
    return this.#link.connection;
  }

  // The stream -------------------------------------------------------------------------------------------------------

  /** The stream's own: Node calls it. */
  override _read(): void {
    this.#link.port.resume();
  }

  /** The stream's own: Node calls it. */
  override _write(
    chunk: Uint8Array | string,
    encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#link.outgoing.write(chunk, encoding, callback);
  }

  /** The stream's own: Node calls it. */
  override _writev(chunks: Piece[], callback: (error?: Error | null) => void): void {
    this.#link.outgoing.writeAll(chunks, callback);
  }

  /** Where Node's adapter stands on the stream, that ends it, and not the stream itself. */
  readonly #peerEnds = (): void => {
    if (this.allowHalfOpen) return;
    // Listened to only now: postgres.js removes all listeners of a stream that it gives to TLS.
    this.prependOnceListener("end", () => {
      if (hasHandleAdapter(this)) this.allowHalfOpen = true;
      else this.write = writeAfterPeerEnded as typeof this.write;
    });
  };

  /** The stream's own: Node calls it. */
  override _final(callback: (error?: Error | null) => void): void {
    this.#link.outgoing.end(callback);
  }

  /** The stream's own: Node calls it. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#idle?.stop();
    this.#link.destroyed(error, callback);
  }

  // A socket's ends --------------------------------------------------------------------------------------------------

  /** Ends writing, and destroys the stream when everything is with the kernel. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", this.destroy);
  }

  /** Resets the connection: both sides lose what is under way. */
  resetAndDestroy(): this {
    this.#link.reset();
    return this;
  }

  /**
   * For libraries that connect what they were given: the connection has its address, so the arguments do not matter but
   * for a callback. `connect` is emitted when the connection is open, in a later tick where it is already.
   */
  connect(...args: unknown[]): this {
    const callback = args.at(-1);
    if (typeof callback === "function") this.once("connect", callback as () => void);
    const { state } = this.#link.port;
    if (state > State.open || this.destroyed) {
      throw new StateError("ERR_EM_CLOSED", "the connection under this stream has ended; make another");
    }
    if (state === State.open) process.nextTick(() => this.emit("connect"));
    return this;
  }

  // A socket's settings ----------------------------------------------------------------------------------------------

  /** Emits `timeout` when nothing was read or written for so many milliseconds; 0 is off. */
  setTimeout(ms: number, callback?: () => void): this {
    checkDuration(ms, "ms");
    if (callback !== undefined) checkFunction(callback, "callback");
    if (this.destroyed) return this;
    this.timeout = ms;
    if (callback !== undefined) {
      if (ms === 0) this.removeListener("timeout", callback);
      else this.once("timeout", callback);
    }
    if (this.#idle === undefined) {
      if (ms === 0) return this;
      this.#idle = new IdleTimeout(this.#link.port, () => this.emit("timeout"));
    }
    this.#idle.set(ms);
    return this;
  }

  /** TCP_NODELAY; kept until the connection is open. (`net.Socket`.) */
  setNoDelay(on = true): this {
    this.#link.setNoDelay(Boolean(on));
    return this;
  }

  /** `initialDelay` in milliseconds; what is no whole second of it is dropped, and 0 leaves the system's. */
  setKeepAlive(on = false, initialDelay = 0): this {
    this.#link.setKeepAlive(Boolean(on), initialDelay);
    return this;
  }

  /** Does nothing: the reactor keeps the process alive (`reactor.unref()`). */
  ref(): this {
    return this;
  }

  /** Does nothing, as `ref`. */
  unref(): this {
    return this;
  }

  // A socket's state -------------------------------------------------------------------------------------------------

  /** Whether the connect is under way. */
  get connecting(): boolean {
    return this.#link.port.state === State.connecting && !this.destroyed;
  }

  /** Not connected yet, or no more. */
  get pending(): boolean {
    return this.#link.port.state !== State.open;
  }

  /** Both directions in a word, as a `net.Socket` says it: `opening`, `open`, `readOnly`, `writeOnly` or `closed`. */
  get readyState(): SocketReadyState {
    if (this.connecting) return "opening";
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Bytes received on this life of the connection. */
  get bytesRead(): number {
    return this.#link.port.bytesIn;
  }

  /** Bytes written to the stream, those it still holds included. */
  get bytesWritten(): number {
    const { port, outgoing } = this.#link;
    return port.bytesOut() + port.outboundSize() + this.writableLength - outgoing.handedOn;
  }

  /** Bytes written and not yet with the kernel. */
  get bufferSize(): number {
    const { port, outgoing } = this.#link;
    return port.outboundSize() + this.writableLength - outgoing.handedOn;
  }

  /** The peer's IP address; undefined on a Unix socket and before the connection is open. */
  get remoteAddress(): string | undefined {
    return hostOf(this.#link.port.remoteAddress());
  }

  /** The peer's port, on the same terms. */
  get remotePort(): number | undefined {
    return portOf(this.#link.port.remoteAddress());
  }

  /** "IPv4" or "IPv6", on the same terms. */
  get remoteFamily(): string | undefined {
    return familyOf(this.#link.port.remoteAddress());
  }

  // `net.Socket` declares these three as always there.

  /** Our own IP address; undefined on a Unix socket and before the connection is open, whatever the type says. */
  get localAddress(): string {
    return hostOf(this.#link.port.localAddress()) as string;
  }

  /** Our own port, on the same terms. */
  get localPort(): number {
    return portOf(this.#link.port.localAddress()) as number;
  }

  /** "IPv4" or "IPv6", on the same terms. */
  get localFamily(): string {
    return familyOf(this.#link.port.localAddress()) as string;
  }

  /** The address that was connected to; what the connect tried before it is in a failed connect's error. */
  get autoSelectFamilyAttemptedAddresses(): string[] {
    const remote = this.#link.port.remoteAddress();
    return remote === undefined || remote.family === "unix" ? [] : [`${remote.host}:${remote.port}`];
  }

  /** Our own address; an empty object where there is none, and on Unix sockets. */
  address(): AddressInfo | Record<string, never> {
    const local = this.#link.port.localAddress();
    if (local === undefined || local.family === "unix") return {};
    return { address: local.host, family: local.family, port: local.port };
  }
}

/** A stream that its peer has ended blames it for the writes after the end, as node:net's sockets do. */
function writeAfterPeerEnded(this: Duplex, ...args: Parameters<Duplex["write"]>): boolean {
  if (!this.writableEnded) return Duplex.prototype.write.apply(this, args);
  const error = peerEnded();
  const callback: unknown = args.slice(1).find((arg) => typeof arg === "function");
  if (typeof callback === "function") process.nextTick(callback as (error: Error) => void, error);
  this.destroy(error);
  return false;
}

/**
 * A connection as a Duplex for Node's own modules and other people's libraries: `http.Server`, `tls.connect`, `ws`, `pg`.
 *
 * The stream takes the connection's data from here on: `receiveData`, `receiveEnd` and `drained` of its class are called
 * no more; `connectionCompleted`, `shutdownRequested`, `onError` and `unbind` still are, after the stream's own events.
 * Pausing, sending and closing are the stream's. A connection that was made without a handler waits, paused, for this.
 *
 * Throws `ERR_EM_CLAIMED` where a stream or an iterator has the connection already, `ERR_EM_CLOSED` where it is closing
 * or closed, `ERR_EM_NOT_ATTACHED` in its constructor.
 *
 * ```ts
 * const socket = toDuplex(connect({ host: "127.0.0.1", port: 80 }));
 * const request = http.get({ host: "example.com", createConnection: () => socket });
 * ```
 */
export function toDuplex(connection: Connection, options: DuplexOptions = {}): ConnectionDuplex {
  checkConnection(connection);
  checkObject(options, "options");
  checkNames(options, OPTIONS, "options");
  const { allowHalfOpen, highWaterMark } = options;
  if (allowHalfOpen !== undefined) checkBoolean(allowHalfOpen, "allowHalfOpen");
  if (highWaterMark !== undefined) checkInteger(highWaterMark, "highWaterMark", 0);
  return new ConnectionDuplex(connection, options);
}

export function checkConnection(connection: unknown): void {
  if (!(connection instanceof Connection)) {
    throw new ArgumentError(`connection must be a Connection, not ${describe(connection)}`);
  }
}

function hostOf(address: SocketAddress | undefined): string | undefined {
  return address === undefined || address.family === "unix" ? undefined : address.host;
}

function portOf(address: SocketAddress | undefined): number | undefined {
  return address === undefined || address.family === "unix" ? undefined : address.port;
}

function familyOf(address: SocketAddress | undefined): string | undefined {
  return address === undefined || address.family === "unix" ? undefined : address.family;
}
