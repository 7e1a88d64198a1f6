import { describe } from "../base/addresses.js";
import { ArgumentError, type LimitError } from "../base/errors.js";
import { type Cutter, ItemReader } from "../base/item_reader.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { LineCodec, type LineOptions } from "./line_codec.js";
import { textOf } from "./line_input.js";

/** How lines are read: the options of `LineText2` that concern lines. */
export type LinesOptions = Omit<LineOptions, "maxBinaryLength">;

const OPTIONS: Names<LinesOptions> = { delimiter: true, maxLineLength: true, encoding: true };

/**
 * `for await (const line of lines(connection))`: the lines of a connection, or of any async iterable of bytes (a Node
 * stream, a web stream), without their delimiters. What stands after the last delimiter when the source ends is the last
 * line. Leaving the loop early leaves the source's loop: a connection then closes after writing.
 *
 * Throws ArgumentError for bad options; the loop throws LimitError `ERR_EM_LINE_TOO_LONG` for a line over `maxLineLength`,
 * and what the source fails with.
 */
export function lines(
  source: AsyncIterable<Uint8Array>,
  options: LinesOptions = {},
): AsyncGenerator<string, undefined, undefined> {
  checkSource(source);
  checkOptions(options, OPTIONS);
  return new ItemReader(source, new LineCutter(options));
}

class LineCutter implements Cutter<Uint8Array, string> {
  readonly #codec: LineCodec;
  readonly #options: LinesOptions;
  #lines: string[] = [];
  /** Lines that were taken. */
  #taken = 0;
  #tooLong: LimitError | undefined;

  constructor(options: LinesOptions) {
    this.#options = options;
    this.#codec = new LineCodec(
      {
        line: (text) => this.#lines.push(text),
        binaryData: () => {},
        endOfBinaryData: () => {},
        lineTooLong: (error) => {
          this.#tooLong = error;
          this.#codec.stop();
        },
      },
      options,
    );
  }

  feed(chunk: Uint8Array): void {
    this.#codec.feed(chunk);
  }

  next(): string | undefined {
    if (this.#taken < this.#lines.length) return this.#lines[this.#taken++];
    if (this.#taken > 0) {
      this.#lines = [];
      this.#taken = 0;
    }
    if (this.#tooLong !== undefined) throw this.#tooLong;
    return undefined;
  }

  rest(): string | undefined {
    const rest = this.#codec.unfinished();
    return rest.length > 0 ? textOf(rest, 0, rest.length, this.#options.encoding ?? "utf8") : undefined;
  }
}

export function checkSource(source: unknown): void {
  const iterable = typeof source === "object" && source !== null && Symbol.asyncIterator in source;
  if (!iterable) {
    throw new ArgumentError(`source must be a Connection or an async iterable of bytes, not ${describe(source)}`);
  }
}
