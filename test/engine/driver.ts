import assert from "node:assert/strict";
import type { InetAddress, SocketAddress } from "../../src/base/addresses.js";
import type { DatagramInfo, Peer } from "../../src/engine/datagrams.js";
import type { Engine, EngineEvents } from "../../src/engine/engine.js";
import { type ConnectOptions, Ended, type Handle, type ListenOptions } from "../../src/engine/streams.js";
import type { TlsCommands, TlsEvents, TlsFailure } from "../../src/engine/tls.js";

/** How long anything may take before a test gives up, in milliseconds: far above what it takes. */
export const PATIENCE = 30_000;

export const LISTEN: ListenOptions = {
  backlog: 128,
  reusePort: false,
  ipv6Only: false,
  halfOpen: false,
  acceptQuota: 64,
  maxConnections: Number.POSITIVE_INFINITY,
  whenFull: "pause",
  lowWaterMark: 16 * 1024,
};

export const CONNECT: ConnectOptions = { halfOpen: false, lowWaterMark: 16 * 1024 };
export const LOOPBACK: InetAddress = { family: "IPv4", host: "127.0.0.1", port: 0 };

/** A `closed`, and what the engine answered while it was delivered. */
export interface Closing {
  handle: Handle;
  ended: Ended;
  errno: number;
  syscall: string;
  unsent: number;
  remote: SocketAddress | undefined;
  local: SocketAddress | undefined;
  failure: TlsFailure | undefined;
  truncated: boolean | undefined;
}

type AllEvents = EngineEvents & TlsEvents;
type Reactions = { [K in keyof AllEvents]?: (...args: Parameters<AllEvents[K]>) => void };

/**
 * Plays the reactor's part over one engine: notes every event, checks that it comes in a batch and not behind `closed`, and
 * lets a test wait for events and react to them. Each engine's driver says what its data is, and adds helpers.
 */
export abstract class EngineDriver<E extends Engine & TlsCommands> implements EngineEvents, TlsEvents {
  readonly engine: E;
  /** "name handle" of the events, in order. */
  readonly log: string[] = [];
  readonly received = new Map<Handle, Buffer[]>();
  readonly accepts: Handle[] = [];
  readonly closings: Closing[] = [];
  react: Reactions = {};
  isInBatch = false;
  readonly #waiters = new Set<() => void>();

  constructor(engine: E) {
    this.engine = engine;
    engine.start(this);
  }

  /** Waits until `check` holds; it is looked at again after every batch. */
  async until(check: () => boolean, what: string): Promise<void> {
    if (check()) return;
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!check()) return;
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(look);
        reject(new Error(`waited in vain: ${what}; events: ${this.log.join(", ")}`));
      }, PATIENCE);
      this.#waiters.add(look);
    });
  }

  has(event: string, handle: Handle): boolean {
    return this.log.includes(`${event} ${handle}`);
  }

  event(name: string, handle: Handle): Promise<void> {
    return this.until(() => this.has(name, handle), `${name} ${handle}`);
  }

  bytes(handle: Handle): Buffer {
    return Buffer.concat(this.received.get(handle) ?? []);
  }

  async closing(handle: Handle): Promise<Closing> {
    await this.event("closed", handle);
    return this.closings.find((closing) => closing.handle === handle) as Closing;
  }

  // Events -------------------------------------------------------------------------------------------------------

  enter(): void {
    assert.equal(this.isInBatch, false, "batches do not nest");
    this.isInBatch = true;
    this.react.enter?.();
  }

  leave(): void {
    this.isInBatch = false;
    this.react.leave?.();
    this.#lookAgain();
  }

  ready(handle: Handle, readable: boolean, writable: boolean): void {
    this.#note("ready", handle);
    this.react.ready?.(handle, readable, writable);
  }

  timer(seenAt: number): void {
    this.log.push("timer");
    this.react.timer?.(seenAt);
  }

  ticks(): void {
    this.log.push("ticks");
    this.react.ticks?.();
    this.#lookAgain();
  }

  listening(handle: Handle): void {
    this.#note("listening", handle);
    this.react.listening?.(handle);
  }

  accepted(listener: Handle, handle: Handle, ipv4: number, port: number): void {
    this.#note("accepted", handle);
    this.accepts.push(handle);
    this.react.accepted?.(listener, handle, ipv4, port);
  }

  connected(handle: Handle): void {
    this.#note("connected", handle);
    this.react.connected?.(handle);
  }

  data(handle: Handle, chunk: Buffer, start: number, end: number): void {
    assert.ok(end > start);
    this.#note("data", handle);
    const chunks = this.received.get(handle) ?? [];
    this.received.set(handle, chunks);
    chunks.push(this.kept(chunk.subarray(start, end)));
    this.react.data?.(handle, chunk, start, end);
  }

  /** What the test may keep of bytes that came. */
  protected abstract kept(bytes: Buffer): Buffer;

  end(handle: Handle): void {
    this.#note("end", handle);
    this.react.end?.(handle);
  }

  writable(handle: Handle): void {
    this.#note("writable", handle);
    this.react.writable?.(handle);
  }

  relayed(handle: Handle): void {
    this.#note("relayed", handle);
  }

  fileSent(handle: Handle): void {
    this.#note("fileSent", handle);
    this.react.fileSent?.(handle);
  }

  tlsServerName(handle: Handle, name: string): void {
    this.#note("tlsServerName", handle);
    this.react.tlsServerName?.(handle, name);
  }

  tlsVerify(handle: Handle): void {
    this.#note("tlsVerify", handle);
    this.react.tlsVerify?.(handle);
  }

  secured(handle: Handle): void {
    this.#note("secured", handle);
    this.react.secured?.(handle);
  }

  tlsSession(handle: Handle, session: Buffer): void {
    this.#note("tlsSession", handle);
    this.react.tlsSession?.(handle, session);
  }

  tlsKeyLog(handle: Handle, line: string): void {
    this.#note("tlsKeyLog", handle);
    this.react.tlsKeyLog?.(handle, line);
  }

  datagram(
    handle: Handle,
    chunk: Buffer,
    start: number,
    end: number,
    sender: Peer,
    info: DatagramInfo | undefined,
  ): void {
    this.#note("datagram", handle);
    this.react.datagram?.(handle, chunk, start, end, sender, info);
  }

  sendFailed(handle: Handle, errno: number, syscall: string, peer: Peer | undefined): void {
    this.#note("sendFailed", handle);
    this.react.sendFailed?.(handle, errno, syscall, peer);
  }

  closed(handle: Handle, ended: Ended, errno: number, syscall: string): void {
    this.#note("closed", handle);
    const { engine } = this;
    this.closings.push({
      handle,
      ended,
      errno,
      syscall,
      unsent: engine.outboundSize(handle),
      remote: engine.remoteAddress(handle),
      local: engine.localAddress(handle),
      failure: ended === Ended.tls ? engine.tlsFailure(handle) : undefined,
      truncated: engine.tlsTruncated(handle),
    });
    this.react.closed?.(handle, ended, errno, syscall);
  }

  #note(event: string, handle: Handle): void {
    assert.ok(this.isInBatch, `${event} outside a batch`);
    assert.ok(!this.has("closed", handle), `${event} after closed: ${handle}`);
    this.log.push(`${event} ${handle}`);
  }

  #lookAgain(): void {
    for (const look of [...this.#waiters]) look();
  }
}
