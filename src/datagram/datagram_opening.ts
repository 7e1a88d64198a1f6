import type { AsyncResource } from "node:async_hooks";
import { constants } from "node:os";
import { type InetAddress, literalAddress, type SocketAddress } from "../base/addresses.js";
import { type StateError, UnsupportedError } from "../base/errors.js";
import { MAX_UNIX_PATH } from "../base/limits.js";
import { stopped } from "../base/stopped.js";
import { SystemError } from "../base/system_error.js";
import { absoluteUnixPath, isAbstractName, showUnixName, type UnixName, unixNameBytes } from "../base/unix_name.js";
import { Connection } from "../connection/connection.js";
import type { Core } from "../core/core.js";
import { DISCARDED, Endpoint } from "../core/endpoint.js";
import type { Member } from "../core/members.js";
import { State } from "../core/stream_port.js";
import { bindOverStale, workingFolder } from "../core/unix_path.js";
import { resolveHost } from "../dns/resolve_host.js";
import type { Capability } from "../engine/capabilities.js";
import { Ended, type Handle, type ListenFile, NO_HANDLE } from "../engine/streams.js";
import type { DatagramSettings } from "../options/datagram_options.js";
import { requireCapability, requireName } from "../options/required.js";
import { DatagramTransport } from "./datagram_transport.js";

/** How the connection of a datagram socket is made. */
export interface DatagramMaker<C extends Connection> {
  make(): C;
  /** Called with the connection, after its `postInit`. */
  readonly onConnection: ((connection: C) => unknown) | undefined;
  readonly borrows: boolean;
  readonly context: AsyncResource | undefined;
}

/** Addresses that are not to be had on a machine without their family. */
const FAMILY_MISSING = new Set(["EAFNOSUPPORT", "EADDRNOTAVAIL", "EINVAL"]);

/** Opens one datagram socket: resolves names, binds, and makes the connection when the socket is there. */
export class DatagramOpening<C extends Connection> {
  readonly #core: Core;
  readonly #settings: DatagramSettings;
  readonly #maker: DatagramMaker<C>;
  /** Aborted when the reactor stops or drains first: a resolver then need not go on. */
  readonly #over = new AbortController();
  #isOpen = false;
  /** The socket that is being opened. */
  #attempt: { close(): void } | undefined;

  constructor(core: Core, settings: DatagramSettings, maker: DatagramMaker<C>) {
    this.#core = core;
    this.#settings = settings;
    this.#maker = maker;
    requireDatagrams(core, settings);
  }

  /** Where the reactor stops or drains first it rejects at once, whatever it waits for. */
  start(): Promise<C> {
    const { members } = this.#core;
    return new Promise((resolve, reject) => {
      const over = (): void => {
        if (this.#isOpen) return;
        const error = tooLate(this.#core);
        reject(error);
        this.#over.abort(error);
        this.#attempt?.close();
      };
      // As with a listener's: behind every connection, and bringing new ones.
      const member: Member = { age: Number.POSITIVE_INFINITY, takesNew: true, shutdown: over, end: over };
      members.add(member);
      this.#start()
        .then(resolve, reject)
        .finally(() => members.delete(member));
    });
  }

  async #start(): Promise<C> {
    const { target } = this.#settings;
    if ("path" in target) return this.#openUnix(target.path, target.mode);
    const remotes = await this.#remotes();
    const locals = this.#isLiteral(target.host) ?? (await this.#locals(target.host as string, target.port));
    const tried = locals.map((local) => ({ local, remote: remotes?.find(({ family }) => family === local.family) }));
    const open = tried.filter(({ remote }) => remotes === undefined || remote !== undefined);
    for (const [index, { local, remote }] of open.entries()) {
      try {
        return await this.#open(local, undefined, remote);
      } catch (error) {
        const isLast = index === open.length - 1;
        if (isLast || !(error instanceof SystemError) || !FAMILY_MISSING.has(error.code)) throw error;
      }
    }
    throw new SystemError(-constants.errno.EAFNOSUPPORT, "connect");
  }

  /** What needs no resolving: an address, or every interface, `::` before IPv4 alone. */
  #isLiteral(host: string | undefined): InetAddress[] | undefined {
    const { port } = this.#settings.target as { port: number };
    if (host === undefined) {
      return [
        { family: "IPv6", host: "::", port },
        { family: "IPv4", host: "0.0.0.0", port },
      ];
    }
    const address = literalAddress(host, port);
    return address === undefined ? undefined : [address];
  }

  #locals(host: string, port: number): Promise<InetAddress[]> {
    return resolveHost(host, port, this.#core.resolver, this.#over.signal);
  }

  async #remotes(): Promise<InetAddress[] | undefined> {
    const { remote } = this.#settings;
    if (remote === undefined || remote.family === "unix") return undefined;
    if (remote.family !== undefined) return [remote];
    return resolveHost(remote.host, remote.port, this.#core.resolver, this.#over.signal);
  }

