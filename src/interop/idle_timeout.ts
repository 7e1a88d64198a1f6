import type { StreamPort } from "../core/stream_port.js";
import type { Timer } from "../timers/timer.js";

/**
 * `socket.setTimeout`: calls back when nothing was read or written for so long. node:http sets it twice
 * for every request, so setting costs an assignment: one timer is left running and looks, when it fires, how long it has
 * really been.
 */
export class IdleTimeout {
  readonly #port: StreamPort;
  readonly #passed: () => void;
  #timer: Timer | undefined;
  #from = 0;
  /** The activity after which the silence was told of already. */
  #told = -1;
  ms = 0;

  constructor(port: StreamPort, passed: () => void) {
    this.#port = port;
    this.#passed = passed;
  }

  /** Milliseconds from now on; 0 for never. */
  set(ms: number): void {
    this.ms = ms;
    if (ms === 0) return;
    const now = this.#port.turnTime();
    this.#from = now;
    this.#told = -1;
    if (this.#timer === undefined || this.#timer.deadline > now + ms) this.#arm(ms);
  }

  stop(): void {
    this.ms = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(delay: number): void {
    this.#timer?.cancel();
    this.#timer = this.#port.addOwnTimer(delay, () => this.#check());
  }

  #check(): void {
    this.#timer = undefined;
    if (this.ms === 0) return;
    const now = this.#port.now();
    const active = Math.max(this.#from, this.#port.lastActivity());
    const left = active + this.ms - now;
    if (left > 0) {
      this.#arm(left);
      return;
    }
    this.#arm(this.ms);
    // Like node:net: once for each silence.
    if (this.#told === active) return;
    this.#told = active;
    this.#passed();
  }
}
