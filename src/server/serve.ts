import { type InetAddress, literalAddress, type SocketAddress } from "../base/addresses.js";
import type { StateError } from "../base/errors.js";
import { MAX_UNIX_PATH } from "../base/limits.js";
import { stopped } from "../base/stopped.js";
import { SystemError } from "../base/system_error.js";
import { absoluteUnixPath, isAbstractName, showUnixName, type UnixName, unixNameBytes } from "../base/unix_name.js";
import { HandshakeLimit } from "../connection/handshake_limit.js";
import { attachError } from "../connection/reasons.js";
import type { Core } from "../core/core.js";
import { Endpoint } from "../core/endpoint.js";
import type { Member } from "../core/members.js";
import { bindOverStale, workingFolder } from "../core/unix_path.js";
import { resolveHost } from "../dns/resolve_host.js";
import type { Ended, Handle, ListenFile, ListenOptions } from "../engine/streams.js";
import type { ListenSettings, ProxyTrust, ServerTarget } from "../options/options.js";
import { requireName } from "../options/required.js";
import { type ConnectionMaker, ListenSocket } from "./listen_socket.js";
import { Listener } from "./listener.js";
import type { ListenerTls } from "./listener_tls.js";

/** How often a free port common to several addresses is looked for. */
const TRIES = 8;

/** Starts listening, in all forms: on addresses, on names, on paths, on descriptors. */
export class ServerStarter {
  readonly #core: Core;
  readonly #maker: ConnectionMaker;
  readonly #options: ListenOptions;
  readonly #tls: ListenerTls | undefined;
  readonly #handshakes: HandshakeLimit;
  readonly #trust: ProxyTrust | undefined;
  /** Aborted when the reactor stops or drains first: a resolver then need not go on. */
  readonly #over = new AbortController();

