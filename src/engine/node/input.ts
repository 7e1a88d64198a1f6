import type { Duplex } from "node:stream";
import { READ_QUOTA } from "../../base/limits.js";
import { ownBytes } from "./own_bytes.js";
import { attempt, type Failing } from "./throwing_streams.js";
import type { Turn } from "./turn.js";

/** Who receives; called in a batch, except for `wasRead` and `failed`. */
export interface Receiver extends Failing {
  /** So many bytes have come, whether or not they are delivered at once. */
  wasRead(bytes: number): void;
  received(chunk: Buffer): void;
  /** The peer's end, after all that was received. */
  receivedEnd(): void;
}

/**
 * One connection's way in. What node:net's sockets give is delivered from their own callback; what any other stream gives
 * waits for a turn of its own, for it may come within a command. A paused stream of Node's reads ahead up to its high-water
 * mark, keeps that to itself and then stops; its `end` comes through a pause, though, and other runtimes let a chunk through
 * as well: both are held here. What is held is delivered first, in a turn after `resume`, and everything else waits behind it.
 */
export class Input {
  #stream: Duplex | undefined;
  readonly #turn: Turn;
  readonly #receiver: Receiver;
  readonly #isDirect: boolean;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** The stream's end has come; whether it has been delivered. */
  #hasEnd = false;
  #endHeld = false;
  #isPaused = false;
  /** The stream is paused until what is held of it is delivered. */
  #isFull = false;
  #discards = false;
  #stopped = false;
  #deliveryDue = false;

  /** `isDirect`: the stream calls back from Node's loop alone, never within a command. */
  constructor(turn: Turn, receiver: Receiver, isDirect: boolean) {
    this.#turn = turn;
    this.#receiver = receiver;
    this.#isDirect = isDirect;
  }

  /**
   * Begins reading, unless paused already. `afterDeferred`: what comes is delivered after the events that are deferred now.
   * `ended`: the stream has told of the peer's end before.
   */
  start(stream: Duplex, afterDeferred: boolean, ended = false): void {
    this.#stream = stream;
    this.#hasEnd = this.#endHeld = ended;
    if (afterDeferred || ended) this.#deliverLater();
    stream.on("data", this.#onData);
    stream.on("end", this.#onEnd);
    if (this.#isPaused) this.#pauseStream();
    else this.#resumeStream();
  }

  pause(): void {
    this.#isPaused = true;
    this.#pauseStream();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#held.length > 0 || this.#endHeld) this.#deliverLater();
    this.#turn.holdAnswers();
    this.#resumeStream();
  }

  #pauseStream(): void {
    if (this.#stream !== undefined) attempt(this.#receiver, this.#stream, "pause");
  }

  /** What was just received comes again, first. */
  holdBack(chunk: Buffer): void {
    if (this.#stopped || this.#discards) return;
    this.#held.unshift(chunk);
    this.#heldBytes += chunk.length;
  }

  #resumeStream(): void {
    this.#isFull = false;
    if (this.#stream !== undefined) attempt(this.#receiver, this.#stream, "resume");
  }

  /** Bytes that were read and not delivered. */
  get undelivered(): number {
    return this.#heldBytes + (this.#stream?.readableLength ?? 0);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Whether the stream has come to its end, delivered or not. */
  get hasEnd(): boolean {
    return this.#hasEnd;
  }

  get discards(): boolean {
    return this.#discards;
  }

  /** Another takes over: the stream is left to it, and what is held is dropped. */
  leave(): void {
    this.stop();
    this.#stream?.off("data", this.#onData);
    this.#stream?.off("end", this.#onEnd);
  }

  /** From now on bytes are read and thrown away; only the peer's end counts. */
  discard(): void {
    this.#discards = true;
    this.#drop();
    this.resume();
  }

  /** Nothing is delivered any more. */
  stop(): void {
    this.#stopped = true;
    this.#drop();
  }

  #drop(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#stopped) return;
    this.#turn.bytesCame();
    this.#receiver.wasRead(chunk.length);
    if (this.#discards) return;
    // Behind what is held, or in a turn of its own.
    if (this.#isPaused || this.#deliveryDue || !this.#isDirect) this.#hold(chunk);
    else this.#turn.batch(this.#receiver.received, this.#receiver, ownBytes(chunk));
  };

  #hold(chunk: Uint8Array): void {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#held.push(ownBytes(bytes));
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= READ_QUOTA && !this.#isFull) {
      this.#isFull = true;
      this.#pauseStream();
    }
    if (!this.#isPaused) this.#deliverLater();
  }

  readonly #onEnd = (): void => {
    if (this.#stopped) return;
    this.#hasEnd = true;
    if (this.#isDirect && !this.#isPaused && !this.#deliveryDue) {
      this.#turn.batch(this.#receiver.receivedEnd, this.#receiver, undefined);
      return;
    }
    this.#endHeld = true;
    if (!this.#isPaused) this.#deliverLater();
  };

  #deliverLater(): void {
    if (this.#deliveryDue) return;
    this.#deliveryDue = true;
    this.#turn.defer(() => this.#deliverHeld());
  }

  #deliverHeld(): void {
    this.#deliveryDue = false;
    while (!this.#isPaused) {
      const chunk = this.#held.shift();
      if (chunk === undefined) break;
      this.#heldBytes -= chunk.length;
      this.#receiver.received(chunk);
    }
    if (this.#isPaused || this.#stopped) return;
    if (this.#isFull) this.#resumeStream();
    if (this.#stopped || !this.#endHeld) return;
    this.#endHeld = false;
    this.#receiver.receivedEnd();
  }
}
