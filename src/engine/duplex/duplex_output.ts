import type { Duplex } from "node:stream";
import { FileRange } from "../node/file_range.js";
import { asError, type Failing, guardWrites } from "../node/throwing_streams.js";
import type { Turn } from "../node/turn.js";
import { OutputPieces } from "./output_pieces.js";

export interface OutputOwner extends Failing {
  /** So many bytes, file bytes apart, have been taken by what the stream writes to. */
  wrote(bytes: number): void;
  fileSent(): void;
  /** A file ended before the end of its range. */
  fileTruncated(): void;
}

/** The way out through a Node stream: bytes and ranges of files, in their order, and the end behind them. */
export class DuplexOutput {
  readonly #duplex: Duplex;
  readonly #owner: OutputOwner;
  readonly #turn: Turn;
  #queue = new OutputPieces();
  #flushDue = false;
  #isReading = false;
  #ends = false;
  #stopped = false;
  /** Bytes that the stream has not reported as written, file bytes apart. */
  unsent = 0;

  constructor(duplex: Duplex, owner: OutputOwner, turn: Turn) {
    this.#duplex = duplex;
    this.#owner = owner;
    this.#turn = turn;
    guardWrites(duplex);
  }

  /** Copies bytes in; they leave with the turn. */
  write(data: Uint8Array): void {
    this.#queue.append(data);
    this.unsent += data.length;
    this.#turn.unsent += data.length;
    this.#flushLater();
  }

  sendFile(range: FileRange): void {
    this.#queue.appendFile(range);
    this.#flushLater();
  }

  /** Ends the stream's output behind what is queued. */
  end(): void {
    this.#ends = true;
    this.#flushLater();
  }

  get hasEnded(): boolean {
    return this.#ends;
  }

  stop(): void {
    this.#stopped = true;
    this.#queue = new OutputPieces();
    this.#turn.unsent -= this.unsent;
  }

  #flushLater(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#turn.flushLater(this);
  }

  /** Gives the stream what is queued, as far as no file has to be read first. */
  flush(): void {
    this.#flushDue = false;
    if (this.#isReading || this.#stopped) return;
    this.#attempt(() => {
      this.#duplex.cork();
      while (!this.#isReading) {
        const head = this.#queue.shift();
        if (head === undefined) break;
        if (head instanceof FileRange) this.#readFile(head);
        else this.#duplex.write(head, (error) => this.#written(head.length, error));
      }
      this.#duplex.uncork();
      if (this.#ends && this.#queue.isEmpty && !this.#isReading && !this.#duplex.writableEnded) this.#duplex.end();
    });
  }

  #attempt(action: () => unknown): void {
    try {
      action();
    } catch (error) {
      this.#owner.failed(asError(error));
    }
  }

  #written(bytes: number, error: Error | null | undefined): void {
    // A failure is told by the stream's own error event.
    if (error || this.#stopped) return;
    this.unsent -= bytes;
    this.#turn.unsent -= bytes;
    this.#owner.wrote(bytes);
  }

  #pieceWritten(file: FileRange, error: Error | null | undefined): void {
    if (error || this.#stopped) return;
    this.#owner.wrote(0);
    if (!file.isDone) {
      this.#readFile(file);
      return;
    }
    this.#isReading = false;
    this.#owner.fileSent();
    this.#flushLater();
  }

  /** One piece at a time is in memory; the next is read when the stream has written it. */
  #readFile(file: FileRange): void {
    this.#isReading = true;
    file.read((piece) => {
      if (this.#stopped) return;
      if (piece === "truncated") this.#owner.fileTruncated();
      else if (piece instanceof Error) this.#owner.failed(piece);
      else {
        // A copy: a stream may keep what it was given, and the range reads its next piece over this one.
        const copy = Buffer.from(piece);
        this.#attempt(() => this.#duplex.write(copy, (error) => this.#pieceWritten(file, error)));
      }
    });
  }
}
