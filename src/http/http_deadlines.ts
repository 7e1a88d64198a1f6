import type { StreamPort } from "../core/stream_port.js";
import type { Timer } from "../timers/timer.js";
import type { HttpSettings } from "./http_options.js";
import type { RequestBody } from "./request_body.js";

/** What the deadlines look at, and what they end. */
export interface TimedSession {
  /** Content is being read, and whoever wants it waits for the peer. */
  readonly awaitedBody: RequestBody | undefined;
  /** Some of a head has come, or none of the first, and the peer has the rest. */
  readonly awaitsHead: boolean;
  /** Nothing is under way. */
  readonly isQuiet: boolean;
  /** Output is above the high-water mark. */
  readonly isFull: boolean;
  expired(name: HttpDeadlineName, after: number): void;
}

export type HttpDeadlineName = "header" | "body" | "response" | "keep-alive";

/** The idle end comes so much after what was announced: a request that is on its way meanwhile is still answered. */
const GRACE = 1000;

/**
 * The deadlines of HTTP on one connection, on one timer. A request only notes when things happened; when the timer fires, it is set again to
 * the earliest moment at which a deadline can pass. So a busy connection sets it every few seconds.
 */
export class HttpDeadlines {
  readonly #port: StreamPort;
  readonly #settings: HttpSettings;
  readonly #session: TimedSession;
  #timer: Timer | undefined = undefined;
  /** 0 while no timer is set. All times are whole milliseconds: others would each be an object beside this one. */
  #armedAt = 0;
  /** From when a head, the idle time, and the content run; when the last of the content came, and output last moved. */
  #headFrom = 0;
  #idleFrom = 0;
  #bodyFrom = 0;
  #bodyAt = 0;
  #bodyBefore = 0;
  #outputAt = 0;
  #outputBytes = 0;

  constructor(port: StreamPort, settings: HttpSettings, session: TimedSession) {
    this.#port = port;
    this.#settings = settings;
    this.#session = session;
  }

  /** A head is awaited, or has begun. */
  headBegins(): void {
    this.#headFrom = this.#turnTime();
    this.#arm(this.#headFrom, this.#settings.headerTimeout);
  }

  /** The last response was let out. */
  idleBegins(): void {
    this.#idleFrom = this.#turnTime();
    if (this.#settings.keepAliveTimeout > 0) this.#arm(this.#idleFrom, this.#settings.keepAliveTimeout + GRACE);
  }

  bodyBegins(): void {
    this.#bodyFrom = this.#bodyAt = this.#turnTime();
    this.#bodyBefore = 0;
    this.#arm(this.#bodyFrom, this.#settings.bodyTimeout);
  }

  bodyMoves(): void {
    this.#bodyAt = this.#turnTime();
  }

  outputFills(): void {
    this.#outputAt = this.#turnTime();
    this.#outputBytes = this.#port.bytesOut();
    this.#arm(this.#outputAt, this.#settings.responseTimeout);
  }

  /** Reading goes on after a hold, in which the peer could do nothing. */
  goesOn(): void {
    const { awaitedBody, awaitsHead } = this.#session;
    if (awaitsHead) this.headBegins();
    if (awaitedBody === undefined) return;
    this.bodyBegins();
    this.#bodyBefore = awaitedBody.received;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedAt = 0;
  }

  /** Rounded up, so that no deadline is early. */
  #turnTime(): number {
    return Math.ceil(this.#port.turnTime());
  }

  #arm(from: number, after: number): void {
    const at = Math.ceil(from + after);
    if (after === 0 || (this.#armedAt > 0 && this.#armedAt <= at)) return;
    this.#timer?.cancel();
    this.#armedAt = at;
    this.#timer = this.#port.addOwnTimer(Math.max(0, at - this.#port.now()), this.#look);
  }

  readonly #look = (): void => {
    const reached = this.#armedAt;
    this.#timer = undefined;
    this.#armedAt = 0;
    const { headerTimeout, bodyTimeout, minBodyRate, keepAliveTimeout, responseTimeout } = this.#settings;
    const session = this.#session;
    const port = this.#port;
    const body = session.awaitedBody;
    if (session.isFull || (session.isQuiet && port.outboundSize() > 0)) {
      const out = port.bytesOut();
      if (out !== this.#outputBytes) this.#outputAt = Math.ceil(port.now());
      this.#outputBytes = out;
      this.#idleFrom = Math.ceil(port.now());
      this.#judge("response", this.#outputAt, responseTimeout, reached);
    }
    if (body !== undefined) {
      if (minBodyRate > 0) {
        const earned = ((body.received - this.#bodyBefore) / minBodyRate) * 1000;
        this.#judge("body", Math.min(this.#bodyAt, this.#bodyFrom + earned), bodyTimeout, reached);
      } else this.#judge("body", this.#bodyAt, bodyTimeout, reached);
    } else if (session.awaitsHead) {
      // A TLS handshake under way has a deadline of its own.
      if (port.tls !== undefined && port.tls.info === undefined) this.#headFrom = Math.ceil(port.now());
      this.#judge("header", this.#headFrom, headerTimeout, reached);
    } else if (session.isQuiet && keepAliveTimeout > 0) {
      this.#judge("keep-alive", this.#idleFrom, keepAliveTimeout + GRACE, reached);
    }
  };

  #judge(name: HttpDeadlineName, from: number, after: number, reached: number): void {
    if (after === 0) return;
    if (from + after <= reached) this.#session.expired(name, after);
    else this.#arm(from, after);
  }
}
