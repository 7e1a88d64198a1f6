import type { CloseReason, DeadlineName } from "../base/close_reason.js";
import type { Handle } from "../engine/streams.js";
import type { StreamSettings } from "./options.js";
import { deadlinePassed } from "./reasons.js";
import type { Timer } from "./timer.js";
import type { TransportHome } from "./transport_home.js";

/** What deadlines look at, and what they end: an open connection. */
export interface DeadlinesOwner {
  readonly core: TransportHome;
  readonly handle: Handle;
  readonly settings: StreamSettings;
  readonly isPaused: boolean;
  readonly bytesIn: number;
  readonly isSendingFile: boolean;
  outboundSize(): number;
  end(reason: CloseReason): void;
}

/**
 * The deadlines of one connection, on one timer. Traffic does not touch the timer: when it fires, the engine is asked
 * when bytes last moved, and the timer is set again to the earliest moment at which a deadline can pass. So a deadline
 * costs nothing per message, and is exact to the timer's own millisecond.
 */
export class Deadlines {
  readonly #owner: DeadlinesOwner;
  #timer: Timer | undefined;
  /** From when each clock runs at the earliest: its connection opened, or its deadline was set, or it stood still. */
  #lifeFrom: number;
  #firstByteFrom: number;
  #idleFrom: number;
  #readFrom: number;
  #writeFrom: number;
  #pausedAt: number | undefined;

  /** Every clock begins now. */
  constructor(owner: DeadlinesOwner) {
    this.#owner = owner;
    const now = owner.core.now();
    this.#lifeFrom = this.#firstByteFrom = this.#idleFrom = this.#readFrom = this.#writeFrom = now;
    if (owner.isPaused) this.#pausedAt = now;
  }

  static wanted(settings: StreamSettings): boolean {
    const { commInactivityTimeout, firstByteTimeout, readTimeout, writeTimeout, lifetimeTimeout } = settings;
    return commInactivityTimeout + firstByteTimeout + readTimeout + writeTimeout + lifetimeTimeout > 0;
  }

  start(): void {
    this.#arm(this.#owner.core.now());
  }

  /** What is set counts anew; the others go on. */
  changed(changes: Partial<StreamSettings>): void {
    const now = this.#owner.core.now();
    if (changes.lifetimeTimeout !== undefined) this.#lifeFrom = now;
    if (changes.firstByteTimeout !== undefined) this.#firstByteFrom = now;
    if (changes.commInactivityTimeout !== undefined) this.#idleFrom = now;
    if (changes.readTimeout !== undefined) this.#readFrom = now;
    if (changes.writeTimeout !== undefined) this.#writeFrom = now;
    this.#arm(now);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  paused(): void {
    this.#pausedAt = this.#owner.core.now();
  }

  /** What waits for the peer's bytes stood still: what had run of it before the pause is all that has run. */
  resumed(): void {
    const now = this.#owner.core.now();
    const pausedAt = this.#pausedAt ?? now;
    this.#readFrom = now - Math.max(0, pausedAt - this.#readBase());
    this.#firstByteFrom = now - Math.max(0, pausedAt - this.#firstByteFrom);
    this.#pausedAt = undefined;
    this.#arm(now);
  }

  /** Output is about to be queued on a connection that had none: the write deadline begins. */
  outputBegins(): void {
    const { writeTimeout } = this.#owner.settings;
    if (writeTimeout === 0) return;
    const now = this.#owner.core.now();
    this.#writeFrom = now;
    // A timer that is due before finds the deadline when it fires.
    if (this.#timer !== undefined && this.#timer.deadline <= now + writeTimeout) return;
    this.#set(now + writeTimeout, now);
  }

  #readBase(): number {
    const { core, handle } = this.#owner;
    return Math.max(this.#readFrom, core.engine.lastRead(handle));
  }

  /** The deadline that passes first, and when. */
  #earliest(): { name: DeadlineName; at: number; after: number } | undefined {
    const owner = this.#owner;
    const { settings, handle } = owner;
    const { engine } = owner.core;
    let first: { name: DeadlineName; at: number; after: number } | undefined;
    const consider = (name: DeadlineName, after: number, from: number) => {
      if (after > 0 && (first === undefined || from + after < first.at)) first = { name, at: from + after, after };
    };
    const waits = this.#pausedAt === undefined;
    consider("lifetime", settings.lifetimeTimeout, this.#lifeFrom);
    if (waits && owner.bytesIn === 0) consider("first-byte", settings.firstByteTimeout, this.#firstByteFrom);
    const lastWrite = engine.lastWrite(handle);
    consider(
      "inactivity",
      settings.commInactivityTimeout,
      Math.max(this.#idleFrom, engine.lastRead(handle), lastWrite),
    );
    if (waits) consider("read", settings.readTimeout, this.#readBase());
    if (owner.outboundSize() > 0 || owner.isSendingFile) {
      consider("write", settings.writeTimeout, Math.max(this.#writeFrom, lastWrite));
    }
    return first;
  }

  #arm(now: number): void {
    const first = this.#earliest();
    if (first === undefined) this.stop();
    else this.#set(first.at, now);
  }

  #set(at: number, now: number): void {
    this.#timer?.cancel();
    this.#timer = this.#owner.core.addTimer(Math.max(0, at - now), () => this.#check());
  }

  #check(): void {
    this.#timer = undefined;
    const { core } = this.#owner;
    const first = this.#earliest();
    if (first !== undefined && first.at <= core.seenAt) this.#owner.end(deadlinePassed(first.name, first.after));
    else this.#arm(core.now());
  }
}
