import { constants } from "node:buffer";
import { describe } from "../base/addresses.js";
import { checkInteger } from "../base/checks.js";
import { markPeer } from "../base/error_marks.js";
import { ArgumentError, LimitError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { MAX_BINARY_LENGTH, MAX_LINE_LENGTH } from "../base/limits.js";
import { type Delimiter, type DelimiterPattern, makeDelimiter } from "./line_delimiter.js";
import { type LineEncoding, LineInput, textOf } from "./line_input.js";

/** What a codec found, in the order of the bytes. The methods are called from within `feed` and the setters. */
export interface LineEvents {
  /** A line, without its delimiter. */
  line(text: string): void;
  /** Binary data: a whole sized block, or without a size whatever has come in. The bytes are the receiver's. */
  binaryData(data: Buffer): void;
  /** A sized block is complete, and was given; what follows is lines, unless a callback has set a mode. */
  endOfBinaryData(): void;
  /** A line passed the limit (`ERR_EM_LINE_TOO_LONG`). It is dropped up to its delimiter; reading goes on after it. */
  lineTooLong(error: LimitError): void;
}

/** How lines are cut, and how long they may be. */
export interface LineOptions {
  /**
   * What ends a line; default "\n", with which a carriage return before it is removed too. A line ends at the first byte
   * that completes the delimiter: a regular expression is matched against bytes, one character each, as soon and as short
   * as it can be (/[;,]+/ takes a single character of a run), however the network cut the data. Its matches may have
   * up to 256 bytes, empty ones are passed over, and anchors and lookaround mean nothing in a stream.
   */
  delimiter?: DelimiterPattern;
  /** The longest line in bytes, without its delimiter; default 64 KiB. */
  maxLineLength?: number;
  /** The longest sized binary block in bytes; default 32 MiB. */
  maxBinaryLength?: number;
  /** How lines become text; default utf8. */
  encoding?: LineEncoding;
}

const OPTIONS: Names<LineOptions> = {
  delimiter: true,
  maxLineLength: true,
  maxBinaryLength: true,
  encoding: true,
};

/** The mode of lines, and the mode of binary data without a size; every other mode is the size of a block. */
const LINES = -1;
const UNSIZED = Number.POSITIVE_INFINITY;

const NOTHING = Buffer.alloc(0);

/**
 * Reads lines with binary data between them from a stream of bytes that comes in any pieces; it knows no sockets. The
 * events are the same for every way to cut the same bytes, and the time is linear in their number.
 *
 * Setting the delimiter or the mode, also from within a callback, counts for the very next byte that has not been
 * delivered: what is held of a line or block not yet complete is read anew.
 *
 * It keeps no more than the limit allows and what it was given while stopped. What it is fed it copies as far as it has to
 * keep it, so the caller may reuse the memory. When a callback throws, the error comes through, and what follows is read
 * at the next `feed` or `resume`.
 */
export class LineCodec {
  readonly #events: LineEvents;
  readonly #encoding: LineEncoding;
  #delimiter: Delimiter;
  #maxLineLength: number;
  #maxBinaryLength: number;
  #mode = LINES;
  /** The line under way is too long and being dropped; of it only as much is held as may begin its delimiter. */
  #dropping = false;
  #stopped = false;
  #reading = false;
  /** The part of a line or block whose end has not come: `#heldLength` bytes at the start of a buffer with room to grow. */
  #held: Buffer = NOTHING;
  #heldLength = 0;
  #input: LineInput | undefined;

  constructor(events: LineEvents, options: LineOptions = {}) {
    checkOptions(options, OPTIONS);
    const { delimiter = "\n", maxLineLength = MAX_LINE_LENGTH, maxBinaryLength = MAX_BINARY_LENGTH } = options;
    const { encoding = "utf8" } = options;
    if (encoding !== "utf8" && encoding !== "latin1") {
      throw new ArgumentError(`encoding must be "utf8" or "latin1", not ${describe(encoding)}`);
    }
    this.#events = events;
    this.#encoding = encoding;
    this.#delimiter = makeDelimiter(delimiter, encoding);
    this.#maxLineLength = checkInteger(maxLineLength, "maxLineLength", 1, constants.MAX_STRING_LENGTH);
    this.#maxBinaryLength = checkInteger(maxBinaryLength, "maxBinaryLength", 1, constants.MAX_LENGTH);
  }

  /** The longest line in bytes. A new limit counts from the next byte. Throws ArgumentError. */
  get maxLineLength(): number {
    return this.#maxLineLength;
  }
  set maxLineLength(bytes: number) {
    this.#maxLineLength = checkInteger(bytes, "maxLineLength", 1, constants.MAX_STRING_LENGTH);
  }

  /** The longest block `setBinaryMode` takes, in bytes. Throws ArgumentError. */
  get maxBinaryLength(): number {
    return this.#maxBinaryLength;
  }
  set maxBinaryLength(bytes: number) {
    this.#maxBinaryLength = checkInteger(bytes, "maxBinaryLength", 1, constants.MAX_LENGTH);
  }

  /** Sets what ends a line; see LineOptions. Throws ArgumentError for an empty one, and for more than 256 bytes. */
  setDelimiter(delimiter: DelimiterPattern): void {
    this.#delimiter = makeDelimiter(delimiter, this.#encoding);
    this.#takeBack();
    this.#read();
  }

  /** Reads lines from here on. `thrownBack` is read first, before all that has come in and was not delivered. */
  setLineMode(thrownBack: Uint8Array | string = NOTHING): void {
    if (typeof thrownBack !== "string" && !(thrownBack instanceof Uint8Array)) {
      throw new ArgumentError(`thrownBack must be bytes or a string, not ${describe(thrownBack)}`);
    }
    this.#setMode(LINES);
    if (thrownBack.length > 0) {
      const bytes = typeof thrownBack === "string" ? Buffer.from(thrownBack, this.#encoding) : Buffer.from(thrownBack);
      this.#putFirst(bytes);
    }
    this.#read();
  }

  /**
   * Reads `size` bytes as one block and then lines again, or without a size whatever comes, until the mode is set anew. A
   * size of 0 is line mode: no block is delivered.
   *
   * Throws ArgumentError for no size, and LimitError `ERR_EM_BINARY_TOO_LONG` for more than `maxBinaryLength`.
   */
  setBinaryMode(size?: number): void {
    if (size !== undefined && (!Number.isInteger(size) || size < 0)) {
      throw new ArgumentError(`size must be a whole number of bytes, not ${describe(size)}`);
    }
    if (size !== undefined && size > this.#maxBinaryLength) {
      const limit = this.#maxBinaryLength;
      const message = `a block of ${size} bytes passes the limit of ${limit}`;
      throw markPeer(new LimitError("ERR_EM_BINARY_TOO_LONG", message, limit));
    }
    this.#setMode(size === undefined ? UNSIZED : size === 0 ? LINES : size);
    this.#read();
  }

  /** Another name of `setBinaryMode`. */
  setTextMode(size?: number): void {
    this.setBinaryMode(size);
  }

  /** Reads the chunk and calls the events for what it completes. */
  feed(chunk: Uint8Array): void {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const input = new LineInput(bytes, true);
    let last = this.#input;
    if (last === undefined) {
      this.#input = input;
    } else {
      while (last.next !== undefined) last = last.next;
      last.next = input;
    }
    if (this.#reading) input.keep();
    else this.#read();
  }

  /** No event follows the one under way until `resume`; what is fed meanwhile is kept. */
  stop(): void {
    this.#stopped = true;
  }

  /** Goes on after `stop`, or after a callback that threw. */
  resume(): void {
    this.#stopped = false;
    this.#read();
  }

  /** Whether there is input that was not read because of `stop` or a throw. */
  get isBehind(): boolean {
    return this.#input !== undefined;
  }

  /** Forgets all input, and begins anew with lines; delimiter and limits stay. */
  reset(): void {
    this.#setMode(LINES);
    this.#input = undefined;
    this.#stopped = false;
  }

  /** How many bytes are kept because they are not delivered yet. */
  get heldBytes(): number {
    let count = this.#heldLength;
    for (let input = this.#input; input !== undefined; input = input.next) count += input.unread;
    return count;
  }

  /** A copy of the bytes that are kept: what has come of a line or block not yet complete, and what was not read. */
  unfinished(): Buffer {
    const parts = [this.#held.subarray(0, this.#heldLength)];
    for (let input = this.#input; input !== undefined; input = input.next) {
      parts.push(input.bytes.subarray(input.position));
    }
    return Buffer.concat(parts);
  }

  /** A copy of what has come of a sized block not yet complete; empty in every other case. */
  unfinishedBlock(): Buffer {
    return this.#mode === LINES ? NOTHING : Buffer.from(this.#held.subarray(0, this.#heldLength));
  }

  #setMode(mode: number): void {
    if (this.#dropping) {
      this.#dropping = false;
      this.#letGo();
    }
    this.#takeBack();
    this.#mode = mode;
  }

  /** Makes what is held input again. */
  #takeBack(): void {
    const length = this.#heldLength;
    if (length === 0) return;
    const held = this.#held;
    this.#letGo();
    this.#putFirst(held.subarray(0, length));
  }

  #putFirst(bytes: Buffer): void {
    const input = new LineInput(bytes, false);
    input.next = this.#input;
    this.#input = input;
  }

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    try {
      for (let input = this.#input; input !== undefined && !this.#stopped; input = this.#input) {
        if (input.unread === 0) this.#input = input.next;
        else if (this.#mode === LINES) this.#readLine(input);
        else this.#readBinary(input, this.#mode);
      }
    } finally {
      this.#reading = false;
      for (let input = this.#input; input !== undefined; input = input.next) input.keep();
      while (this.#input?.unread === 0) this.#input = this.#input.next;
    }
  }

  #readLine(input: LineInput): void {
    const delimiter = this.#delimiter;
    const held = this.#heldLength;
    if (!delimiter.find(this.#held, held, input)) {
      this.#holdLine(input);
      return;
    }
    const { bytes, position } = input;
    let length = delimiter.start;
    input.position = position + delimiter.end - held;
    if (this.#dropping) {
      this.#dropping = false;
      this.#letGo();
      return;
    }
    if (delimiter.takesReturn && length > 0) {
      const before = length > held ? bytes[position + length - held - 1] : this.#held[length - 1];
      if (before === 13) length--;
    }
    if (length > this.#maxLineLength) {
      this.#letGo();
      this.#events.lineTooLong(lineTooLong(this.#maxLineLength));
    } else if (held === 0) {
      this.#events.line(textOf(bytes, position, position + length, this.#encoding));
    } else {
      if (length > held) this.#hold(bytes, position, position + length - held, length);
      const line = textOf(this.#held, 0, length, this.#encoding);
      this.#letGo();
      this.#events.line(line);
    }
  }

  /** The input ends before the line does. */
  #holdLine(input: LineInput): void {
    const { bytes, position } = input;
    const { reach, takesReturn } = this.#delimiter;
    // Without a delimiter in this many bytes the line is too long wherever it will end.
    const bound = this.#maxLineLength + (takesReturn ? 1 : reach);
    const tooLong = !this.#dropping && this.#heldLength + input.unread > bound;
    input.position = bytes.length;
    if (tooLong || this.#dropping) {
      this.#dropping = true;
      this.#holdTail(bytes, position, reach);
      if (tooLong) this.#events.lineTooLong(lineTooLong(this.#maxLineLength));
    } else {
      this.#hold(bytes, position, bytes.length, bound);
    }
  }

  /** Of a line that is dropped, its last `reach` bytes are held, or a few more. */
  #holdTail(bytes: Buffer, from: number, reach: number): void {
    this.#hold(bytes, Math.max(from, bytes.length - reach), bytes.length, 2 * reach);
    if (this.#heldLength <= 2 * reach) return;
    const tail = Buffer.from(this.#held.subarray(this.#heldLength - reach, this.#heldLength));
    this.#held = tail;
    this.#heldLength = tail.length;
  }

  #readBinary(input: LineInput, size: number): void {
    const { bytes, position } = input;
    if (size === UNSIZED) {
      input.position = bytes.length;
      this.#events.binaryData(Buffer.from(bytes.subarray(position)));
      return;
    }
    const end = Math.min(bytes.length, position + size - this.#heldLength);
    input.position = end;
    if (this.#heldLength + end - position < size) {
      this.#hold(bytes, position, end, size);
      return;
    }
    let block: Buffer;
    if (this.#heldLength === 0) {
      block = Buffer.from(bytes.subarray(position, end));
    } else {
      this.#hold(bytes, position, end, size);
      block = this.#held.subarray(0, size);
      this.#letGo();
    }
    this.#mode = LINES;
    try {
      this.#events.binaryData(block);
    } finally {
      this.#events.endOfBinaryData();
    }
  }

  /** Copies bytes after those held. The room doubles as it is needed, up to `most`. */
  #hold(bytes: Buffer, from: number, to: number, most: number): void {
    const length = this.#heldLength + to - from;
    if (length > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, Math.min(2 * this.#held.length, most)));
      this.#held.copy(grown, 0, 0, this.#heldLength);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldLength, from, to);
    this.#heldLength = length;
  }

  #letGo(): void {
    this.#held = NOTHING;
    this.#heldLength = 0;
  }
}

function lineTooLong(limit: number): LimitError {
  return markPeer(new LimitError("ERR_EM_LINE_TOO_LONG", `a line passes the limit of ${limit} bytes`, limit));
}
