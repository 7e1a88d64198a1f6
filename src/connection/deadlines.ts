import type { CloseReason, DeadlineName } from "../base/close_reason.js";
import type { TransportCore } from "../core/transport_home.js";
import type { StreamEngine } from "../engine/engine.js";
import type { Handle } from "../engine/streams.js";
import type { StreamSettings } from "../options/options.js";
import type { Timer } from "../timers/timer.js";
import { deadlinePassed } from "./reasons.js";

/** The deadlines that stand here: those of a TLS handshake and of HTTP are with what they are of. */
const CLOCKS = [
  ["lifetime", "lifetimeTimeout"],
  ["first-byte", "firstByteTimeout"],
  ["inactivity", "commInactivityTimeout"],
  ["read", "readTimeout"],
  ["write", "writeTimeout"],
] as const satisfies readonly (readonly [DeadlineName, keyof StreamSettings])[];
type Clock = (typeof CLOCKS)[number][0];

/** What deadlines look at, and what they end: an open connection. */
export interface DeadlinesOwner {
  readonly core: TransportCore;
  readonly engine: StreamEngine;
  readonly handle: Handle;
  readonly settings: StreamSettings;
  readonly isPaused: boolean;
  /** Whether a relay makes its output, of which nobody here is told. */
  readonly isFed: boolean;
  received(): number;
  readonly isSendingFile: boolean;
  outboundSize(): number;
  /** The deadline has expired. True: it is to run anew. */
  expired(reason: CloseReason & { kind: "timeout" }): boolean;
}

/**
 * The deadlines of one connection, on one timer. Traffic does not touch the timer: when it fires, the engine is asked
 * when bytes last moved, and the timer is set again to the earliest moment at which a deadline can pass. So a deadline
 * costs nothing per message, and is exact to the timer's own millisecond.
 */
export class Deadlines {
  readonly #owner: DeadlinesOwner;
  #timer: Timer | undefined;
  /** From when each clock runs at the earliest: its connection opened, its deadline was set or restarted, or it stood still. */
  readonly #from: Record<Clock, number>;
  #pausedAt: number | undefined;

  /** Every clock begins now. */
  constructor(owner: DeadlinesOwner) {
    this.#owner = owner;
    const now = owner.core.now();
    this.#from = { lifetime: now, "first-byte": now, inactivity: now, read: now, write: now };
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
    for (const [clock, setting] of CLOCKS) if (changes[setting] !== undefined) this.#from[clock] = now;
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
    this.#from.read = now - Math.max(0, pausedAt - this.#readBase());
    this.#from["first-byte"] = now - Math.max(0, pausedAt - this.#from["first-byte"]);
    this.#pausedAt = undefined;
    this.#arm(now);
  }

  /** Output is about to be queued on a connection that had none: the write deadline begins. */
  outputBegins(): void {
    const { writeTimeout } = this.#owner.settings;
    if (writeTimeout === 0) return;
    const now = this.#owner.core.now();
    this.#from.write = now;
    // A timer that is due before finds the deadline when it fires.
    if (this.#timer !== undefined && this.#timer.deadline <= now + writeTimeout) return;
    this.#set(now + writeTimeout, now);
  }

  #readBase(): number {
    const { engine, handle } = this.#owner;
    return Math.max(this.#from.read, engine.lastRead(handle));
  }

  /** The deadline that passes first, and when. */
  #earliest(): { name: Clock; at: number; after: number } | undefined {
    const owner = this.#owner;
    const { settings, handle, engine } = owner;
    let first: { name: Clock; at: number; after: number } | undefined;
    const consider = (name: Clock, after: number, from: number) => {
      if (after > 0 && (first === undefined || from + after < first.at)) first = { name, at: from + after, after };
    };
    const waits = this.#pausedAt === undefined;
    consider("lifetime", settings.lifetimeTimeout, this.#from.lifetime);
    if (waits && owner.received() === 0) consider("first-byte", settings.firstByteTimeout, this.#from["first-byte"]);
    const lastWrite = engine.lastWrite(handle);
    consider(
      "inactivity",
      settings.commInactivityTimeout,
      Math.max(this.#from.inactivity, engine.lastRead(handle), lastWrite),
    );
    if (waits) consider("read", settings.readTimeout, this.#readBase());
    if (owner.outboundSize() > 0 || owner.isSendingFile) {
      consider("write", settings.writeTimeout, Math.max(this.#from.write, lastWrite));
    }
    return first;
  }

  #arm(now: number): void {
    const owner = this.#owner;
    const { writeTimeout } = owner.settings;
    const first = this.#earliest();
    const at = first?.at ?? Number.POSITIVE_INFINITY;
    // Of what the engine relays it is looked whether there is any.
    const look = owner.isFed && writeTimeout > 0 ? now + writeTimeout / 4 : Number.POSITIVE_INFINITY;
    if (Math.min(at, look) === Number.POSITIVE_INFINITY) this.stop();
    else this.#set(Math.min(at, look), now);
  }

  /** A relay makes the output from here on. */
  feedBegins(): void {
    const now = this.#owner.core.now();
    this.#from.write = now;
    this.#arm(now);
  }

  #set(at: number, now: number): void {
    this.#timer?.cancel();
    this.#timer = this.#owner.core.addTimer(Math.max(0, at - now), () => this.#check());
  }

  #check(): void {
    this.#timer = undefined;
    const { core } = this.#owner;
    const first = this.#earliest();
    if (first !== undefined && first.at <= core.seenAt) {
      if (!this.#owner.expired(deadlinePassed(first.name, first.after))) return;
      this.#from[first.name] = core.now();
    }
    this.#arm(core.now());
  }
}
