import { closeSync, constants, fstatSync, openSync, read } from "node:fs";
import type { LimitError } from "../base/errors.js";
import type { SystemError } from "../base/system_error.js";
import { FileState } from "../watch/file_state.js";
import { systemError } from "../watch/node_watcher.js";
import { LineCodec, type LineOptions } from "./line_codec.js";
import { textOf } from "./line_input.js";

/** How much is read at a time. */
const PIECE = 64 * 1024;

/** Who is told of what is in a file. */
export interface TailReader {
  readonly isPaused: boolean;
  /** Runs in a turn of the reactor's, unless the tail has ended. */
  later(event: () => void): void;
  line(text: string, file: TailedFile): void;
  tooLong(error: LimitError): void;
  failed(error: SystemError, file: TailedFile): void;
  /** Everything that is in it now has been delivered. */
  atEnd(file: TailedFile): void;
}

/** An open file that is read as it grows, in lines. */
export class TailedFile {
  path: string;
  readonly identity: string;
  readonly #fd: number;
  readonly #reader: TailReader;
  readonly #codec: LineCodec;
  readonly #encoding: LineOptions["encoding"];
  #offset: number;
  #isReading = false;
  /** What was read is yet to be delivered. */
  #isDue = false;
  #isAsked = false;
  #isClosed = false;

  /** Opens it, to be read from where `begin` says of the file that was opened; throws SystemError. */
  constructor(path: string, begin: (state: FileState) => number, options: LineOptions, reader: TailReader) {
    this.path = path;
    this.#reader = reader;
    this.#encoding = options.encoding;
    this.#codec = new LineCodec(
      {
        line: (text) => reader.line(text, this),
        binaryData() {},
        endOfBinaryData() {},
        lineTooLong: (error) => reader.tooLong(error),
      },
      options,
    );
    try {
      this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw systemError(error, path);
    }
    const state = new FileState(fstatSync(this.#fd, { bigint: true }));
    this.identity = state.identity;
    this.#offset = begin(state);
  }

  /** Behind the last line that was delivered. */
  get position(): number {
    return this.#offset - this.#codec.heldBytes;
  }

  /** There may be more. */
  poke(): void {
    this.#isAsked = true;
    if (this.#isReading || this.#isDue || this.#isClosed || this.#reader.isPaused) return;
    this.#isAsked = false;
    this.#isReading = true;
    const piece = Buffer.allocUnsafe(PIECE);
    read(this.#fd, piece, 0, PIECE, this.#offset, (error, count) => {
      this.#isReading = false;
      if (this.#isClosed) {
        closeSync(this.#fd);
        return;
      }
      this.#isDue = true;
      this.#reader.later(() => this.#read(error, piece.subarray(0, count)));
    });
  }

  /** Nothing is delivered any more while the reader is paused, also of what was read. */
  stop(): void {
    this.#codec.stop();
  }

  resume(): void {
    this.#codec.resume();
    this.poke();
  }

  #read(error: Error | null, piece: Buffer): void {
    this.#isDue = false;
    if (this.#isClosed) return;
    if (error !== null) {
      this.#reader.failed(systemError(error, this.path), this);
      return;
    }
    if (piece.length > 0) {
      this.#offset += piece.length;
      this.#codec.feed(piece);
      this.poke();
      return;
    }
    if (fstatSync(this.#fd).size < this.#offset) {
      // Somebody has cut it off and writes it anew.
      this.#offset = 0;
      this.#codec.reset();
      if (this.#reader.isPaused) this.#codec.stop();
      this.poke();
      return;
    }
    if (this.#isAsked) this.poke();
    else this.#reader.atEnd(this);
  }

  /** There will be no more: what has come of a last line is one. */
  finish(): void {
    const rest = this.#codec.unfinished();
    this.#codec.reset();
    if (rest.length > 0) this.#reader.line(textOf(rest, 0, rest.length, this.#encoding ?? "utf8"), this);
    this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isReading) closeSync(this.#fd);
  }
}