  /** A socket's file that nobody has any more is replaced, as a listener's is. */
  #openUnix(path: UnixName, mode: number | undefined): Promise<C> {
    if (path === "" || isAbstractName(path)) return this.#open({ family: "unix", path }, undefined);
    const file: ListenFile = { path: absoluteUnixPath(path, workingFolder), mode };
    // A socket address carries the name that was given; the absolute one may be too long for it.
    const fits = unixNameBytes(file.path).length <= MAX_UNIX_PATH;
    const address: SocketAddress = { family: "unix", path: fits ? file.path : path };
    const isSame = (): boolean =>
      fits || unixNameBytes(absoluteUnixPath(path, workingFolder)).equals(unixNameBytes(file.path));
    const open = (): Promise<C> => this.#open(address, file);
    return bindOverStale(this.#core, file.path, open, () => this.#isDead(address), isSame);
  }

  /** Whether no socket is bound to that path: connecting to it finds one of whatever type. */
  #isDead(address: SocketAddress): Promise<boolean> {
    this.#mustGoOn();
    const { engine } = this.#settings;
    return new Promise((resolve) => new Probe(this.#core, address, engine, resolve));
  }

  #mustGoOn(): void {
    if (this.#over.signal.aborted || !this.#core.isAccepting) throw tooLate(this.#core);
  }

  #open(address: SocketAddress, file: ListenFile | undefined, inet?: InetAddress): Promise<C> {
    return new Promise((resolve, reject) => {
      this.#mustGoOn();
      const { engine, remote } = this.#settings;
      const peer = inet ?? (remote?.family === "unix" ? remote : undefined);
      const attempt = new Attempt(this.#core, address, resolve, reject, (handle) => this.#opened(handle, peer));
      this.#attempt = attempt;
      attempt.start(this.#core.engine.openDatagrams(address, { ...engine, remote: peer, file }));
    });
  }

  /** The socket is open, in a turn of the engine's. What the constructor throws is the caller's. */
  #opened(handle: Handle, remote: SocketAddress | undefined): C {
    this.#isOpen = true;
    const core = this.#core;
    const { onConnection, borrows, context } = this.#maker;
    const connection = this.#maker.make();
    const origin = { core, handle, settings: this.#settings.life, remote, context, borrows };
    const transport = new DatagramTransport(origin, connection);
    core.replace(handle, transport);
    Connection.attach(connection, transport, undefined);
    transport.begin();
    if (onConnection !== undefined && transport.state <= State.open) transport.call(onConnection, connection);
    return connection;
  }
}

/** A socket that is not open yet. */
class Attempt<C> extends Endpoint {
  readonly #core: Core;
  readonly #address: SocketAddress;
  readonly #resolve: (connection: C) => void;
  readonly #reject: (error: unknown) => void;
  readonly #opened: (handle: Handle) => C;
  #handle: Handle = NO_HANDLE;

  constructor(
    core: Core,
    address: SocketAddress,
    resolve: (connection: C) => void,
    reject: (error: unknown) => void,
    opened: (handle: Handle) => C,
  ) {
    super();
    this.#core = core;
    this.#address = address;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#opened = opened;
  }

  start(handle: Handle): void {
    this.#handle = handle;
    this.#core.register(handle, this);
  }

  override onListening(handle: Handle): void {
    try {
      this.#resolve(this.#opened(handle));
    } catch (error) {
      this.#core.replace(handle, DISCARDED);
      this.#core.engine.close(handle);
      this.#reject(error);
    }
  }

  override onClosed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    const place = this.#address;
    const details =
      place.family === "unix" ? { address: showUnixName(place.path) } : { address: place.host, port: place.port };
    this.#reject(ended === Ended.error ? new SystemError(errno, syscall, details) : tooLate(this.#core));
  }

  /** `closed` follows, and rejects. */
  close(): void {
    this.#core.engine.close(this.#handle);
  }
}

/** Asks whether anybody is bound to a socket file. */
class Probe extends Endpoint {
  readonly #core: Core;
  readonly #answer: (dead: boolean) => void;

  constructor(core: Core, remote: SocketAddress, options: DatagramSettings["engine"], answer: (dead: boolean) => void) {
    super();
    this.#core = core;
    this.#answer = answer;
    const nameless: SocketAddress = { family: "unix", path: "" };
    core.register(core.engine.openDatagrams(nameless, { ...options, remote, file: undefined }), this);
  }

  override onListening(handle: Handle): void {
    this.#answer(false);
    this.#core.engine.close(handle);
  }

  override onClosed(_handle: Handle, _ended: Ended, errno: number, syscall: string): void {
    const { code } = new SystemError(errno, syscall);
    this.#answer(code === "ECONNREFUSED" || code === "ENOENT");
  }
}

function tooLate(core: Core): StateError {
  return stopped(core.host.reactor, "the reactor stopped, or began to drain, before the socket was open");
}

/** Refuses what the engine cannot do before anything is made. */
function requireDatagrams({ engine }: Core, { target, remote, engine: options }: DatagramSettings): void {
  requireCapability(engine, "datagrams");
  const needs: readonly (readonly [boolean, Capability])[] = [
    ["path" in target || remote?.family === "unix", "unixDatagrams"],
    [options.reusePort, "reusePort"],
    [options.packetInfo, "packetInfo"],
    [options.trafficInfo, "trafficInfo"],
    [options.mtuDiscovery !== undefined, "mtuDiscovery"],
  ];
  for (const [isAsked, capability] of needs) {
    if (isAsked && !engine.capabilities.has(capability)) throw new UnsupportedError(capability, engine.name);
  }
  if ("path" in target) requireName(engine, target.path);
  if (remote?.family === "unix") requireName(engine, remote.path);
}
