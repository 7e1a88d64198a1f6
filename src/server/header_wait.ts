import type { SocketAddress } from "../base/addresses.js";
import type { ProxyHeader } from "../codecs/proxy/header.js";
import { ProxyHeaderParser } from "../codecs/proxy/parser.js";
import type { Core } from "../core/core.js";
import type { Handle } from "../engine/streams.js";
import type { Timer } from "../timers/timer.js";
import { Newcomers } from "./newcomers.js";

/** What becomes of it. */
export interface HeaderEvents {
  /** The header is whole; the bytes from `start` to `end` of `chunk` came with it. */
  introduced(wait: HeaderWait, header: ProxyHeader, chunk: Buffer, start: number, end: number): void;
  refusedHeader(wait: HeaderWait, why: string): void;
}

/** A trusted peer whose PROXY protocol header is awaited. There is no connection before it has come. */
export class HeaderWait extends Newcomers {
  readonly #core: Core;
  readonly #events: HeaderEvents;
  readonly #parser = new ProxyHeaderParser();
  readonly #deadline: Timer | undefined;
  readonly handle: Handle;
  /** The sender's, and how the engine told it. */
  readonly address: SocketAddress | undefined;
  readonly ipv4: number;
  readonly port: number;
  #isOver = false;

  constructor(
    core: Core,
    peer: { handle: Handle; address: SocketAddress | undefined; ipv4: number; port: number },
    timeout: number,
    events: HeaderEvents,
  ) {
    super();
    this.#core = core;
    this.#events = events;
    this.handle = peer.handle;
    this.address = peer.address;
    this.ipv4 = peer.ipv4;
    this.port = peer.port;
    if (timeout > 0) {
      this.#deadline = core.addTimer(timeout, () => this.#refuse(`no PROXY header came in ${timeout} ms`));
    }
  }

  shutdown(): void {
    this.#refuse("the reactor drains");
  }

  end(): void {
    this.#refuse("the reactor stops");
  }

  override onData(chunk: Buffer, start: number, end: number): void {
    if (this.#isOver) return;
    let taken: number;
    try {
      taken = this.#parser.execute(chunk.subarray(start, end));
    } catch (error) {
      this.#refuse((error as Error).message);
      return;
    }
    const { header } = this.#parser;
    if (header === undefined) return;
    this.#settle();
    this.#events.introduced(this, header, chunk, start + taken, end);
  }

  override onEnd(): void {
    this.#refuse("it ended before its PROXY header was whole");
  }

  override onClosed(): void {
    if (!this.#isOver) this.#refuse("it ended before its PROXY header was whole");
  }

  #refuse(why: string): void {
    if (this.#isOver) return;
    this.#settle();
    this.#core.engine.close(this.handle);
    this.#events.refusedHeader(this, why);
  }

  #settle(): void {
    this.#isOver = true;
    this.#deadline?.cancel();
  }
}
