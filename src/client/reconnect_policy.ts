import { checkCount, checkDuration, checkNumber, checkObject } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkNames, type Names } from "../base/known_names.js";
import { MAX_TIMER_DELAY } from "../base/limits.js";
import { Connection } from "../connection/connection.js";
import { type ConnectAddress, checkConnectAddress } from "../options/options.js";
import { Timer } from "../timers/timer.js";

/** How long a `ReconnectPolicy` waits, and how often. */
export interface ReconnectOptions {
  /** Milliseconds before the first attempt, where the jitter takes nothing off. At least 1. Default 100. */
  min?: number;
  /** The longest wait in milliseconds. Default 30 s. */
  max?: number;
  /** Each wait is so many times the one before. At least 1. Default 2. */
  factor?: number;
  /** The part of a wait that chance may take off, from 0 (none) to 1 (all of it), so that clients do not come back together. Default 0.5. */
  jitter?: number;
  /** Attempts in a row before it gives up. Default: no limit. */
  attempts?: number;
}

const OPTIONS: Names<ReconnectOptions> = { min: true, max: true, factor: true, jitter: true, attempts: true };

/**
 * When a client connects again: waits that grow from attempt to attempt (exponential backoff with jitter). One for each connection.
 *
 * ```ts
 * class Client extends Connection {
 *   readonly #again = new ReconnectPolicy({ max: 10_000 });
 *
 *   override connectionCompleted() {
 *     this.#again.reset();
 *   }
 *
 *   override unbind() {
 *     this.#again.reconnect(this, ADDRESS);
 *   }
 * }
 * ```
 */
export class ReconnectPolicy {
  readonly #min: number;
  readonly #max: number;
  readonly #factor: number;
  readonly #jitter: number;
  readonly #most: number;
  #attempts = 0;
  #timer: Timer | undefined;

  /** Throws ArgumentError for an option out of its range, or a `min` above `max`. */
  constructor(options: ReconnectOptions = {}) {
    checkObject(options, "options");
    checkNames(options, OPTIONS, "options");
    const { min = 100, max = 30_000, factor = 2, jitter = 0.5, attempts = Number.POSITIVE_INFINITY } = options;
    this.#max = checkDuration(max, "max");
    this.#min = checkNumber(min, "min", 1, MAX_TIMER_DELAY);
    if (min > max) throw new ArgumentError(`min (${min}) must not be above max (${max})`);
    this.#factor = checkNumber(factor, "factor", 1, Number.MAX_SAFE_INTEGER);
    this.#jitter = checkNumber(jitter, "jitter", 0, 1);
    this.#most = checkCount(attempts, "attempts", 1);
  }

  /** Attempts since the last `reset`, the one that waits included. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Whether an attempt waits for its time. */
  get isWaiting(): boolean {
    return this.#timer?.active === true;
  }

  /**
   * Connects again when the wait is over, where the program has not done so itself by then; for `unbind`. False when there will be no
   * attempt: there were `attempts` in a row, or the reactor is stopping. An attempt that was waiting is called off.
   *
   * Throws ArgumentError for anything but a connection and an address, `ERR_EM_STILL_OPEN` and `ERR_EM_NOT_RECONNECTABLE` as
   * `Connection.reconnect` does.
   */
  reconnect(connection: Connection, address: ConnectAddress): boolean {
    if (!(connection instanceof Connection)) {
      throw new ArgumentError(`connection must be a Connection, not ${describe(connection)}`);
    }
    checkConnectAddress(address);
    const { core } = Connection.reconnectable(connection);
    this.cancel();
    if (this.#attempts >= this.#most || !core.isAccepting) return false;
    this.#attempts++;
    this.#timer = new Timer(core.timers, core.now() + this.#wait(), () => {
      // The program may have connected it again meanwhile.
      if (connection.state === "closed") connection.reconnect(address);
    });
    core.timers.startTimer(this.#timer);
    return true;
  }

  /** The next wait is the first again: for `connectionCompleted`, or when the peer has proven itself. */
  reset(): void {
    this.#attempts = 0;
  }

  /** Calls off the attempt that waits. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** The same as `cancel`. */
  [Symbol.dispose](): void {
    this.cancel();
  }

  #wait(): number {
    const wait = Math.min(this.#max, this.#min * this.#factor ** (this.#attempts - 1));
    return wait * (1 - this.#jitter * Math.random());
  }
}
