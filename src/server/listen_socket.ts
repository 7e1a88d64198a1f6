import type { AsyncResource } from "node:async_hooks";
import { formatAddress, ipv4Address, type SocketAddress } from "../base/addresses.js";
import type { EventMachineError } from "../base/errors.js";
import { stopped } from "../base/stopped.js";
import { SystemError } from "../base/system_error.js";
import type { ProxyHeader } from "../codecs/proxy/header.js";
import type { Connection } from "../connection/connection.js";
import type { HandshakeLimit } from "../connection/handshake_limit.js";
import type { Origin } from "../connection/origin.js";
import { Transport } from "../connection/transport.js";
import type { Core } from "../core/core.js";
import { DISCARDED, type Endpoint } from "../core/endpoint.js";
import { Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import { listenerAccept } from "../observe/channels.js";
import { isTracing, trace } from "../observe/trace.js";
import type { ProxyTrust, StreamSettings } from "../options/options.js";
import type { TlsPlan } from "../tls/tls_start.js";
import { type HeaderEvents, HeaderWait } from "./header_wait.js";
import type { ListenerTls } from "./listener_tls.js";
import { Newcomers } from "./newcomers.js";
import { ProxiedOrigin } from "./proxied_origin.js";

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
export class ListenSocket extends Newcomers implements Origin, HeaderEvents {
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
  /** Whose PROXY protocol headers are read; undefined where nobody's are. */
  readonly #trust: ProxyTrust | undefined;
  /** The name of a Unix socket; internet addresses are what the kernel says. */
  readonly #name: SocketAddress | undefined;
  handle: Handle = NO_HANDLE;
  address: SocketAddress | undefined;
  sharedLocalAddress: SocketAddress | undefined;
  accepted = 0;
  open = 0;
  /** Peers that were closed before a connection was made of them: see `proxyProtocol`. */
  refused = 0;
  onGone: () => void = () => {};

  constructor(
    core: Core,
    maker: ConnectionMaker,
    tls: ListenerTls | undefined,
    handshakes: HandshakeLimit,
    trust: ProxyTrust | undefined,
    name: SocketAddress | undefined,
    settled: (error: EventMachineError | undefined) => void,
  ) {
    super();
    this.#name = name;
    this.#tls = tls;
    this.handshakes = handshakes;
    this.#trust = trust;
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
    const trust = this.#trust;
    if (trust === undefined) {
      this.#welcome(handle, ipv4, port, this);
      return;
    }
    const core = this.#core;
    const address = port >= 0 ? ipv4Address(ipv4, port) : core.engine.remoteAddress(handle);
    if (trust.from.has(address)) {
      core.register(handle, new HeaderWait(core, { handle, address, ipv4, port }, trust.timeout, this));
    } else if (trust.untrusted === "direct") {
      this.#welcome(handle, ipv4, port, this);
    } else {
      core.register(handle, DISCARDED);
      core.engine.close(handle);
      this.refused++;
      if (isTracing) trace("listener: refused %s, it is not in proxyProtocol.from", shown(address));
    }
  }

  /** A trusted peer has told who it is about: now there is a connection. */
  introduced(wait: HeaderWait, header: ProxyHeader, chunk: Buffer, start: number, end: number): void {
    const { handle, address, ipv4, port } = wait;
    const origin = new ProxiedOrigin(this, { address, header });
    const ahead = start < end ? chunk.subarray(start, end) : undefined;
    // The header's address is not the engine's to tell.
    const transport = this.#welcome(handle, ipv4, header.source === undefined ? port : -1, origin, ahead);
    transport?.deliverAhead(chunk, start, end);
  }

  refusedHeader(wait: HeaderWait, why: string): void {
    this.refused++;
    if (isTracing) trace("listener: refused %s, %s", shown(wait.address), why);
  }

  /** Makes the connection of a peer; `ahead` was read of it already. Returns it where it is open and there is input for it. */
  #welcome(handle: Handle, ipv4: number, port: number, origin: Origin, ahead?: Buffer): Transport | undefined {
    const core = this.#core;
    const maker = this.#maker;
    let connection: Connection;
    try {
      connection = maker.make();
    } catch (error) {
      this.#enter(handle, origin, DISCARDED);
      core.engine.abort(handle);
      core.reportError(error);
      return undefined;
    }
    this.accepted++;
    this.open++;
    const transport = new Transport(core, origin, connection, maker.settings, maker.context, maker.borrows, false);
    if (ahead !== undefined) transport.more().ahead = ahead;
    this.#enter(handle, origin, transport);
    maker.attach(connection, transport);
    if (this.#tls !== undefined) maker.startTls(connection, this.#tls.plan);
    transport.accepted(handle, ipv4, port);
    if (maker.onConnection !== undefined && transport.isOpen) transport.call(maker.onConnection, connection);
    if (listenerAccept.hasSubscribers) {
      listenerAccept.publish({ reactor: core.host.reactor, connection, address: this.address });
    }
    return ahead === undefined ? undefined : transport;
  }

  /** The handle of who was introduced is known already. */
  #enter(handle: Handle, origin: Origin, endpoint: Endpoint): void {
    if (origin === this) this.#core.register(handle, endpoint);
    else this.#core.replace(handle, endpoint);
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

function shown(address: SocketAddress | undefined): string {
  return address === undefined ? "a peer without an address" : formatAddress(address);
}

function isWildcard(address: SocketAddress | undefined): boolean {
  if (address === undefined) return true;
  return address.family !== "unix" && (address.host === "::" || address.host === "0.0.0.0");
}
