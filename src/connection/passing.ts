import type { CloseReason } from "../base/close_reason.js";
import { State } from "../core/stream_port.js";
import type { OwnTick } from "../core/tick_queue.js";
import { passOn } from "./output.js";
import type { Transport } from "./transport.js";
import { FED, PASSING } from "./transport_state.js";

/** Whom it reports to. */
export interface PassingEvents {
  /** The length has passed; what came after it follows as input of the source. */
  completed(): void;
  /** The target has ended first. The source is its own again. */
  targetEnded(reason: CloseReason): void;
  /** The peer of the source has sent its FIN, and all before that is queued in the target. */
  sourceFinished?(): void;
  /** The source has ended first. */
  sourceEnded?(reason: CloseReason): void;
}

/**
 * One direction of a relay: what a connection receives goes to another's output, and its handler sees none of it. Where the
 * engine relays, that takes over as soon as nothing of the input is between it and the program; until then, and on other
 * engines, the bytes are passed on here as they come. Either way at most `buffer` bytes wait in the target.
 */
export class Passing implements OwnTick {
  readonly #source: Transport;
  readonly #target: Transport;
  readonly #buffer: number;
  readonly #events: PassingEvents;
  #left: number;
  #passed = 0;
  #inEngine = false;
  #isBlocked = false;

  constructor(source: Transport, target: Transport, buffer: number, length: number, events: PassingEvents) {
    this.#source = source;
    this.#target = target;
    this.#buffer = buffer;
    this.#left = length;
    this.#events = events;
  }

  begin(): void {
    if (this.#events.sourceFinished !== undefined) this.#source.holdOpen();
    this.#source.flags |= PASSING;
    this.#source.more().passing = this;
    this.#target.flags |= FED;
    this.#target.more().fedBy = this;
    this.#isBlocked = true;
    if (this.#source.state === State.open) this.#source.engine.pause(this.#source.handle);
    this.#goOn();
    if (this.#source.isPeerEnded) this.#source.core.ownTick(this);
  }

  /** The peer had ended before: nothing comes any more. */
  onTick(): void {
    this.onSourceFinished();
  }

  /** Bytes taken from the source so far. */
  get passed(): number {
    return this.#passed + this.inEngine;
  }

  /** Those of them that the engine has passed on and the connections have not counted yet. */
  get inEngine(): number {
    return this.#inEngine ? this.#relays.relayedBytes(this.#source.handle) : 0;
  }

  /** Whether the source must not be read, however its program has it. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** The source's input is its handler's again. */
  stop(): void {
    if (this.#inEngine) {
      this.#leaveEngine();
      this.#relays.stopRelay(this.#source.handle);
    }
    this.#leave();
    this.#unblock();
  }

  // Of the source --------------------------------------------------------------------------------------------------

  /** Passes on what came in; returns how much of it: what is beyond the length is for the source's handler. */
  take(data: Buffer): number {
    const part = Math.min(this.#left, data.length);
    passOn(this.#target, part === data.length ? data : data.subarray(0, part));
    this.#passed += part;
    this.#left -= part;
    if (this.#left === 0) this.#complete();
    else if (this.#target.outboundSize() >= this.#buffer) this.#block();
    else this.#enterEngine();
    return part;
  }

  onSourceOpen(): void {
    this.#goOn();
  }

  /** The engine reports the end of the length. */
  onRelayed(): void {
    this.#leaveEngine();
    this.#complete();
  }

  onSourceFinished(): void {
    this.#events.sourceFinished?.();
  }

  onSourceClosing(): void {
    this.#leaveEngine();
  }

  onSourceEnded(reason: CloseReason): void {
    this.#leave();
    this.#events.sourceEnded?.(reason);
  }

  // Of the target --------------------------------------------------------------------------------------------------

  onTargetOpen(): void {
    this.#goOn();
  }

  onTargetWritable(): void {
    if (!this.#inEngine) this.#goOn();
  }

  /** It is closing, and takes nothing more: what comes in meanwhile is kept for the source. */
  onTargetClosing(): void {
    if (this.#isBlocked || this.#source.state !== State.open) return;
    this.#isBlocked = true;
    this.#source.engine.pause(this.#source.handle);
  }

  onTargetEnded(reason: CloseReason): void {
    this.stop();
    this.#events.targetEnded(reason);
  }

  // ------------------------------------------------------------------------------------------------------------------

  get #relays() {
    return this.#source.engine.relays!;
  }

  #goOn(): void {
    if (this.#source.state !== State.open || this.#target.state !== State.open) return;
    if (this.#target.outboundSize() >= this.#buffer) {
      this.#block();
    } else {
      this.#enterEngine();
      this.#unblock();
    }
  }

  #enterEngine(): void {
    const { engine, handle } = this.#source;
    if (engine.relays === undefined || this.#target.engine !== engine || engine.undelivered(handle) > 0) return;
    this.#inEngine = engine.relays.startRelay(handle, this.#target.handle, this.#buffer, this.#left);
  }

  #leaveEngine(): void {
    const bytes = this.inEngine;
    this.#inEngine = false;
    this.#passed += bytes;
    this.#left -= bytes;
    this.#source.bytesIn += bytes;
    this.#target.written += bytes;
  }

  #complete(): void {
    this.#leave();
    this.#unblock();
    this.#events.completed();
  }

  #leave(): void {
    const [source, target] = [this.#source, this.#target];
    source.flags &= ~PASSING;
    source.more().passing = undefined;
    target.flags &= ~FED;
    target.more().fedBy = undefined;
    if (target.isOpen) target.engine.setLowWaterMark(target.handle, target.settings.lowWaterMark);
  }

  #block(): void {
    this.#isBlocked = true;
    this.#source.engine.pause(this.#source.handle);
    const { engine, handle } = this.#target;
    engine.setLowWaterMark(handle, Math.floor(this.#buffer / 2));
    engine.awaitWritable(handle);
  }

  #unblock(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    const { engine, handle, state, isPaused } = this.#source;
    if (state === State.open && !isPaused) engine.resume(handle);
  }
}
