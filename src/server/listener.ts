import type { AsyncResource } from "node:async_hooks";
import { inspect } from "node:util";
import { formatAddress, type InetAddress, type SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { type EventMachineError, StateError } from "../base/errors.js";
import { stopped } from "../base/stopped.js";
import { SystemError } from "../base/system_error.js";
import type { Connection } from "../connection/connection.js";
import type { HandshakeLimit } from "../connection/handshake_limit.js";
import type { Origin } from "../connection/origin.js";
import * as reasons from "../connection/reasons.js";
import { Transport } from "../connection/transport.js";
import type { Core } from "../core/core.js";
import { DISCARDED, Endpoint } from "../core/endpoint.js";
import type { Member } from "../core/members.js";
import { Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import { listenerAccept } from "../observe/channels.js";
import { isTracing, trace } from "../observe/trace.js";
import type { StreamSettings } from "../options/options.js";
import type { ServerTls, TlsPlan } from "../tls/tls_start.js";
import type { ListenerTls } from "./listener_tls.js";

/** How a listener makes the objects for its connections. */
export interface ConnectionMaker {
  make(): Connection;
  attach(connection: Connection, transport: Transport): void;
  /** Has a connection begin with TLS. */
  startTls(connection: Connection, plan: TlsPlan): void;
  /** Called with each connection, after its `postInit`. */
  readonly onConnection: ((connection: Connection) => unknown) | undefined;
  readonly borrows: boolean;
  readonly settings: StreamSettings;
  readonly context: AsyncResource | undefined;
}

/** One listening socket. A Listener has one for each address it listens on. */
export class ListenSocket extends Endpoint implements Origin, Member {
  readonly accepts = true;
  readonly tlsRole = "server";
  readonly peer = undefined;
  readonly sharedRemoteAddress = undefined;
  readonly #core: Core;
  readonly #maker: ConnectionMaker;
  readonly #settled: (error: EventMachineError | undefined) => void;
  readonly #tls: ListenerTls | undefined;
  readonly handshakes: HandshakeLimit;
  /** The name of a Unix socket; internet addresses are what the kernel says. */
  readonly #name: SocketAddress | undefined;
  handle: Handle = NO_HANDLE;
  address: SocketAddress | undefined;
  sharedLocalAddress: SocketAddress | undefined;
  accepted = 0;
  open = 0;
  onGone: () => void = () => {};

  constructor(
    core: Core,
    maker: ConnectionMaker,
    tls: ListenerTls | undefined,
    handshakes: HandshakeLimit,
    name: SocketAddress | undefined,
    settled: (error: EventMachineError | undefined) => void,
  ) {
    super();
    this.#name = name;
    this.#tls = tls;
    this.handshakes = handshakes;
    this.#core = core;
    this.#maker = maker;
    this.#settled = settled;
  }

  get connectTimeout(): number {
    return 0;
  }
  set connectTimeout(_ms: number) {}
  cancel(): void {}

  calledOff(): CloseReason {
    return reasons.LOCAL_CLOSE;
  }

  ended(): void {
    this.open--;
  }

  start(handle: Handle): void {
    this.handle = handle;
    this.#core.register(handle, this);
  }

  override get member(): Member {
    return this;
  }

  /** Behind every connection. */
  get age(): number {
    return Number.POSITIVE_INFINITY;
  }

  get takesNew(): boolean {
    return true;
  }

  shutdown(): void {
    this.close();
  }

  end(): void {
    this.close();
  }

  close(): void {
    if (this.handle !== NO_HANDLE) this.#core.engine.close(this.handle);
  }

  override onListening(handle: Handle): void {
    this.address = this.#name ?? this.#core.engine.localAddress(handle);
    this.sharedLocalAddress = isWildcard(this.address) ? undefined : this.address;
    if (isTracing) trace("listener: open, %s", this.#traced());
    this.#settled(undefined);
  }

  #traced(): string {
    const address = this.address ?? this.#name;
    return address === undefined ? "never listened" : formatAddress(address);
  }

  override onAccepted(handle: Handle, ipv4: number, port: number): void {
    const core = this.#core;
    const maker = this.#maker;
    let connection: Connection;
    try {
      connection = maker.make();
    } catch (error) {
      core.register(handle, DISCARDED);
      core.engine.abort(handle);
      core.reportError(error);
      return;
    }
    this.accepted++;
    this.open++;
    const transport = new Transport(core, this, connection, maker.settings, maker.context, maker.borrows, false);
    core.register(handle, transport);
    maker.attach(connection, transport);
    if (this.#tls !== undefined) maker.startTls(connection, this.#tls.plan);
    transport.accepted(handle, ipv4, port);
    if (maker.onConnection !== undefined && transport.isOpen) transport.call(maker.onConnection, connection);
    if (listenerAccept.hasSubscribers) {
      listenerAccept.publish({ reactor: core.host.reactor, connection, address: this.address });
    }
  }

  override onClosed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    this.handle = NO_HANDLE;
    if (isTracing) trace("listener: closed, %s, %d accepted", this.#traced(), this.accepted);
    this.#settled(
      ended === Ended.error
        ? new SystemError(errno, syscall)
        : stopped(this.#core.host.reactor, "the reactor stopped before it was listening"),
    );
    this.onGone();
  }
}

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

function isWildcard(address: SocketAddress | undefined): boolean {
  if (address === undefined) return true;
  return address.family !== "unix" && (address.host === "::" || address.host === "0.0.0.0");
}
