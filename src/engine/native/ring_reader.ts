import type { EngineEvents } from "../engine.js";
import { Ended, HANDLE_INDEX_MASK, type Handle } from "../streams.js";
import type { Binding } from "./binding.js";
import { Event, Figure, Flag, MAX_EVENTS, Settled, WatchFlag, Word } from "./layout.js";
import type { LentBytes } from "./lent_bytes.js";
import type { NativeDatagrams } from "./native_datagrams.js";
import type { NativeTls } from "./native_tls.js";
import { type SharedViews, SYSCALLS } from "./ring.js";

const NO_WORDS = new Int32Array(0);
const NO_FLAGS = new Uint8Array(0);
const NO_FIGURES = new Float64Array(0);

/** Reads the ring that the addon fills with what has happened, in one loop for the whole batch, and tells the reactor. */
export class RingReader {
  readonly #native: Binding;
  readonly #lending: LentBytes;
  readonly #tls: NativeTls;
  /** Set with the first datagram socket. */
  datagrams: NativeDatagrams | undefined;
  #loop = -1;
  #events: EngineEvents | undefined;
  #words: Int32Array = NO_WORDS;
  #ring: Int32Array = NO_WORDS;
  #flags: Uint8Array = NO_FLAGS;
  #figures: Float64Array = NO_FIGURES;
  #clockOffset = 0;

  constructor(native: Binding, lending: LentBytes, tls: NativeTls) {
    this.#native = native;
    this.#lending = lending;
    this.#tls = tls;
  }

  /** `clockOffset`: from `performance.now()` to the addon's clock. */
  start(loop: number, views: SharedViews, events: EngineEvents, clockOffset: number): void {
    this.#loop = loop;
    this.#events = events;
    this.#words = views.words;
    this.#ring = views.events;
    this.#flags = views.flags;
    this.#figures = views.figures;
    this.#clockOffset = clockOffset;
  }

  /** Also lets go of the memory. */
  stop(): void {
    this.#loop = -1;
    this.#events = undefined;
    this.#words = this.#ring = NO_WORDS;
    this.#flags = NO_FLAGS;
    this.#figures = NO_FIGURES;
  }

  readonly ticks = (): void => {
    this.#events?.ticks();
  };

  readonly dispatch = (): void => {
    const events = this.#events;
    if (events === undefined) return;
    // A program can detach the memory it was lent; it gets no more than a new window.
    if (this.#lending.slab.length === 0) this.#lending.use(this.#native.slab(this.#loop)!);
    const words = this.#words;
    // Whatever has become of the two: no more is read than the ring holds.
    const count = Math.min(words[Word.eventCount]!, MAX_EVENTS);
    let at = Math.max(words[Word.eventsRead]!, 0);
    events.enter();
    try {
      // `stop` may come in any event; then there is no loop and no more events.
      while (at < count && this.#loop >= 0) {
        words[Word.eventsRead] = at + 1;
        this.#deliver(events, at++ * 4);
      }
    } finally {
      // The slab is the addon's again: a view of it that is sent from here on goes the way of any other bytes.
      this.#lending.lastView = undefined;
      events.leave();
    }
  };

  #deliver(events: EngineEvents, at: number): void {
    const ring = this.#ring;
    const head = ring[at]!;
    const handle = ring[at + 1]!;
    const flags = this.#flags[handle & HANDLE_INDEX_MASK]!;
    switch (head & 0xff) {
      case Event.data: {
        const start = ring[at + 2]!;
        const length = ring[at + 3]!;
        if ((flags & (Flag.paused | Flag.muted)) === 0) events.data(handle, this.#lending.slab, start, start + length);
        else this.#native.hold(this.#loop, handle, start, length);
        return;
      }
      case Event.accepted:
        events.accepted(ring[at + 2]!, handle, ring[at + 3]!, head >>> 16);
        return;
      case Event.acceptedOther:
        events.accepted(ring[at + 2]!, handle, 0, -1);
        return;
      case Event.connected:
        if ((flags & Flag.muted) === 0) events.connected(handle);
        return;
      case Event.listening:
        if ((flags & Flag.muted) === 0) events.listening(handle);
        return;
      case Event.writable:
        if ((flags & Flag.muted) === 0) events.writable(handle);
        return;
      case Event.fileSent:
        if ((flags & Flag.silent) === 0) events.fileSent(handle);
        return;
      case Event.fin:
        this.#settle(events, handle);
        return;
      case Event.closed:
        events.closed(handle, ((head >>> 8) & 0xff) as Ended, ring[at + 2]!, SYSCALLS[head >>> 16]!);
        return;
      case Event.relayed:
        if ((flags & Flag.muted) === 0) events.relayed(handle);
        return;
      case Event.timer:
        events.timer(this.#seenAt());
        return;
      case Event.datagrams:
        this.datagrams?.deliver(handle, ring[at + 2]!, (head >>> 8) & 0xff, head >>> 16);
        return;
      case Event.sendFailed: {
        const { slab } = this.#lending;
        const errno = -((head >>> 8) & 0xffff);
        this.datagrams?.deliverFailure(handle, errno, head >>> 24, slab, ring[at + 2]!, ring[at + 3]!);
        return;
      }
      case Event.ready:
        if ((flags & Flag.muted) === 0) {
          events.ready(handle, (head & (WatchFlag.readable << 8)) !== 0, (head & (WatchFlag.writable << 8)) !== 0);
        }
        return;
      default: {
        const kind = head & 0xff;
        const { slab } = this.#lending;
        const start = ring[at + 2]!;
        this.#tls.deliver(events, kind, handle, flags, slab, start, ring[at + 3]!);
        return;
      }
    }
  }

  /** When the poll was that saw a deadline pass: of the past, for to a time that is none the timers could not be moved. */
  #seenAt(): number {
    const seenAt = this.#figures[Figure.seenAt]! - this.#clockOffset;
    const now = performance.now();
    return seenAt >= 0 && seenAt <= now ? seenAt : now;
  }

  #settle(events: EngineEvents, handle: Handle): void {
    switch (this.#native.settle(this.#loop, handle)) {
      case Settled.closedByPeer:
        events.closed(handle, Ended.peer, 0, "");
        return;
      case Settled.closedHere:
        events.closed(handle, Ended.local, 0, "");
        return;
      case Settled.end:
        events.end(handle);
        return;
    }
  }
}
