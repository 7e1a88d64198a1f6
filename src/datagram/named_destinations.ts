import { constants } from "node:os";
import type { InetAddress } from "../base/addresses.js";
import type { EventMachineError } from "../base/errors.js";
import { DATAGRAM_NAME_LIFE, DATAGRAM_NAMES } from "../base/limits.js";
import { SystemError } from "../base/system_error.js";
import type { Core } from "../core/core.js";
import { resolveHost } from "../dns/resolver.js";
import { DATAGRAM_OVERHEAD, type Peer } from "../engine/datagrams.js";

const EAFNOSUPPORT = -constants.errno.EAFNOSUPPORT;

/** The socket whose datagrams these are. */
export interface NamedSender {
  /** Whether the socket can send to that family at all. */
  reaches(family: InetAddress["family"]): boolean;
  peer(address: InetAddress): Peer;
  send(data: Uint8Array, peer: Peer): void;
  /** One was dropped: there is to be a `drained` when there is room. */
  full(): void;
  /** The name came to nothing, for one datagram. */
  failed(error: EventMachineError, address: { host: string; port: number }): void;
  /** No datagram waits for a name any more. */
  settled(): void;
}

interface Waiting {
  readonly data: Uint8Array;
  readonly port: number;
}

/** One name: what waits for it, or where it leads. */
interface Name {
  waiting: Waiting[];
  isResolving: boolean;
  address: InetAddress | undefined;
  goodUntil: number;
}

/**
 * Datagrams to names. Those to one name wait for it in their order and delay no others; one question serves all of them, and
 * its answer serves for a while. Names and what waits for them are bounded: what is over is dropped and counted.
 */
export class NamedDestinations {
  readonly #core: Core;
  readonly #limit: number;
  readonly #sender: NamedSender;
  readonly #names = new Map<string, Name>();
  readonly #over = new AbortController();
  #resolving = 0;
  #cost = 0;
  #isStopped = false;
  /** Bytes that wait. */
  size = 0;
  dropped = 0;

  constructor(core: Core, limit: number, sender: NamedSender) {
    this.#core = core;
    this.#limit = limit;
    this.#sender = sender;
  }

  get isWaiting(): boolean {
    return this.#resolving > 0;
  }

  /** Returns whether it was taken. */
  send(data: Uint8Array, host: string, port: number): boolean {
    const name = this.#find(host);
    if (name === undefined) return this.#drop();
    if (name.address !== undefined && !name.isResolving && this.#core.now() < name.goodUntil) {
      this.#sender.send(data, this.#sender.peer({ ...name.address, port }));
      return true;
    }
    const cost = data.length + DATAGRAM_OVERHEAD;
    if (this.#cost + cost > this.#limit && this.#cost > 0) return this.#drop();
    this.#cost += cost;
    this.size += data.length;
    // A copy: the caller may reuse its buffer.
    name.waiting.push({ data: Uint8Array.from(data), port });
    if (!name.isResolving) this.#resolve(host, name);
    return true;
  }

  #drop(): false {
    this.dropped++;
    this.#sender.full();
    return false;
  }

  /** Undefined where too many names are being resolved. */
  #find(host: string): Name | undefined {
    const known = this.#names.get(host);
    if (known !== undefined) return known;
    if (this.#names.size >= DATAGRAM_NAMES && !this.#forgetOne()) return undefined;
    const name: Name = { waiting: [], isResolving: false, address: undefined, goodUntil: 0 };
    this.#names.set(host, name);
    return name;
  }

  #forgetOne(): boolean {
    for (const [host, { isResolving }] of this.#names) {
      if (!isResolving) return this.#names.delete(host);
    }
    return false;
  }

  #resolve(host: string, name: Name): void {
    name.isResolving = true;
    this.#resolving++;
    const answered = (action: () => void) => {
      this.#core.ownTick({
        onTick: () => {
          if (this.#isStopped) return;
          this.#resolving--;
          name.isResolving = false;
          action();
          if (this.#resolving === 0) this.#sender.settled();
        },
      });
    };
    resolveHost(host, 0, this.#core.resolver, this.#over.signal).then(
      (addresses) => answered(() => this.#found(host, name, addresses)),
      (error: EventMachineError) => answered(() => this.#failed(host, name, error)),
    );
  }

  #found(host: string, name: Name, addresses: readonly InetAddress[]): void {
    const address = addresses.find(({ family }) => this.#sender.reaches(family));
    if (address === undefined) {
      this.#failed(host, name, new SystemError(EAFNOSUPPORT, "send", { address: host }));
      return;
    }
    name.address = address;
    name.goodUntil = this.#core.now() + DATAGRAM_NAME_LIFE;
    for (const { data, port } of this.#take(name)) this.#sender.send(data, this.#sender.peer({ ...address, port }));
  }

  #failed(host: string, name: Name, error: EventMachineError): void {
    this.#names.delete(host);
    for (const { port } of this.#take(name)) this.#sender.failed(error, { host, port });
  }

  #take(name: Name): Waiting[] {
    const { waiting } = name;
    name.waiting = [];
    for (const { data } of waiting) {
      this.size -= data.length;
      this.#cost -= data.length + DATAGRAM_OVERHEAD;
    }
    return waiting;
  }

  /** The socket has ended: what waits is dropped. */
  stop(): void {
    this.#isStopped = true;
    this.#over.abort();
    this.#names.clear();
    this.size = 0;
  }
}
