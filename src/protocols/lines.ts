import { describe } from "../base/addresses.js";
import { ArgumentError, type LimitError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { LineCodec, type LineOptions } from "./line_codec.js";
import { textOf } from "./line_input.js";

/** How lines are read: the options of `LineText2` that concern lines. */
export type LinesOptions = Omit<LineOptions, "maxBinaryLength">;

const OPTIONS: Names<LinesOptions> = { delimiter: true, maxLineLength: true, encoding: true };

/**
 * `for await (const line of lines(connection))`: the lines of a connection, or of any async iterable of bytes (a Node
 * stream, a web stream), without their delimiters. What stands behind the last delimiter when the source ends is the last
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
  const found: string[] = [];
  let tooLong: LimitError | undefined;
  const codec = new LineCodec(
    {
      line: (text) => found.push(text),
      binaryData: () => {},
      endOfBinaryData: () => {},
      lineTooLong: (error) => {
        tooLong = error;
        codec.stop();
      },
    },
    options,
  );
  return read();

  async function* read(): AsyncGenerator<string, undefined, undefined> {
    for await (const chunk of source) {
      codec.feed(chunk);
      yield* found;
      found.length = 0;
      if (tooLong !== undefined) throw tooLong;
    }
    const rest = codec.unfinished();
    if (rest.length > 0) yield textOf(rest, 0, rest.length, options.encoding ?? "utf8");
    return undefined;
  }
}

export function checkSource(source: unknown): void {
  const iterable = typeof source === "object" && source !== null && Symbol.asyncIterator in source;
  if (!iterable) {
    throw new ArgumentError(`source must be a Connection or an async iterable of bytes, not ${describe(source)}`);
  }
}
