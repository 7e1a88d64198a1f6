import type { CloseReason } from "../base/close_reason.js";
import { ArgumentError, StateError } from "../base/errors.js";
import type { Relaying } from "../connection/life.js";
import type { PassingEvents } from "../connection/passing.js";
import { checkBoth, type ProxyOptions, readProxyOptions } from "../connection/proxying.js";
import { relaying } from "../connection/refusals.js";
import type { DatagramTransport } from "./datagram_transport.js";

/** Checks that what one socket receives can go to the other's peer; returns how many bytes may wait in it. `target` is undefined where it is no datagram socket. */
export function checkDatagramRelay(
  source: DatagramTransport,
  target: DatagramTransport | undefined,
  options: ProxyOptions,
): number {
  const { buffer } = readProxyOptions(options);
  if (options.length !== undefined) throw new ArgumentError("length is for streams: datagrams are passed on whole");
  if (target === undefined) throw new ArgumentError("target must be a datagram socket, for this connection is one");
  checkBoth(source, target);
  if (target.remote === undefined) {
    throw new StateError("ERR_EM_NO_DESTINATION", "a relay sends to the peer of its target: open that with `remote`");
  }
  if (source.relaying !== undefined) throw relaying("its input cannot go to another target");
  return buffer;
}

/** One direction of a relay of datagrams: what a socket receives goes to the peer of another, and its handler sees none of it. */
export class DatagramRelay implements Relaying {
  passed = 0;
  readonly #source: DatagramTransport;
  readonly #target: DatagramTransport;
  readonly #buffer: number;
  readonly #events: PassingEvents;
  #isBlocked = false;

  constructor(source: DatagramTransport, target: DatagramTransport, buffer: number, events: PassingEvents) {
    this.#source = source;
    this.#target = target;
    this.#buffer = buffer;
    this.#events = events;
  }

  /** Whether the source must not be read, however its program has it. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  stop(): void {
    this.#leave();
    this.#events.stopped?.();
  }

  take(data: Buffer): void {
    this.passed += data.length;
    this.#target.passOn(data);
    if (this.#target.outboundSize() >= this.#buffer) this.block();
  }

  /** No input until the target has sent what waits, or has ended. */
  block(): void {
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#source.engine.pause(this.#source.handle);
    if (this.#target.isOpen) this.#target.engine.awaitWritable(this.#target.handle);
  }

  onTargetWritable(): void {
    this.#unblock();
  }

  onTargetEnded(reason: CloseReason): void {
    this.#leave();
    this.#events.targetEnded(reason);
  }

  onSourceEnded(reason: CloseReason): void {
    this.#leave();
    this.#events.sourceEnded?.(reason);
  }

  #leave(): void {
    this.#source.relaying = undefined;
    this.#target.feeds?.delete(this);
    this.#unblock();
  }

  #unblock(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    const { engine, handle, isOpen, isPaused } = this.#source;
    if (isOpen && !isPaused) engine.resume(handle);
  }
}
