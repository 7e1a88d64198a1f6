import type { AsyncResource } from "node:async_hooks";
import { formatAddress, type SocketAddress } from "../base/addresses.js";
import type { EventMachineError } from "../base/errors.js";
import { stopped } from "../base/stopped.js";
import { SystemError } from "../base/system_error.js";
import type { Connection } from "../connection/connection.js";
import type { HandshakeLimit } from "../connection/handshake_limit.js";
import type { Origin } from "../connection/origin.js";
import { Transport } from "../connection/transport.js";
import type { Core } from "../core/core.js";
import { DISCARDED, Endpoint } from "../core/endpoint.js";
import type { Member } from "../core/members.js";
import { Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import { listenerAccept } from "../observe/channels.js";
import { isTracing, trace } from "../observe/trace.js";
import type { StreamSettings } from "../options/options.js";
import type { TlsPlan } from "../tls/tls_start.js";
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
  readonly pending = undefined;
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

function isWildcard(address: SocketAddress | undefined): boolean {
  if (address === undefined) return true;
  return address.family !== "unix" && (address.host === "::" || address.host === "0.0.0.0");
}
