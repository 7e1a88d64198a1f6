import { type CloseReason, Connection } from "eventmachine";
import type { Random } from "../../support/random.js";
import type { End } from "./pair.js";

/** What the callbacks of this fuzzer throw on purpose. */
export class ChaosError extends Error {}

/** The first bytes of a client: which pair it is of. */
export const HEAD_SIZE = 8;
const MAGIC = 0x7e57c4a0;

export function head(id: number): Buffer {
  const bytes = Buffer.alloc(HEAD_SIZE);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(id, 4);
  return bytes;
}

/** Undefined where these bytes are no head. */
export function idOf(bytes: Buffer): number | undefined {
  return bytes.readUInt32BE(0) === MAGIC ? bytes.readUInt32BE(4) : undefined;
}

/** Where the connections tell what they see, and get ideas for their callbacks. */
export interface Observer {
  wrong(what: string): void;
  /** There is this connection. */
  watch(connection: ChaosConnection): void;
  /** An accepted connection has read its head. */
  link(connection: ChaosConnection, head: Buffer): void;
  took(end: End, data: Buffer): void;
  peerEnded(end: End): void;
  ended(connection: ChaosConnection, reason: CloseReason): void;
  /** Does something from within a callback. */
  act(connection: ChaosConnection, callback: string, random: Random): void;
}

/** One in so many callbacks does something of its own. */
const ACTS = 8;

/** Watches over the order of its callbacks, and does as told, or as its dice say, within them. */
export class ChaosConnection extends Connection {
  readonly observer: Observer;
  /** Undefined on an accepted connection until it has read its head. */
  end: End | undefined;
  /** Counted for each life of the object, and for each end. */
  lives = 0;
  unbinds = 0;
  /** What the next callback does. */
  armed: "throw" | "reject" | undefined;
  /** How often `sendData` has asked for a pause that no `drained` has ended. */
  owed = 0;
  random: Random;
  #head = Buffer.alloc(0);
  #isCompleted = false;
  readonly #isHandedOn: boolean;

  constructor(observer: Observer, random: Random, end?: End) {
    super();
    this.observer = observer;
    this.random = random;
    this.end = end;
    this.#isHandedOn = end?.connection !== undefined;
    if (end !== undefined) end.connection = this;
  }

  get isOver(): boolean {
    return this.unbinds === this.lives;
  }

  /** `reconnect` has begun another life, over another pair. */
  begins(end: End): void {
    this.lives++;
    this.owed = 0;
    this.#isCompleted = false;
    this.end = end;
    end.connection = this;
  }

  override postInit(): unknown {
    this.lives++;
    this.observer.watch(this);
    if (this.#isHandedOn) {
      // The descriptor does not say that its FIN has been sent.
      if (this.end?.isHalfClosed === true) this.halfClose();
    } else if (this.end?.side === "client") this.sendData(head(this.end.pair.id));
    return this.#called("postInit");
  }

  override connectionCompleted(): unknown {
    if (this.#isCompleted) this.observer.wrong(`${this.label}: completed twice`);
    this.#isCompleted = true;
    return this.#called("connectionCompleted");
  }

  override receiveData(data: Buffer): unknown {
    if (this.isPaused) this.observer.wrong(`${this.label}: data while paused`);
    if (data.length === 0) this.observer.wrong(`${this.label}: no data`);
    if (this.end === undefined) this.#readHead(data);
    else this.observer.took(this.end, data);
    return this.#called("receiveData");
  }

  #readHead(data: Buffer): void {
    this.#head = Buffer.concat([this.#head, data]);
    if (this.#head.length < HEAD_SIZE) return;
    this.observer.link(this, this.#head.subarray(0, HEAD_SIZE));
    const { end } = this;
    if (end === undefined) return;
    if (this.#head.length > HEAD_SIZE) this.observer.took(end, this.#head.subarray(HEAD_SIZE));
  }

  override receiveEnd(): unknown {
    if (this.isPaused) this.observer.wrong(`${this.label}: an end while paused`);
    if (this.end !== undefined) this.observer.peerEnded(this.end);
    return this.#called("receiveEnd");
  }

  override drained(): unknown {
    if (this.owed === 0) this.observer.wrong(`${this.label}: drained, and nobody had been asked to wait`);
    this.owed = 0;
    return this.#called("drained");
  }

  override sslHandshakeCompleted(): unknown {
    return this.#called("sslHandshakeCompleted");
  }

  override shutdownRequested(): unknown {
    return this.#called("shutdownRequested");
  }

  override unbind(reason: CloseReason): unknown {
    const wasOver = this.isOver;
    this.unbinds++;
    if (wasOver) this.observer.wrong(`${this.label}: unbound again (${reason.kind})`);
    else this.observer.ended(this, reason);
    return this.#called("unbind", true);
  }

  override onError(error: unknown): unknown {
    if (!(error instanceof ChaosError)) this.observer.wrong(`${this.label}: onError got ${error}`);
    return this.random.oneIn(2);
  }

  /** Every callback: none may come once this life has ended. */
  #called(callback: string, isLast = false): unknown {
    if (this.isOver && !isLast) this.observer.wrong(`${this.label}: ${callback} after unbind`);
    const { armed } = this;
    this.armed = undefined;
    if (this.random.oneIn(ACTS)) this.observer.act(this, callback, this.random);
    if (armed === "throw") throw new ChaosError(`${callback} threw`);
    return armed === "reject" ? Promise.reject(new ChaosError(`${callback} rejected`)) : undefined;
  }

  get label(): string {
    return `${this.end ?? "unlinked"}, life ${this.lives}, connection ${this.id}`;
  }
}

/** The same over borrowed views. */
export class BorrowingConnection extends ChaosConnection {
  static override readonly borrowsData = true;
}
