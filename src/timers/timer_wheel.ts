import { IDLE, type Timer } from "./timer.js";

const LEVEL_BITS = 6;
const LEVELS = 5;
const SLOTS_PER_LEVEL = 1 << LEVEL_BITS;
const SLOTS = LEVELS * SLOTS_PER_LEVEL;
/** Milliseconds the levels reach from `#base`: 2 ** 30, about 12 days; it also keeps all offsets small integers. */
const SPAN = 2 ** (LEVEL_BITS * LEVELS);
/** The list of timers beyond the span. */
const OVERFLOW = SLOTS;
/** The list of timers that have expired and are about to fire, in firing order. */
const DUE = SLOTS + 1;

/**
 * The waiting timers of one reactor: a hierarchical timing wheel with ticks of one millisecond. Adding and removing cost
 * the same few steps however many timers there are.
 *
 * A level has 64 slots; one of its slots covers as much time as the whole level below. A timer stands in the lowest level
 * whose current round (the 64 slots that hold the present moment) holds its deadline too. From that it follows that every
 * timer of a level is due before every timer of the levels above, and that no slot behind the present one is occupied:
 * the first bit set in the occupancy maps names the earliest timers. As time reaches a slot of a higher level, its timers
 * move down; in a slot of the lowest level they are sorted by their fractions. Slots keep the order of addition
 * throughout, and the sort is stable: so ties fire in that order.
 */
export class TimerWheel {
  #size = 0;
  /** The moment, in whole milliseconds, from which offsets count. */
  #base: number;
  /** The present moment as an offset: no slot that starts earlier is occupied. */
  #at = 0;
  /** A lower bound of the deadlines; `#nextPassed` when the time it named has come and it must be found anew. */
  #next = Number.POSITIVE_INFINITY;
  #nextPassed = false;
  /** The first timer of each list; the lists are rings. */
  readonly #heads: (Timer | undefined)[] = new Array(DUE + 1).fill(undefined);
  /** One bit a slot, two words a level. */
  readonly #occupied = new Int32Array(SLOTS / 32);

  /** `now` is the clock's reading in milliseconds. */
  constructor(now: number) {
    this.#base = Math.floor(now);
  }

  /** How many timers wait. */
  get size(): number {
    return this.#size;
  }

