import type { Socket } from "node:net";
import type { Turn } from "../node/turn.js";
import { ownBytes } from "./own_bytes.js";

/** Who receives; called in a batch. */
export interface Receiver {
  wasRead(bytes: number): void;
  received(chunk: Buffer): void;
  receivedEnd(): void;
}

/**
 * One connection's way in. A paused node:net socket reads ahead up to its own high-water mark, keeps that to itself and
 * then stops; its `end` comes through a pause, though, and other runtimes let a chunk through as well: both are held
 * here. What is held is delivered first, in a turn after `resume`, and everything else waits behind it.
 */
export class Incoming {
  #socket: Socket | undefined;
  readonly #turn: Turn;
  readonly #receiver: Receiver;
  #held: Buffer[] = [];
  #endHeld = false;
  #isPaused = false;
  #discards = false;
  #stopped = false;
  #deliveryDue = false;

  constructor(turn: Turn, receiver: Receiver) {
    this.#turn = turn;
    this.#receiver = receiver;
  }

  /**
   * Begins reading, unless paused already. `behindDeferred`: what comes is delivered behind the events that are deferred now.
   * `ended`: the socket has told of the peer's end before.
   */
  start(socket: Socket, behindDeferred: boolean, ended = false): void {
    this.#socket = socket;
    if (behindDeferred || ended) this.#deliverLater();
    this.#endHeld = ended;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    if (this.#isPaused) socket.pause();
    else socket.resume();
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket?.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#held.length > 0 || this.#endHeld) this.#deliverLater();
    this.#turn.holdAnswers();
    this.#socket?.resume();
  }

  /** Bytes that were read and not delivered. */
  get undelivered(): number {
    return this.#held.reduce((sum, { length }) => sum + length, this.#socket?.readableLength ?? 0);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Another takes over: the socket is left to it, and what is held is dropped. */
  leave(): void {
    this.stop();
    this.#socket?.off("data", this.#onData);
    this.#socket?.off("end", this.#onEnd);
  }

  get discards(): boolean {
    return this.#discards;
  }

  /** From now on bytes are read and thrown away; only the peer's FIN counts. */
  discard(): void {
    this.#discards = true;
    this.#held = [];
    this.resume();
  }

  /** Nothing is delivered any more. */
  stop(): void {
    this.#stopped = true;
    this.#held = [];
  }

  /** Whether what comes now must wait: for `resume`, or behind what is held. */
  get #mustHold(): boolean {
    return this.#isPaused || this.#deliveryDue;
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#stopped) return;
    this.#turn.bytesCame();
    this.#receiver.wasRead(chunk.length);
    if (this.#discards) return;
    const own = ownBytes(chunk);
    if (this.#mustHold) this.#held.push(own);
    else this.#turn.batch(this.#receiver.received, this.#receiver, own);
  };

  readonly #onEnd = (): void => {
    if (this.#stopped) return;
    if (this.#mustHold) this.#endHeld = true;
    else this.#turn.batch(this.#receiver.receivedEnd, this.#receiver, undefined);
  };

  #deliverLater(): void {
    if (this.#deliveryDue) return;
    this.#deliveryDue = true;
    this.#turn.defer(() => this.#deliverHeld());
  }

  #deliverHeld(): void {
    this.#deliveryDue = false;
    while (!this.#isPaused && !this.#stopped) {
      const chunk = this.#held.shift();
      if (chunk === undefined) break;
      this.#receiver.received(chunk);
    }
    if (this.#isPaused || this.#stopped || !this.#endHeld) return;
    this.#endHeld = false;
    this.#receiver.receivedEnd();
  }
}
