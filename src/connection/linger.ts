import type { CloseReason } from "../base/close_reason.js";
import { LINGER_TIMEOUT } from "../base/limits.js";
import type { TransportCore } from "../core/transport_home.js";
import type { StreamEngine } from "../engine/engine.js";
import type { Handle } from "../engine/streams.js";
import type { StreamSettings } from "../options/options.js";
import type { Timer } from "../timers/timer.js";
import { LINGER_EXPIRED } from "./reasons.js";

/** What the linger deadline looks at, and what it ends: a connection that closes after writing. */
export interface LingerOwner {
  readonly core: TransportCore;
  readonly engine: StreamEngine;
  readonly handle: Handle;
  readonly settings: StreamSettings;
  end(reason: CloseReason): void;
}

/** How often in its time the deadline looks whether the peer takes what the kernel holds: it may pass that much late. */
const LOOKS = 10;

/**
 * The linger deadline. It counts from the last progress, so that a slow reader of much output is not cut off: the kernel
 * has taken bytes, or, where the engine can tell, the peer has taken some of those the kernel holds.
 */
export class Linger {
  readonly #owner: LingerOwner;
  #timer: Timer | undefined;
  /** From when it runs at the earliest. */
  #from = 0;
  /** What the peer had not taken when this was last looked at. */
  #untaken = 0;
  /** A deadline has passed before: progress gains no time, and there is a limit in any case. */
  #isLast = false;

  constructor(owner: LingerOwner) {
    this.#owner = owner;
    this.begin();
  }

  /** Counts from now. */
  begin(): void {
    const { core, engine, handle } = this.#owner;
    this.#from = core.now();
    this.#untaken = engine.unacknowledged(handle);
    this.#arm();
  }

  /** Counts from now, and from then on whatever the peer reads: a peer that reads little by little cannot stay for long. */
  last(): void {
    this.#isLast = true;
    this.begin();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  get #timeout(): number {
    const { lingerTimeout } = this.#owner.settings;
    return this.#isLast && lingerTimeout === 0 ? LINGER_TIMEOUT : lingerTimeout;
  }

  get #due(): number {
    const { engine, handle } = this.#owner;
    return (this.#isLast ? this.#from : Math.max(this.#from, engine.lastWrite(handle))) + this.#timeout;
  }

  #arm(): void {
    this.stop();
    const { core } = this.#owner;
    const timeout = this.#timeout;
    if (timeout === 0) return;
    const left = Math.max(0, this.#due - core.now());
    const wait = this.#untaken > 0 && !this.#isLast ? Math.min(left, timeout / LOOKS) : left;
    this.#timer = core.addTimer(wait, () => this.#look());
  }

  #look(): void {
    const { core, engine, handle } = this.#owner;
    const untaken = engine.unacknowledged(handle);
    if (untaken < this.#untaken && !this.#isLast) this.#from = core.now();
    this.#untaken = untaken;
    if (this.#due <= core.seenAt) this.#owner.end(LINGER_EXPIRED);
    else this.#arm();
  }
}
