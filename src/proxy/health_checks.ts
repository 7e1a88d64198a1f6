import { checkDuration, checkInteger } from "../base/checks.js";
import type { CloseReason } from "../base/close_reason.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { PROXY_CHECK_INTERVAL, PROXY_CHECK_TIMEOUT } from "../base/limits.js";
import { Connection } from "../connection/connection.js";
import type { Timer } from "../timers/timer.js";
import type { Backend } from "./backend.js";
import type { BackendPool } from "./backend_pool.js";
import type { ProxyHost } from "./proxy_host.js";

/** How backends are checked: by a connect, under TLS where the backend has it, and by what it answers. */
export interface HealthOptions {
  /** How long from one check of a backend to the next. Default 2 s. */
  interval?: number;
  /** How long a check may take. Default 1 s. */
  timeout?: number;
  /** After so many good checks in a row a backend that is down is up. Default 2. */
  rise?: number;
  /** After so many bad ones a backend that is up is down. Default 3. */
  fall?: number;
  /** Send this when it is connected. Default nothing. */
  send?: string;
  /** What it answers must have this in its first 4 KiB. Default: being connected is enough. */
  expect?: string | RegExp;
}

const OPTIONS: Names<HealthOptions> = {
  interval: true,
  timeout: true,
  rise: true,
  fall: true,
  send: true,
  expect: true,
};
const MOST_ANSWER = 4096;

interface Settings {
  readonly interval: number;
  readonly timeout: number;
  readonly rise: number;
  readonly fall: number;
  readonly send: string | undefined;
  readonly expect: string | RegExp | undefined;
}

/** Checks the backends of a pool, each by itself. */
export class HealthChecks {
  readonly #host: ProxyHost;
  readonly #pool: BackendPool;
  readonly #settings: Settings;
  readonly #checks = new Map<Backend, Check>();

  constructor(host: ProxyHost, pool: BackendPool, options: HealthOptions) {
    checkOptions(options, OPTIONS, "health");
    const { interval = PROXY_CHECK_INTERVAL, timeout = PROXY_CHECK_TIMEOUT, rise = 2, fall = 3 } = options;
    const { send, expect } = options;
    if (send !== undefined && typeof send !== "string") {
      throw new ArgumentError(`health.send must be a string, not ${describe(send)}`);
    }
    if (expect !== undefined && typeof expect !== "string" && !(expect instanceof RegExp)) {
      throw new ArgumentError(`health.expect must be a string or a RegExp, not ${describe(expect)}`);
    }
    this.#settings = {
      interval: checkDuration(interval, "health.interval"),
      timeout: checkDuration(timeout, "health.timeout"),
      rise: checkInteger(rise, "health.rise", 1),
      fall: checkInteger(fall, "health.fall", 1),
      send,
      expect,
    };
    this.#host = host;
    this.#pool = pool;
  }

  /** These are there from now on, and those are gone. */
  changed(added: readonly Backend[], removed: readonly Backend[]): void {
    for (const backend of removed) {
      this.#checks.get(backend)?.stop();
      this.#checks.delete(backend);
    }
    for (const backend of added) {
      this.#checks.set(backend, new Check(this.#host, this.#pool, backend, this.#settings));
    }
  }

  stop(): void {
    this.changed([], [...this.#checks.keys()]);
  }
}

/** One backend's. */
class Check {
  readonly #host: ProxyHost;
  readonly #pool: BackendPool;
  readonly #backend: Backend;
  readonly #settings: Settings;
  /** Results in a row that say another thing than the state it has. */
  #against = 0;
  #timer: Timer | undefined;
  #probe: Probe | undefined;
  #isOver = false;

  constructor(host: ProxyHost, pool: BackendPool, backend: Backend, settings: Settings) {
    this.#host = host;
    this.#pool = pool;
    this.#backend = backend;
    this.#settings = settings;
    this.#begin();
  }

  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#probe?.abort();
  }

  #begin(): void {
    const { target, tls } = this.#backend;
    const { timeout, send, expect } = this.#settings;
    this.#probe = this.#host.connect(
      { ...target, connectTimeout: timeout, lifetimeTimeout: timeout, ...(tls === undefined ? {} : { tls }) },
      Probe,
      { hasTls: tls !== undefined, send, expect },
      (isGood) => this.#result(isGood),
    );
  }

  #result(isGood: boolean): void {
    this.#probe = undefined;
    if (this.#isOver) return;
    const { rise, fall, interval } = this.#settings;
    const backend = this.#backend;
    if (isGood === backend.isUp) this.#against = 0;
    else if (++this.#against >= (isGood ? rise : fall)) {
      this.#against = 0;
      backend.isUp = isGood;
      if (isGood) this.#pool.cameBack(backend);
    }
    this.#timer = this.#host.addTimer(interval, () => this.#begin());
    this.#timer.unref();
  }
}

interface Wanted {
  readonly hasTls: boolean;
  readonly send: string | undefined;
  readonly expect: string | RegExp | undefined;
}

class Probe extends Connection {
  readonly #wanted: Wanted;
  readonly #told: (isGood: boolean) => void;
  #answer = "";
  #isTold = false;

  constructor(wanted: Wanted, told: (isGood: boolean) => void) {
    super();
    this.#wanted = wanted;
    this.#told = told;
  }

  override connectionCompleted(): void {
    if (!this.#wanted.hasTls) this.#connected();
  }

  override sslHandshakeCompleted(): void {
    this.#connected();
  }

  #connected(): void {
    const { send, expect } = this.#wanted;
    if (send !== undefined) this.sendData(send);
    if (expect === undefined) this.#good();
  }

  override receiveData(data: Buffer): void {
    const { expect } = this.#wanted;
    if (expect === undefined) return;
    this.#answer += data.toString("latin1", 0, MOST_ANSWER - this.#answer.length);
    const isThere = typeof expect === "string" ? this.#answer.includes(expect) : this.#answer.search(expect) >= 0;
    if (isThere) this.#good();
    else if (this.#answer.length >= MOST_ANSWER) this.abort();
  }

  #good(): void {
    if (!this.#isTold) this.#told(true);
    this.#isTold = true;
    this.closeConnectionAfterWriting();
  }

  override unbind(reason: CloseReason): void {
    // A reactor that stops says nothing of the backend.
    if (!this.#isTold && reason.kind !== "stop") this.#told(false);
    this.#isTold = true;
  }
}
