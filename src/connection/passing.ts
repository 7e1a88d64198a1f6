import type { CloseReason } from "../base/close_reason.js";
import { State } from "../core/stream_port.js";
import type { OwnTick } from "../core/tick_queue.js";
import type { Lending } from "../engine/engine.js";
import type { Relaying } from "./life.js";
import { passOn } from "./output.js";
import type { Transport } from "./transport.js";
import { FED, HELD_OPEN, PASSING, RELAY_HELD, UNTAKEN } from "./transport_state.js";

/** Whom it reports to. */
export interface PassingEvents {
  /** The length has passed; what came after it follows as input of the source. */
  completed(): void;
  /** The target has ended first. The source is its own again. */
  targetEnded(reason: CloseReason): void;
  /** The peer of the source has sent its FIN, and all before that is queued in the target. */
  sourceFinished?(): void;
  /** It was stopped: by the program, or because that closed the target's output. */
  stopped?(): void;
  /** The source has ended first. */
  sourceEnded?(reason: CloseReason): void;
}

/**
 * One direction of a relay: what a connection receives goes to another's output, and its handler sees none of it. Where the
 * engine relays, that takes over as soon as nothing of the input is between it and the program; until then, and on other
 * engines, the bytes are passed on here as they come. Either way at most `buffer` bytes wait in the target.
 */
export class Passing implements OwnTick, Relaying {
  readonly #source: Transport;
  readonly #target: Transport;
  readonly #buffer: number;
  readonly #events: PassingEvents;
  #left: number;
  #passed = 0;
  #inEngine = false;
  #isBlocked = false;
  #hadNoTaker = false;
  /** The target's low-water mark is ours. */
  #isLowered = false;

  constructor(source: Transport, target: Transport, buffer: number, length: number, events: PassingEvents) {
    this.#source = source;
    this.#target = target;
    this.#buffer = buffer;
    this.#left = length;
    this.#events = events;
  }

  begin(): void {
    const [source, target] = [this.#source, this.#target];
    if (this.#events.sourceFinished !== undefined && (source.flags & HELD_OPEN) === 0) {
      if (!source.allowsHalfOpen) source.flags |= RELAY_HELD;
      source.holdOpen();
    }
    source.flags |= PASSING;
    source.more().passing = this;
    target.flags |= FED;
    target.more().fedBy = this;
    if (target.isOpen) target.extras?.deadlines?.feedBegins();
    this.#isBlocked = true;
    if (source.isOpen) source.engine.pause(source.handle);
    // It has a taker now.
    this.#hadNoTaker = (source.flags & UNTAKEN) !== 0;
    if (this.#hadNoTaker) source.resume();
    this.#goOn();
    if (source.isPeerEnded) source.core.ownTick(this);
  }

  /** The peer had ended before: nothing comes any more. */
  onTick(): void {
    if (this.#source.extras?.passing === this) this.onSourceFinished();
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
    this.#release();
    this.#events.stopped?.();
  }

  #release(): void {
    if (this.#inEngine) {
      this.#leaveEngine();
      this.#relays.stopRelay(this.#source.handle);
    }
    this.#leave();
    this.#unblock();
  }

  // Of the source --------------------------------------------------------------------------------------------------

  /** Passes on what came in; returns how much of it: what is beyond the length is for the source's handler. */
  take(data: Buffer, isOwned: boolean): number {
    const part = Math.min(this.#left, data.length);
    passOn(this.#target, part === data.length ? data : data.subarray(0, part), isOwned);
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
    // That of an earlier relay may still be on its way.
    if (!this.#inEngine || this.inEngine !== this.#left) return;
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
    this.#release();
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
    const { engine, handle, extras } = this.#source;
    if (extras?.ahead !== undefined) return;
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
    if (this.#hadNoTaker && source.isOpen && !source.isPaused) {
      source.pause();
      source.flags |= UNTAKEN;
    }
    if (this.#isLowered && target.isOpen) {
      target.engine.setLowWaterMark(target.handle, target.settings.lowWaterMark);
    }
  }

  #block(): void {
    this.#isBlocked = true;
    this.#source.engine.pause(this.#source.handle);
    const { engine, handle } = this.#target;
    this.#isLowered = true;
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

/** Gives a relay of `life` what is its own of a chunk, and one that begins at its end as well; returns where the rest begins. */
export function passInput(
  life: Transport,
  lending: Lending | undefined,
  chunk: Buffer,
  start: number,
  end: number,
): number {
  let at = start;
  while (at < end && life.isOpen) {
    const passing = life.extras?.passing;
    if (passing === undefined) break;
    if (lending === undefined) at += passing.take(chunk.subarray(at, end), true);
    else at += passing.take(lending.view(at, end), false);
  }
  return at;
}

/** Delivers what a relay has left in a chunk while the program had paused. */
export function deliverHeld(life: Transport): void {
  const { extras } = life;
  if (extras?.held === undefined || life.isPaused || !life.isOpen) return;
  const { held } = extras;
  extras.held = undefined;
  const rest = passInput(life, undefined, held, 0, held.length);
  if (rest < held.length && life.isOpen) {
    if (life.isPaused) extras.held = held.subarray(rest);
    else life.call(life.receiver.receiveData, held.subarray(rest));
  }
  if (life.isOpen && !life.isPaused && extras.passing?.isBlocked !== true) life.engine.resume(life.handle);
}