  constructor(core: Core, maker: ConnectionMaker, listen: ListenSettings, tls: ListenerTls | undefined) {
    this.#core = core;
    this.#tls = tls;
    this.#maker = maker;
    const { maxHandshakes, proxyProtocol, ...settings } = listen;
    this.#trust = proxyProtocol;
    this.#handshakes = new HandshakeLimit(maxHandshakes);
    this.#options = {
      ...maker.settings.socket,
      ...settings,
      halfOpen: maker.settings.halfOpen,
      lowWaterMark: maker.settings.lowWaterMark,
    };
  }

  /**
   * Listens; on literal addresses and free paths the listening has begun when this returns its promise. Where the reactor
   * stops or drains first it rejects at once, whatever it waits for: a resolver may never answer.
   */
  start(target: ServerTarget): Promise<Listener> {
    const { members } = this.#core;
    return new Promise((resolve, reject) => {
      const over = (): void => {
        const error = this.#stopped();
        reject(error);
        this.#over.abort(error);
      };
      // As with the listening sockets that come of it: behind every connection, and bringing new ones.
      const member: Member = { age: Number.POSITIVE_INFINITY, takesNew: true, shutdown: over, end: over };
      members.add(member);
      this.#start(target)
        .then(resolve, reject)
        .finally(() => members.delete(member));
    });
  }

  #stopped(): StateError {
    return stopped(this.#core.host.reactor, "the reactor stopped, or began to drain, before it was listening");
  }

  async #start(target: ServerTarget): Promise<Listener> {
    if ("fd" in target) return this.#adopt(target.fd);
    if ("path" in target) {
      requireName(this.#core.engine, target.path);
      return this.#startUnix(target.path, target.mode);
    }
    const { host, port } = target;
    if (host === undefined) return this.#startAnywhere(port);
    const literal = literalAddress(host, port);
    if (literal !== undefined) return this.#listener([await this.#listen(literal)]);
    return this.#startOnAll(await resolveHost(host, port, this.#core.resolver, this.#over.signal));
  }

  async #adopt(fd: number): Promise<Listener> {
    try {
      return this.#listener([await this.#begin((engine) => engine.adoptListener(fd, this.#options), undefined)]);
    } catch (error) {
      throw error instanceof SystemError ? attachError(fd, error.errno, error.syscall ?? "listen") : error;
    }
  }

  /** Every interface: `::` takes both families, where there is no IPv6 it is IPv4 alone. */
  async #startAnywhere(port: number): Promise<Listener> {
    try {
      return this.#listener([await this.#listen({ family: "IPv6", host: "::", port })]);
    } catch (error) {
      if (!isFamilyMissing(error)) throw error;
      return this.#listener([await this.#listen({ family: "IPv4", host: "0.0.0.0", port })]);
    }
  }

  async #startOnAll(addresses: readonly InetAddress[]): Promise<Listener> {
    for (let left = TRIES; ; left--) {
      const sockets: ListenSocket[] = [];
      try {
        for (const address of addresses) {
          const bound = sockets[0]?.address as InetAddress | undefined;
          const port = bound?.port ?? address.port;
          try {
            sockets.push(await this.#listen({ ...address, port }));
          } catch (error) {
            if (!isFamilyMissing(error) || addresses.length === 1) throw error;
          }
        }
        const [first] = addresses;
        if (sockets.length === 0 && first !== undefined) sockets.push(await this.#listen(first));
        return this.#listener(sockets);
      } catch (error) {
        for (const socket of sockets) socket.close();
        // Port 0: the port the system chose on the first address may be taken on the second.
        const chosen = addresses[0]?.port === 0 && sockets.length > 0;
        if (!chosen || left <= 1 || (error as SystemError).code !== "EADDRINUSE") throw error;
      }
    }
  }

  async #startUnix(path: UnixName, mode: number | undefined): Promise<Listener> {
    if (isAbstractName(path)) return this.#listener([await this.#listen({ family: "unix", path })]);
    const file: ListenFile = { path: absoluteUnixPath(path, workingFolder), mode };
    // A socket address carries the name that was given; the absolute one may be too long for it.
    const fits = unixNameBytes(file.path).length <= MAX_UNIX_PATH;
    const address: SocketAddress = { family: "unix", path: fits ? file.path : path };
    // The process may go to another folder meanwhile, where a relative name is another file's.
    const isSame = (): boolean =>
      fits || unixNameBytes(absoluteUnixPath(path, workingFolder)).equals(unixNameBytes(file.path));
    const open = async (): Promise<Listener> => this.#listener([await this.#listen(address, file)]);
    return bindOverStale(this.#core, file.path, open, () => this.#isDead(address.path), isSame);
  }

  #isDead(path: UnixName): Promise<boolean> {
    this.#mustRun();
    return new Promise((resolve) => new Probe(this.#core, path, resolve));
  }

  #listen(address: SocketAddress, file?: ListenFile): Promise<ListenSocket> {
    const options = file === undefined ? this.#options : { ...this.#options, file };
    const name = file === undefined ? address : { family: "unix" as const, path: file.path };
    return this.#begin((engine) => engine.listen(address, options), name);
  }

  #begin(open: (engine: Core["engine"]) => Handle, address: SocketAddress | undefined): Promise<ListenSocket> {
    this.#mustRun();
    return new Promise((resolve, reject) => {
      const name = address?.family === "unix" ? address : undefined;
      const socket = new ListenSocket(
        this.#core,
        this.#maker,
        this.#tls,
        this.#handshakes,
        this.#trust,
        name,
        (error) => {
          if (error === undefined) resolve(socket);
          else reject(error instanceof SystemError ? withAddress(error, address) : error);
        },
      );
      socket.start(open(this.#core.engine));
    });
  }

  #mustRun(): void {
    if (this.#over.signal.aborted || !this.#core.isAccepting) throw this.#stopped();
  }

  #listener(sockets: readonly ListenSocket[]): Listener {
    return new Listener(sockets, this.#tls);
  }
}

/** Asks whether anybody listens on a socket file. */
class Probe extends Endpoint {
  readonly #core: Core;
  readonly #answer: (dead: boolean) => void;

  constructor(core: Core, path: UnixName, answer: (dead: boolean) => void) {
    super();
    this.#core = core;
    this.#answer = answer;
    const options = { halfOpen: false, lowWaterMark: 0 };
    core.register(core.engine.connect({ family: "unix", path }, options), this);
  }

  override onConnected(handle: Handle): void {
    this.#answer(false);
    this.#core.engine.close(handle);
  }

  override onClosed(_handle: Handle, _ended: Ended, errno: number, syscall: string): void {
    const { code } = new SystemError(errno, syscall);
    this.#answer(code === "ECONNREFUSED" || code === "ENOENT");
  }
}

function isFamilyMissing(error: unknown): boolean {
  const { code } = error as SystemError;
  return code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL";
}

function withAddress(error: SystemError, address: SocketAddress | undefined): SystemError {
  if (address === undefined) return error;
  const place =
    address.family === "unix" ? { address: showUnixName(address.path) } : { address: address.host, port: address.port };
  return new SystemError(error.errno, error.syscall ?? "listen", place);
}
