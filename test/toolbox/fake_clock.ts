import type { Cancellable, Clock } from "eventmachine";

interface Waiting {
  readonly due: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that the test moves. */
export class FakeClock implements Clock {
  #now = 0;
  #order = 0;
  #timers = new Set<Waiting>();
  #ticks: (() => unknown)[] = [];

  now(): number {
    return this.#now;
  }

  addTimer(delay: number, callback: () => void): Cancellable {
    const timer = { due: this.#now + delay, order: this.#order++, callback };
    this.#timers.add(timer);
    const cancel = () => {
      this.#timers.delete(timer);
    };
    return { cancel, [Symbol.dispose]: cancel };
  }

  nextTick(callback: () => void): void {
    this.#ticks.push(callback);
  }

  get timers(): number {
    return this.#timers.size;
  }

  get ticks(): number {
    return this.#ticks.length;
  }

  /** Lets time pass: every timer due by then fires at its moment. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.due - b.due || a.order - b.order);
      if (next === undefined || next.due > end) break;
      this.#now = next.due;
      this.#timers.delete(next);
      next.callback();
    }
    this.#now = end;
  }

  /** Runs the ticks that wait now; what they add waits for the next turn. */
  turn(): unknown[] {
    const ticks = this.#ticks;
    this.#ticks = [];
    return ticks.map((tick) => tick());
  }
}
