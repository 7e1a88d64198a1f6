import { AsyncResource } from "node:async_hooks";
import type { Duplex } from "node:stream";
import { describe } from "../base/addresses.js";
import { checkFunction } from "../base/checks.js";
import { ArgumentError } from "../base/errors.js";
import { checkNames } from "../base/known_names.js";
import { AdoptedStream } from "../client/adopted_stream.js";
import { Dialer } from "../client/dialer.js";
import { type ProxyHeaderOptions, proxyHeader } from "../codecs/proxy/serializer.js";
import { Connection } from "../connection/connection.js";
import { ForeignStream, noTls } from "../connection/foreign_stream.js";
import type { Origin } from "../connection/origin.js";
import { STOPPED } from "../connection/reasons.js";
import { Transport } from "../connection/transport.js";
import { READ_ONLY, WRITE_ENDED } from "../connection/transport_state.js";
import type { Core } from "../core/core.js";
import { State } from "../core/stream_port.js";
import type { TransportHome } from "../core/transport_home.js";
import { CONNECT_TO } from "../options/option_names.js";
import {
  type ConnectAddress,
  checkConnectAddress,
  checkConnectOptions,
  checkStreamOptions,
  type StreamOptions,
  type StreamSettings,
} from "../options/options.js";
import type { PopenSettings } from "../options/popen_options.js";
import { requireCapability, requireName, requireOptions } from "../options/required.js";
import { Child } from "../process/child.js";
import { ChildProcess, receivesErrors } from "../process/child_process.js";
import type { ConnectionMaker } from "../server/listen_socket.js";
import { type ClientTls, planStart, type TlsPlan } from "../tls/tls_start.js";
import { WatchedDescriptor } from "../watch/watched_descriptor.js";

/** A Connection class, and what its constructor takes. */
export type Handler<A extends unknown[], C extends Connection> = new (...args: A) => C;

/** An option of every call that makes connections of a class. */
export interface OnConnection<C extends Connection = Connection> {
  /**
   * Called with each connection made, right after its `postInit`: in place of arguments to a constructor where the class is
   * somebody else's. Not called again by `reconnect`. A throw is the connection's, as in any callback. (The block of EventMachine's
   * start_server and connect.)
   */
  onConnection?: (connection: C) => unknown;
}

/** Makes connections of one class and puts them on a transport, for servers and clients alike. */
export class ConnectionFactory<A extends unknown[], C extends Connection> {
  readonly #core: Core;
  readonly #handler: Handler<A, C>;
  readonly #args: A;
  readonly #context: AsyncResource | undefined;
  readonly #onConnection: ((connection: C) => unknown) | undefined;
  /** What the connection began with last, for when it connects again. */
  #tls: ClientTls | undefined;
  #proxyHeader: ProxyHeaderOptions | undefined;

  constructor(
    core: Core,
    handler: Handler<A, C>,
    args: A,
    { onConnection }: OnConnection<C>,
    base: typeof Connection = Connection,
  ) {
    this.#core = core;
    this.#handler = checkHandler(handler, base);
    if (onConnection !== undefined) checkFunction(onConnection, "onConnection");
    this.#onConnection = onConnection;
    this.#args = args;
    this.#context = core.asyncContext ? new AsyncResource("EventMachine") : undefined;
  }

  maker(settings: StreamSettings): ConnectionMaker {
    const Handler = this.#handler;
    const args = this.#args;
    return {
      make: () => new Handler(...args),
      attach: (connection, transport) => Connection.attach(connection, transport, undefined),
      startTls: (connection, plan) => Connection.startTls(connection, plan),
      onConnection: this.#onConnection as OnConnection["onConnection"],
      borrows: this.#borrows,
      settings,
      context: this.#context,
    };
  }

