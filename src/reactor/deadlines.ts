import type { DeadlineName } from "../base/close_reason.js";
import type { StreamSettings } from "./options.js";
import { deadlinePassed } from "./reasons.js";
import type { Timer } from "./timer.js";
import type { Transport } from "./transport.js";

/**
 * The deadlines of one connection, on one timer. Traffic does not touch the timer: when it fires, the engine is asked
 * when bytes last moved, and the timer is set again to the earliest moment at which a deadline can pass. So a deadline
 * costs nothing per message, and is exact to the timer's own millisecond.
 */
export class Deadlines {
  readonly #transport: Transport;
  #timer: Timer | undefined;
  /** When the connection opened, and from when each clock runs at the earliest. */
  #opened = 0;
  #idleFrom = 0;
  #readFrom = 0;
  #writeFrom = 0;
  #pausedAt: number | undefined;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  static wanted(settings: StreamSettings): boolean {
    const { commInactivityTimeout, firstByteTimeout, readTimeout, writeTimeout, lifetimeTimeout } = settings;
    return commInactivityTimeout + firstByteTimeout + readTimeout + writeTimeout + lifetimeTimeout > 0;
  }

  start(): void {
    const now = this.#transport.core.now();
    this.#opened = now;
    this.#startClocks(now);
    this.#arm(now);
  }

  /** The settings changed. */
  changed(): void {
    const now = this.#transport.core.now();
    if (this.#opened === 0) this.#opened = now;
    this.#startClocks(now);
    this.#arm(now);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  paused(): void {
    this.#pausedAt = this.#transport.core.now();
  }

  /** The read deadline stood still: what had run of it before the pause is all that has run. */
  resumed(): void {
    const now = this.#transport.core.now();
    if (this.#pausedAt !== undefined) {
      const ran = this.#pausedAt - this.#readBase();
      this.#readFrom = now - Math.max(0, ran);
    }
    this.#pausedAt = undefined;
    this.#arm(now);
  }

  /** Output is about to be queued on a connection that had none: the write deadline begins. */
  outputBegins(): void {
    const { writeTimeout } = this.#transport.settings;
    if (writeTimeout === 0) return;
    const now = this.#transport.core.now();
    this.#writeFrom = now;
    // A timer that is due before finds the deadline when it fires.
    if (this.#timer !== undefined && this.#timer.deadline <= now + writeTimeout) return;
    this.#set(now + writeTimeout, now);
  }

  #startClocks(now: number): void {
    this.#idleFrom = now;
    this.#readFrom = now;
    this.#writeFrom = now;
    if (this.#transport.isPaused) this.#pausedAt = now;
  }

  #readBase(): number {
    const { core, handle } = this.#transport;
    return Math.max(this.#readFrom, core.engine.lastRead(handle));
  }

  /** The deadline that passes first, and when. */
  #earliest(): { name: DeadlineName; at: number; after: number } | undefined {
    const transport = this.#transport;
    const { settings, handle } = transport;
    const { engine } = transport.core;
    let first: { name: DeadlineName; at: number; after: number } | undefined;
    const consider = (name: DeadlineName, after: number, from: number) => {
      if (after > 0 && (first === undefined || from + after < first.at)) first = { name, at: from + after, after };
    };
    consider("lifetime", settings.lifetimeTimeout, this.#opened);
    if (transport.bytesIn === 0) consider("first-byte", settings.firstByteTimeout, this.#opened);
    const lastWrite = engine.lastWrite(handle);
    consider(
      "inactivity",
      settings.commInactivityTimeout,
      Math.max(this.#idleFrom, engine.lastRead(handle), lastWrite),
    );
    if (this.#pausedAt === undefined) consider("read", settings.readTimeout, this.#readBase());
    if (transport.outboundSize() > 0 || transport.isSendingFile) {
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
    this.#timer = this.#transport.core.addTimer(Math.max(0, at - now), () => this.#check());
  }

  #check(): void {
    this.#timer = undefined;
    const now = this.#transport.core.now();
    const first = this.#earliest();
    if (first !== undefined && first.at <= now) this.#transport.end(deadlinePassed(first.name, first.after));
    else this.#arm(now);
  }
}
