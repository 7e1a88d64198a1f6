import { describe } from "../base/addresses.js";
import { ArgumentError } from "../base/errors.js";
import { MAX_DELIMITER_LENGTH } from "../base/limits.js";
import { type LineInput, textOf } from "./line_input.js";

/**
 * Finds where a line ends. What is searched is what the codec holds of the line followed by the unread part of the input;
 * the part held has been searched before, without success.
 */
export interface Delimiter {
  /** How many bytes at the end of what was searched may yet turn out to begin a delimiter. */
  readonly reach: number;
  /** A carriage return before the delimiter belongs to it. */
  readonly takesReturn: boolean;
  /** Where the delimiter that was found begins and ends, counted from the first byte held. */
  start: number;
  end: number;
  find(held: Buffer, heldLength: number, input: LineInput): boolean;
}

/** What a line can end with: text, bytes, or a regular expression. */
export type DelimiterPattern = string | Uint8Array | RegExp;

/** Checks a delimiter and makes its finder. Text is turned into bytes by `encoding`. */
export function makeDelimiter(pattern: DelimiterPattern, encoding: BufferEncoding): Delimiter {
  if (pattern instanceof RegExp) {
    if (new RegExp(pattern.source, pattern.flags).test("")) {
      throw new ArgumentError(`delimiter must not match the empty string, as ${String(pattern)} does`);
    }
    return new PatternDelimiter(pattern);
  }
  if (typeof pattern !== "string" && !(pattern instanceof Uint8Array)) {
    throw new ArgumentError(`delimiter must be a string, bytes or a regular expression, not ${describe(pattern)}`);
  }
  const bytes = typeof pattern === "string" ? Buffer.from(pattern, encoding) : Buffer.from(pattern);
  if (bytes.length === 0 || bytes.length > MAX_DELIMITER_LENGTH) {
    throw new ArgumentError(`delimiter must have 1 to ${MAX_DELIMITER_LENGTH} bytes, not ${bytes.length}`);
  }
  return bytes.length === 1 ? new ByteDelimiter(bytes[0]!) : new BytesDelimiter(bytes);
}

class ByteDelimiter implements Delimiter {
  readonly reach = 0;
  readonly takesReturn: boolean;
  start = 0;
  end = 0;
  readonly #byte: number;

  constructor(byte: number) {
    this.#byte = byte;
    this.takesReturn = byte === 10;
  }

  find(_held: Buffer, heldLength: number, input: LineInput): boolean {
    const at = input.bytes.indexOf(this.#byte, input.position);
    if (at === -1) return false;
    this.start = heldLength + at - input.position;
    this.end = this.start + 1;
    return true;
  }
}

class BytesDelimiter implements Delimiter {
  readonly reach: number;
  readonly takesReturn = false;
  start = 0;
  end = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.reach = bytes.length - 1;
  }

  find(held: Buffer, heldLength: number, input: LineInput): boolean {
    const { bytes, position } = input;
    let start = -1;
    if (heldLength > 0) {
      // One that begins in what is held: it ends within `reach` bytes of the input.
      const from = Math.max(0, heldLength - this.reach);
      const seam = Buffer.concat([held.subarray(from, heldLength), bytes.subarray(position, position + this.reach)]);
      const at = seam.indexOf(this.#bytes);
      if (at !== -1) start = from + at;
    }
    if (start === -1) {
      const at = bytes.indexOf(this.#bytes, position);
      if (at === -1) return false;
      start = heldLength + at - position;
    }
    this.start = start;
    this.end = start + this.#bytes.length;
    return true;
  }
}

/** How much is searched at first; doubled as long as nothing is found. */
const FIRST_STRETCH = 64;

/**
 * A regular expression ends a line at the first byte that completes a match: what a reader of single bytes would find. So
 * the lines do not depend on the pieces in which the network delivers them, and a match is never held back for more to
 * come. It also means that the shortest match counts: /[;,]+/ takes one character of a run.
 *
 * The search asks in growing stretches whether they hold a match, and then by halves how short one may be that still
 * does: so its time is linear, also where the expression could match very much.
 */
class PatternDelimiter implements Delimiter {
  readonly reach = MAX_DELIMITER_LENGTH - 1;
  readonly takesReturn = false;
  start = 0;
  end = 0;
  readonly #pattern: RegExp;

  constructor(pattern: RegExp) {
    this.#pattern = new RegExp(pattern.source, `${pattern.flags.replace(/[gyd]/g, "")}g`);
  }

  find(held: Buffer, heldLength: number, input: LineInput): boolean {
    // Bytes are read as characters one by one (latin1), so that places in the text are places in the bytes.
    const kept = Math.min(heldLength, this.reach);
    const text =
      kept === 0
        ? input.text
        : textOf(held, heldLength - kept, heldLength, "latin1") + input.text.slice(input.position);
    const first = kept === 0 ? input.position : 0;
    /** Up to here there is no match. */
    let without = first + kept;
    let from = first;
    for (let stretch = FIRST_STRETCH; without < text.length; stretch *= 2) {
      let shortest = Math.min(text.length, without + stretch);
      let match = this.#matchIn(text, from, shortest);
      if (match === null) {
        without = shortest;
        from = Math.max(first, without - this.reach);
        continue;
      }
      from = match.index;
      shortest = match.index + match[0].length;
      // Mostly a match cannot be shorter, which the first question answers.
      for (let tried = shortest - 1; tried > without; tried = (without + shortest) >> 1) {
        const shorter = this.#matchIn(text, from, tried);
        if (shorter === null) {
          without = tried;
        } else {
          match = shorter;
          shortest = shorter.index + shorter[0].length;
        }
      }
      this.start = heldLength - kept + match.index - first;
      this.end = this.start + match[0].length;
      return true;
    }
    return false;
  }

  /** The first match that is not empty, if any, in `text` from `from` to `end`. */
  #matchIn(text: string, from: number, end: number): RegExpExecArray | null {
    const pattern = this.#pattern;
    const stretch = end === text.length ? text : text.slice(0, end);
    pattern.lastIndex = from;
    for (;;) {
      const match = pattern.exec(stretch);
      if (match === null || match[0] !== "") return match;
      pattern.lastIndex++;
    }
  }
}
