import { setMaxListeners } from "node:events";
import { constants } from "node:os";
import type { InetAddress } from "../base/addresses.js";
import type { EventMachineError } from "../base/errors.js";
import { DATAGRAM_NAMES } from "../base/limits.js";
import { SystemError } from "../base/system_error.js";
import type { Core } from "../core/core.js";
import type { HostAddress } from "../dns/lookups.js";
import { knownHost, resolveHost } from "../dns/resolve_host.js";
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

/**
 * Datagrams to names. Those to one name wait for it in their order and delay no others; one question serves all of them, and
 * what the reactor's resolver knows already delays nothing. Names and what waits for them are bounded: what is over is dropped and counted.
 */
export class NamedDestinations {
  readonly #core: Core;
  readonly #limit: number;
  readonly #sender: NamedSender;
  /** Names that are being resolved, and what waits for each. */
  readonly #names = new Map<string, Waiting[]>();
  readonly #over = new AbortController();
  #cost = 0;
  #isStopped = false;
  /** Bytes that wait. */
  size = 0;
  dropped = 0;

  constructor(core: Core, limit: number, sender: NamedSender) {
    this.#core = core;
    this.#limit = limit;
    this.#sender = sender;
    // Each name that is being resolved listens.
    setMaxListeners(0, this.#over.signal);
  }

  get isWaiting(): boolean {
    return this.#names.size > 0;
  }

  /** Returns whether it was taken. */
  send(data: Uint8Array, host: string, port: number): boolean {
    const waiting = this.#names.get(host);
    // Behind those that wait already, also where the answer has come meanwhile.
    const known = waiting === undefined ? knownHost(host, this.#core.resolver) : undefined;
    if (known !== undefined) {
      const address = this.#pick(known);
      if (address === undefined) {
        // As for a name that had to be asked for: never inside the call.
        const failed = () => this.#sender.failed(unreachable(host), { host, port });
        this.#core.ownTick({ onTick: () => this.#isStopped || failed() });
        return true;
      }
      this.#sender.send(data, this.#sender.peer({ ...address, port }));
      return true;
    }
    const cost = data.length + DATAGRAM_OVERHEAD;
    if (this.#cost + cost > this.#limit && this.#cost > 0) return this.#drop();
    if (waiting === undefined && this.#names.size >= DATAGRAM_NAMES) return this.#drop();
    this.#cost += cost;
    this.size += data.length;
    // A copy: the caller may reuse its buffer.
    const one = { data: Uint8Array.from(data), port };
    if (waiting === undefined) this.#resolve(host, [one]);
    else waiting.push(one);
    return true;
  }

  #drop(): false {
    this.dropped++;
    this.#sender.full();
    return false;
  }

  #pick(addresses: readonly HostAddress[]): HostAddress | undefined {
    return addresses.find(({ family }) => this.#sender.reaches(family));
  }

  #resolve(host: string, waiting: Waiting[]): void {
    this.#names.set(host, waiting);
    const answered = (action: () => void) => {
      this.#core.ownTick({
        onTick: () => {
          if (this.#isStopped) return;
          this.#names.delete(host);
          for (const { data } of waiting) {
            this.size -= data.length;
            this.#cost -= data.length + DATAGRAM_OVERHEAD;
          }
          action();
          if (this.#names.size === 0) this.#sender.settled();
        },
      });
    };
    resolveHost(host, 0, this.#core.resolver, this.#over.signal).then(
      (addresses) => answered(() => this.#found(host, waiting, addresses)),
      (error: EventMachineError) => answered(() => this.#failed(host, waiting, error)),
    );
  }

  #found(host: string, waiting: readonly Waiting[], addresses: readonly InetAddress[]): void {
    const address = this.#pick(addresses);
    if (address === undefined) this.#failed(host, waiting, unreachable(host));
    else for (const { data, port } of waiting) this.#sender.send(data, this.#sender.peer({ ...address, port }));
  }

  #failed(host: string, waiting: readonly Waiting[], error: EventMachineError): void {
    for (const { port } of waiting) this.#sender.failed(error, { host, port });
  }

  /** The socket has ended: what waits is dropped. */
  stop(): void {
    this.#isStopped = true;
    this.#over.abort();
    this.#names.clear();
    this.size = 0;
  }
}

function unreachable(host: string): SystemError {
  return new SystemError(EAFNOSUPPORT, "send", { address: host });
}