  watcher(): { make(): C; onConnection: ((connection: C) => unknown) | undefined; context: AsyncResource | undefined } {
    return { make: () => new this.#handler(...this.#args), onConnection: this.#onConnection, context: this.#context };
  }

  connect(address: ConnectAddress): C {
    const { dialer, plan, header } = this.#dialer(address);
    const connection = new this.#handler(...this.#args);
    if (!this.#core.isAccepting) return this.#neverBegun(connection, dialer, dialer.settings, plan);
    this.#dial(connection, dialer, plan, header);
    return this.#begun(connection, dialer.transport);
  }

  adopt(fd: number, options: StreamOptions & { tls?: ClientTls }): C {
    const settings = checkStreamOptions(options);
    requireCapability(this.#core.engine, "adoptStream");
    requireOptions(this.#core.engine, settings.socket);
    const origin = new AdoptedStream(this.#core, fd, settings);
    const plan = this.#plan(options.tls, origin);
    const connection = new this.#handler(...this.#args);
    if (!this.#core.isAccepting) {
      origin.discard();
      return this.#neverBegun(connection, origin, settings, plan);
    }
    const transport = this.#transport(connection, origin, settings);
    Connection.attach(connection, transport, undefined);
    if (plan !== undefined) Connection.startTls(connection, plan);
    origin.start(transport);
    return this.#begun(connection, transport);
  }

  /** A connection over a stream of Node's: everything but the engine under it is the reactor's. */
  over(duplex: Duplex, options: StreamOptions & { tls?: unknown }, isReadOnly = false): C {
    if (options.tls !== undefined && options.tls !== false) throw noTls();
    const settings = checkStreamOptions(options);
    const home = new ForeignStream(this.#core, duplex);
    const connection = new this.#handler(...this.#args);
    if (!this.#core.isAccepting) {
      home.discard();
      return this.#neverBegun(connection, home, settings, undefined);
    }
    const transport = this.#transport(connection, home, settings, home);
    if (isReadOnly) transport.flags |= READ_ONLY | WRITE_ENDED;
    home.start(transport, settings);
    Connection.attach(connection, transport, undefined);
    return this.#begun(connection, transport);
  }

  /** A connection to a child process. */
  popen(settings: PopenSettings): C {
    const connection = new this.#handler(...this.#args);
    const child = new Child(this.#core, settings);
    if (!this.#core.isAccepting) return this.#neverBegun(connection, child, settings.life, undefined);
    child.run(receivesErrors(connection));
    const transport = this.#transport(connection, child, settings.life, child);
    child.start(transport);
    Connection.attach(connection, transport, undefined);
    return this.#begun(connection, transport);
  }

  /** The first callbacks of a connection that this process makes; it may have ended itself in `postInit`. */
  #begun(connection: C, transport: Transport): C {
    transport.call(connection.postInit);
    const onConnection = this.#onConnection;
    if (onConnection !== undefined && transport.state <= State.open) transport.call(onConnection, connection);
    return connection;
  }

  #dialer(address: ConnectAddress): { dialer: Dialer; plan: TlsPlan | undefined; header: Buffer | undefined } {
    const target = checkConnectAddress(address);
    checkNames(address, CONNECT_TO, "address");
    if ("path" in target) requireName(this.#core.engine, target.path);
    const settings = checkStreamOptions(address);
    requireOptions(this.#core.engine, settings.socket);
    const dialer = new Dialer(this.#core, target, checkConnectOptions(address), settings);
    const { tls = this.#tls, proxyHeader: given = this.#proxyHeader } = address;
    const header = given === undefined ? undefined : proxyHeader(given, "proxyHeader");
    const plan = this.#plan(tls, dialer);
    this.#tls = tls;
    this.#proxyHeader = given;
    return { dialer, plan, header };
  }

  /** Checks the `tls` option, and has the engine make its context: what cannot be made throws before anything else is. */
  #plan(tls: ClientTls | undefined, origin: Dialer | AdoptedStream): TlsPlan | undefined {
    if (tls === undefined || tls === false) return undefined;
    const plan = planStart(tls, origin);
    this.#core.tlsContexts.idFor(plan.context, plan.role);
    return plan;
  }

  #dial(connection: Connection, dialer: Dialer, plan: TlsPlan | undefined, header: Buffer | undefined): void {
    const transport = this.#transport(connection, dialer, dialer.settings);
    this.#core.members.add(transport);
    Connection.attach(connection, transport, this.#redial);
    if (header !== undefined) transport.sendBytes(header);
    if (plan !== undefined) Connection.startTls(connection, plan);
    dialer.start(transport);
  }

  readonly #redial = (connection: Connection, address: ConnectAddress): boolean => {
    if (!this.#core.isAccepting) {
      checkConnectAddress(address);
      return false;
    }
    const { dialer, plan, header } = this.#dialer(address);
    this.#dial(connection, dialer, plan, header);
    return true;
  };

  /** The reactor's end has begun: a connection that is closed from its first moment. */
  #neverBegun(connection: C, origin: Origin, settings: StreamSettings, plan: TlsPlan | undefined): C {
    const transport = this.#transport(connection, origin, settings);
    Connection.attach(connection, transport, undefined);
    transport.neverBegins(STOPPED);
    if (plan !== undefined) Connection.startTls(connection, plan);
    return connection;
  }

  #transport(
    connection: Connection,
    origin: Origin,
    settings: StreamSettings,
    home: TransportHome = this.#core,
  ): Transport {
    return new Transport(home, origin, connection, settings, this.#context, this.#borrows, this.#startsPaused);
  }

  get #borrows(): boolean {
    return (this.#handler as unknown as typeof Connection).borrowsData === true;
  }

  /**
   * A client, or what was handed over, of the bare class has nobody to give data to: it waits until somebody takes the
   * connection over. What a server accepts never waits: nobody may come, and a peer's end must be noticed all the same.
   */
  get #startsPaused(): boolean {
    const handler: unknown = this.#handler;
    return handler === Connection || handler === ChildProcess;
  }
}

/** `base`: what the handler has to be. Only `watch` can drive what is made for watches. */
function checkHandler<H>(handler: H, base: typeof Connection): H {
  if (!isOrExtends(handler, base)) {
    throw new ArgumentError(
      `handler must be a class that extends ${base.name}, not ${describe(handler)}`,
      "ERR_EM_INVALID_HANDLER",
    );
  }
  if (base === Connection && isOrExtends(handler, WatchedDescriptor)) {
    throw new ArgumentError("handler extends WatchedDescriptor: such a class is for watch", "ERR_EM_INVALID_HANDLER");
  }
  return handler;
}

function isOrExtends(handler: unknown, base: typeof Connection): boolean {
  return typeof handler === "function" && (handler === base || (handler.prototype as unknown) instanceof base);
}
