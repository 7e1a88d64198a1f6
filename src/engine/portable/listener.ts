import { createServer, type Server, type Socket } from "node:net";
import { constants } from "node:os";
import type { SocketAddress } from "../../base/addresses.js";
import { errnoOf } from "../node/errno.js";
import type { NodeStream } from "../node/node_stream.js";
import { inetEnds, inetPeer } from "../node/socket_ends.js";
import { keepAliveDelay } from "../node/socket_options.js";
import type { EngineTurn } from "../node/turn.js";
import { Ended, type Handle, type ListenOptions } from "../streams.js";
import { descriptorOf } from "./owned_descriptors.js";
import { boundAddress, isWildcard, textName, UNNAMED } from "./socket_addresses.js";
import { SocketFile } from "./socket_file.js";
import { withNamedZone } from "./zones.js";

/** What a listener asks of its engine. */
export interface ListenerOwner {
  readonly turn: EngineTurn;
  readonly isReferenced: boolean;
  /** Makes a stream of an accepted socket; undefined when there is no handle left for it. */
  adopt(socket: Socket, listener: PortableListener): NodeStream | undefined;
  /** The listener has had its `closed`. */
  listenerReleased(listener: PortableListener): void;
}

/** A node:net server, and how many connections it may have open. */
export class PortableListener {
  readonly handle: Handle;
  readonly options: ListenOptions;
  readonly #owner: ListenerOwner;
  readonly #server: Server;
  #address: SocketAddress | undefined;
  #file: SocketFile | undefined;
  #sharesAddress = false;
  #isListening = false;
  #hasEnded = false;
  #open = 0;
  /** At `maxConnections` with the policy "pause": accepted by libuv, which cannot be stopped, but not by us; unread. */
  #waiting: Socket[] = [];

