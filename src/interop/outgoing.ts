import { State, type StreamPort } from "../core/stream_port.js";
import { brokenPipe } from "./stream_error.js";

/** What a stream hands over in one piece at most: the engine copies what of it the kernel does not take. */
const PIECE_SIZE = 256 * 1024;

/** A piece of a `_writev`. */
export interface Piece {
  chunk: Uint8Array | string;
  encoding: BufferEncoding;
}

type Done = (error?: Error | null) => void;

const NONE: readonly Piece[] = [];

/**
 * The way from a Writable into a connection. What the Writable gives is handed on until the connection has enough, and its
 * callback is called when all of it was taken; the rest stays where it is, uncopied, until `drained`.
 */
export class Outgoing {
  readonly #port: StreamPort;
  #done: Done | undefined;
  #final: Done | undefined;
  /** The pieces under way, and how far they have gone. */
  #pieces = NONE;
  #at = 0;
  #offset = 0;

  constructor(port: StreamPort) {
    this.#port = port;
  }

  write(chunk: Uint8Array | string, encoding: BufferEncoding, done: Done): void {
    const port = this.#port;
    if (port.state === State.open && chunk.length <= PIECE_SIZE) {
      const goOn = typeof chunk === "string" ? port.sendString(chunk, encoding) : port.sendBytes(chunk as Uint8Array);
      if (goOn) done();
      else this.#done = done;
    } else {
      this.writeAll([{ chunk, encoding }], done);
    }
  }

  writeAll(pieces: readonly Piece[], done: Done): void {
    if (this.#port.state === State.closed) {
      done(brokenPipe());
      return;
    }
    this.#pieces = pieces;
    this.#at = 0;
    this.#offset = 0;
    this.#done = done;
    if (this.#port.state !== State.connecting) this.#go();
  }

  /** Ends the sending direction; `done` when all that was sent is with the kernel, and the FIN with it. */
  end(done: Done): void {
    this.#final = done;
    if (this.#port.state !== State.connecting) this.#finish();
  }

  /** Connected, or drained: what waited goes on. */
  proceed(): void {
    if (this.#at < this.#pieces.length) this.#go();
    else if (this.#done !== undefined) this.#complete();
    else if (this.#final !== undefined) this.#finish();
  }

  /** Bytes of the pieces under way that were handed on. */
  get handedOn(): number {
    let sum = this.#offset;
    for (const { chunk, encoding } of this.#pieces.slice(0, this.#at)) sum += sizeOf(chunk, encoding);
    return sum;
  }

  /** Both directions have ended in order: with the FIN everything was sent. */
  ended(): void {
    const final = this.#final;
    if (this.#done !== undefined || final === undefined) return;
    this.#final = undefined;
    final();
  }

  /** The connection has ended: what waits fails. */
  fail(error: Error): void {
    this.#giveUp(error);
  }

  /** The stream was destroyed, and what waits is not heard of as an error: node:net's sockets forget it just so. */
  drop(): void {
    this.#giveUp(null);
  }

  #giveUp(error: Error | null): void {
    const waiting = this.#done ?? this.#final;
    this.#done = this.#final = undefined;
    this.#pieces = NONE;
    waiting?.(error);
  }

  #go(): void {
    const port = this.#port;
    while (this.#at < this.#pieces.length) {
      const { chunk, encoding } = this.#pieces[this.#at] as Piece;
      let goOn: boolean;
      if (chunk.length <= PIECE_SIZE) {
        goOn = typeof chunk === "string" ? port.sendString(chunk, encoding) : port.sendBytes(chunk as Uint8Array);
        this.#at++;
      } else if (typeof chunk === "string") {
        this.#pieces = replaced(this.#pieces, this.#at, Buffer.from(chunk, encoding));
        continue;
      } else {
        goOn = port.sendBytes(chunk.subarray(this.#offset, this.#offset + PIECE_SIZE));
        this.#offset += PIECE_SIZE;
        if (this.#offset >= chunk.length) {
          this.#at++;
          this.#offset = 0;
        }
      }
      // Also where the connection is closing: then `fail` follows instead of `proceed`.
      if (!goOn) return;
    }
    this.#complete();
  }

  #complete(): void {
    const done = this.#done;
    this.#done = undefined;
    this.#pieces = NONE;
    this.#at = 0;
    done?.();
  }

  #finish(): void {
    const port = this.#port;
    port.halfClose();
    if (port.state === State.open && port.outboundSize() > 0) {
      port.awaitFlushed();
      return;
    }
    const final = this.#final as Done;
    this.#final = undefined;
    // In a later tick, as the end of a socket's output is never told inside the call that asked for it.
    process.nextTick(final);
  }
}

function replaced(pieces: readonly Piece[], at: number, chunk: Uint8Array): readonly Piece[] {
  return pieces.map((piece, index) => (index === at ? { chunk, encoding: "utf8" } : piece));
}

function sizeOf(chunk: Uint8Array | string, encoding: BufferEncoding): number {
  return typeof chunk === "string" ? Buffer.byteLength(chunk, encoding) : chunk.length;
}