  /** Lets a timer wait for its `deadline`. One that waits already is left as it is. */
  add(timer: Timer): void {
    if (timer.slot !== IDLE) return;
    this.#place(timer);
    this.#size++;
    if (timer.deadline < this.#next) this.#next = timer.deadline;
  }

  /** Takes a timer out, also one that was to fire in the expiry under way. One that does not wait is left as it is. */
  remove(timer: Timer): void {
    if (timer.slot === IDLE) return;
    this.#unlink(timer);
    if (--this.#size === 0) {
      this.#next = Number.POSITIVE_INFINITY;
      this.#nextPassed = false;
    }
  }

  /** Takes all timers out. */
  clear(): void {
    for (let list = 0; list < this.#heads.length; list++) {
      for (let timer = this.#heads[list]; timer !== undefined; timer = this.#heads[list]) this.remove(timer);
    }
  }

  /**
   * When to call `expire` next: never later than the earliest deadline, Infinity when no timer waits. It can be earlier,
   * when that timer is far off or an earlier one was removed; calling `expire` then moves it on.
   */
  nextDeadline(): number {
    const due = this.#heads[DUE];
    if (due !== undefined) return due.deadline;
    if (this.#nextPassed) {
      this.#nextPassed = false;
      this.#next = this.#findNext();
    }
    return this.#next;
  }

  /**
   * Removes the timers whose deadline is not after `now` and calls `fire` with each, by deadline, ties in the order they
   * were added. Timers that `fire` adds wait for the next call, whatever their deadline; a timer that `fire` removes does
   * not fire. When `fire` throws, the error comes through and the timers not yet fired are the first of the next call.
   */
  expire(now: number, fire: (timer: Timer) => void): void {
    // Of a clock that reads no time nothing is learnt.
    if (!Number.isFinite(now)) return;
    this.#advance(now);
    if (this.#next <= now) this.#nextPassed = true;
    for (let timer = this.#heads[DUE]; timer !== undefined; timer = this.#heads[DUE]) {
      this.remove(timer);
      fire(timer);
    }
  }

  /** Moves the present to `now` and what has expired by then to the list of the due. */
  #advance(now: number): void {
    const target = Math.floor(now) - this.#base;
    for (let slot = this.#firstSlot(); slot !== -1; slot = this.#firstSlot()) {
      const start = this.#startOf(slot);
      if (start > target) break;
      this.#at = start;
      if (slot >= SLOTS_PER_LEVEL) {
        this.#moveDown(slot);
      } else {
        this.#ripen(slot, now);
        // What is left in the slot of this very millisecond is due later in it.
        if (start === target) break;
      }
    }
    if (target < SPAN) {
      // A clock that reads less than before changes nothing.
      if (target > this.#at) this.#at = target;
    } else {
      const spans = Math.floor(target / SPAN);
      this.#base += spans * SPAN;
      this.#at = target - spans * SPAN;
      this.#ripen(OVERFLOW, now);
      this.#moveDown(OVERFLOW);
    }
  }

  /** Moves the timers of a list that are due to the end of the list of the due, in firing order. */
  #ripen(list: number, now: number): void {
    const head = this.#heads[list];
    if (head === undefined) return;
    const ripe: Timer[] = [];
    let last = Number.NEGATIVE_INFINITY;
    let ordered = true;
    let timer = head;
    do {
      if (timer.deadline <= now) {
        if (timer.deadline < last) ordered = false;
        last = timer.deadline;
        ripe.push(timer);
      }
      timer = timer.next!;
    } while (timer !== head);
    if (!ordered) ripe.sort((a, b) => a.deadline - b.deadline);
    for (const timer of ripe) {
      this.#unlink(timer);
      this.#link(timer, DUE);
    }
  }

  /** Places the timers of a list anew, as seen from the present moment. */
  #moveDown(list: number): void {
    const head = this.#heads[list];
    if (head === undefined) return;
    this.#heads[list] = undefined;
    if (list < SLOTS) this.#occupied[list >> 5]! &= ~(1 << (list & 31));
    let timer = head;
    do {
      const next = timer.next!;
      this.#place(timer);
      timer = next;
    } while (timer !== head);
  }

  #place(timer: Timer): void {
    // A deadline in the past goes to the present slot, the next one to be looked at.
    const offset = Math.max(timer.tick - this.#base, this.#at);
    if (offset >= SPAN) {
      this.#link(timer, OVERFLOW);
      return;
    }
    // The highest bit in which the deadline differs from the present tells the level.
    const level = ((31 - Math.clz32((offset ^ this.#at) | (SLOTS_PER_LEVEL - 1))) / LEVEL_BITS) | 0;
    const slot = level * SLOTS_PER_LEVEL + ((offset >> (level * LEVEL_BITS)) & (SLOTS_PER_LEVEL - 1));
    this.#occupied[slot >> 5]! |= 1 << (slot & 31);
    this.#link(timer, slot);
  }

  #link(timer: Timer, list: number): void {
    timer.slot = list;
    const head = this.#heads[list];
    if (head === undefined) {
      timer.next = timer;
      timer.previous = timer;
      this.#heads[list] = timer;
    } else {
      const tail = head.previous!;
      timer.next = head;
      timer.previous = tail;
      tail.next = timer;
      head.previous = timer;
    }
  }

  #unlink(timer: Timer): void {
    const list = timer.slot;
    const next = timer.next!;
    if (next === timer) {
      this.#heads[list] = undefined;
      if (list < SLOTS) this.#occupied[list >> 5]! &= ~(1 << (list & 31));
    } else {
      const previous = timer.previous!;
      previous.next = next;
      next.previous = previous;
      if (this.#heads[list] === timer) this.#heads[list] = next;
    }
    timer.next = undefined;
    timer.previous = undefined;
    timer.slot = IDLE;
  }

  /** The occupied slot whose time comes first, or -1. */
  #firstSlot(): number {
    for (let word = 0; word < this.#occupied.length; word++) {
      const bits = this.#occupied[word]!;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }

  /** The offset at which an occupied slot starts. */
  #startOf(slot: number): number {
    const level = slot >> LEVEL_BITS;
    const round = -1 << ((level + 1) * LEVEL_BITS);
    return (this.#at & round) | ((slot & (SLOTS_PER_LEVEL - 1)) << (level * LEVEL_BITS));
  }

  #findNext(): number {
    const slot = this.#firstSlot();
    if (slot === -1) return this.#heads[OVERFLOW] === undefined ? Number.POSITIVE_INFINITY : this.#base + SPAN;
    if (slot >= SLOTS_PER_LEVEL) return this.#base + this.#startOf(slot);
    // Within one millisecond the exact deadline counts: waking at its start would mean polling until the fraction has
    // passed. Higher up the start of the slot will do, and spares a walk over all its timers.
    const head = this.#heads[slot]!;
    let earliest = head.deadline;
    for (let timer = head.next!; timer !== head; timer = timer.next!) earliest = Math.min(earliest, timer.deadline);
    return earliest;
  }
}