  constructor(handle: Handle, options: ListenOptions, owner: ListenerOwner) {
    this.handle = handle;
    this.options = options;
    this.#owner = owner;
    this.#server = createServer({
      allowHalfOpen: true,
      pauseOnConnect: this.#holdsNewcomers,
      noDelay: options.noDelay ?? false,
      keepAlive: options.keepAlive !== undefined,
      keepAliveInitialDelay: keepAliveDelay(options.keepAlive),
    });
    this.#server.on("listening", () => this.#listening());
    this.#server.on("connection", (socket) => this.#accepted(socket));
    this.#server.on("error", (error: NodeJS.ErrnoException) => {
      // A failed accept is the newcomer's misfortune: the kernel keeps listening, and so does libuv.
      if (!this.#isListening) this.failed(error);
    });
    if (!owner.isReferenced) this.#server.unref();
  }

  get #holdsNewcomers(): boolean {
    return this.options.whenFull === "pause" && this.options.maxConnections !== Number.POSITIVE_INFINITY;
  }

  listen(address: SocketAddress): void {
    const { backlog, ipv6Only, reusePort } = this.options;
    // Under node:cluster a worker's listener would be a share of the primary's; `exclusive` makes it our own.
    if (address.family === "unix") {
      this.#listenUnix(textName(address.path));
    } else {
      const { port } = address;
      const host = withNamedZone(address.host);
      this.#server.listen({ host, port, backlog, ipv6Only, exclusive: true, ...(reusePort ? { reusePort } : {}) });
    }
  }

  #listenUnix(path: string): void {
    const { backlog, file } = this.options;
    this.#address = { family: "unix", path: file === undefined ? path : textName(file.path) };
    this.#sharesAddress = true;
    // On Windows the name is a pipe's, and no file.
    if (file === undefined || process.platform === "win32") {
      this.#server.listen({ path, backlog, exclusive: true });
      return;
    }
    try {
      const own = new SocketFile({ ...file, path: textName(file.path) });
      this.#server.listen({ path: own.bound, backlog, exclusive: true });
      // Bound by now, or its `error` event is on its way.
      if (own.publish()) this.#file = own;
    } catch (error) {
      this.failed(error as NodeJS.ErrnoException);
    }
  }

  adopt(fd: number): void {
    this.#server.listen({ fd }, this.options.backlog);
  }

  failed(error: NodeJS.ErrnoException): void {
    // The name was taken: a bind would have said it in its own words.
    const [errno, syscall] =
      error.code === "EEXIST" ? [-constants.errno.EADDRINUSE, "bind"] : [errnoOf(error), error.syscall];
    this.#end(Ended.error, errno, syscall ?? "listen");
  }

  /** The descriptor is somebody else's. */
  refused(error: NodeJS.ErrnoException): void {
    this.#end(Ended.error, errnoOf(error), error.syscall ?? "listen");
  }

  close(): void {
    this.#end(Ended.local, 0, "");
  }

  *descriptors(): Generator<number> {
    for (const holder of [this.#server, ...this.#waiting]) {
      const fd = descriptorOf(holder);
      if (fd !== undefined) yield fd;
    }
  }

  ref(): void {
    this.#server.ref();
    for (const socket of this.#waiting) socket.ref();
  }

  unref(): void {
    this.#server.unref();
    for (const socket of this.#waiting) socket.unref();
  }

  get localAddress(): SocketAddress | undefined {
    return this.#address;
  }

  /** A connection of this listener has had its `closed`: there is room for one more when the ticks have run that wait now. */
  connectionReleased(): void {
    if (!this.#holdsNewcomers) {
      this.#open--;
      return;
    }
    this.#owner.turn.defer(() => {
      this.#open--;
      this.#admitWaiting();
    });
  }

  #listening(): void {
    if (this.#hasEnded) return;
    this.#isListening = true;
    if (this.#address === undefined) {
      this.#address = boundAddress(this.#server);
      this.#sharesAddress = this.#address !== undefined && !isWildcard(this.#address);
    }
    // Not deferred: no connection may be accepted before.
    this.#owner.turn.batch(this.#deliverListening, this, undefined);
  }

  #deliverListening(): void {
    this.#owner.turn.counters.events++;
    this.#owner.turn.events.listening(this.handle);
  }

  #accepted(socket: Socket): void {
    if (this.#hasEnded) socket.destroy();
    else if (this.#open < this.options.maxConnections && this.#waiting.length === 0) {
      this.#owner.turn.batch(this.#admit, this, socket);
    } else if (this.#holdsNewcomers && this.#waiting.length < this.options.backlog) this.#keepWaiting(socket);
    else socket.destroy();
  }

  #keepWaiting(socket: Socket): void {
    this.#waiting.push(socket);
    if (!this.#owner.isReferenced) socket.unref();
    socket.on("error", () => {
      this.#waiting = this.#waiting.filter((waiting) => waiting !== socket);
    });
  }

  #admitWaiting(): void {
    while (this.#open < this.options.maxConnections && !this.#hasEnded) {
      const socket = this.#waiting.shift();
      if (socket === undefined) return;
      socket.removeAllListeners("error");
      this.#admit(socket);
    }
  }

  #admit(socket: Socket): void {
    const { turn } = this.#owner;
    const stream = this.#owner.adopt(socket, this);
    if (stream === undefined) {
      socket.destroy();
      return;
    }
    this.#open++;
    turn.counters.accepted++;
    turn.counters.events++;
    stream.open(this.#endsOf(socket));
    turn.events.accepted(this.handle, stream.handle, 0, -1);
  }

  #endsOf(socket: Socket) {
    const local = this.#address;
    if (local?.family === "unix") return { local, remote: UNNAMED };
    return this.#sharesAddress ? { local, remote: inetPeer(socket) } : inetEnds(socket);
  }

  #end(ended: Ended, errno: number, syscall: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#file?.remove();
    this.#server.close();
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting = [];
    const { turn } = this.#owner;
    turn.defer(() => {
      turn.counters.events++;
      turn.events.closed(this.handle, ended, errno, syscall);
      this.#owner.listenerReleased(this);
    });
  }
}
