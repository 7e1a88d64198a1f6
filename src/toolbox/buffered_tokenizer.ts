import { checkCount } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError, LimitError } from "../base/errors.js";
import { type Cutter, ItemReader } from "../base/item_reader.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { MAX_TOKEN_LENGTH } from "../base/limits.js";

/** How `BufferedTokenizer` cuts. */
export interface TokenizerOptions {
  /** What stands between tokens. Default a newline. */
  delimiter?: string;
  /** The longest token, in characters. Default 65,536. */
  limit?: number;
}

const OPTIONS: Names<TokenizerOptions> = { delimiter: true, limit: true };

/**
 * Cuts text that comes in pieces into tokens. How the text was cut up makes no difference, be it within a delimiter.
 * (EventMachine's BufferedTokenizer, with a limit. For bytes from a connection there is LineText2.)
 */
export class BufferedTokenizer {
  readonly #delimiter: string;
  readonly #limit: number;
  /** The token that has begun, in the pieces it came in. */
  #pieces: string[] = [];
  #length = 0;
  /** The end of it that may be the beginning of a delimiter. */
  #tail = "";
  #error: LimitError | undefined;

  constructor(options: TokenizerOptions = {}) {
    checkOptions(options, OPTIONS);
    const { delimiter = "\n", limit = MAX_TOKEN_LENGTH } = options;
    if (typeof delimiter !== "string" || delimiter === "") {
      throw new ArgumentError(`delimiter must be a string that is not empty, not ${describe(delimiter)}`);
    }
    this.#delimiter = delimiter;
    this.#limit = checkCount(limit, "limit", 1);
  }

  /** Characters of the token that has begun. */
  get size(): number {
    return this.#length;
  }

  /**
   * Takes text, and returns the tokens it completes. A token over the limit is `ERR_EM_TOKEN_TOO_LONG`: tokens before it are
   * returned first, then every call throws until `flush`.
   *
   * ```ts
   * const tokenizer = new BufferedTokenizer({ delimiter: ";" });
   * console.log(tokenizer.extract("one;tw")); // ["one"]
   * console.log(tokenizer.extract("o;")); // ["two"]
   * ```
   */
  extract(text: string): string[] {
    if (typeof text !== "string") throw new ArgumentError(`text must be a string, not ${describe(text)}`);
    if (this.#error !== undefined) throw this.#error;
    const probe = this.#tail + text;
    const found = probe.indexOf(this.#delimiter);
    if (found === -1) {
      this.#keep(text, probe);
      return this.#checked([]);
    }
    const whole = this.#pieces.join("") + text;
    const tokens: string[] = [];
    let start = 0;
    // The delimiter may have begun in an earlier piece.
    let end = this.#length - this.#tail.length + found;
    this.#forget();
    for (; end !== -1; end = whole.indexOf(this.#delimiter, start)) {
      if (end - start > this.#limit) return this.#tooLong(tokens);
      tokens.push(whole.slice(start, end));
      start = end + this.#delimiter.length;
    }
    const rest = whole.slice(start);
    this.#keep(rest, rest);
    return this.#checked(tokens);
  }

  /**
   * Returns what is left, a token without its delimiter, and begins anew. Throws `ERR_EM_TOKEN_TOO_LONG` where that is due,
   * and begins anew then, too.
   */
  flush(): string {
    const rest = this.#pieces.join("");
    const error = this.#error ?? (rest.length > this.#limit ? this.#limitError() : undefined);
    this.#forget();
    this.#error = undefined;
    if (error !== undefined) throw error;
    return rest;
  }

  /**
   * `for await (const token of tokenizer.tokens(source))`: the tokens of text that comes in pieces, an async iterable or an
   * iterable of strings. What stands after the last delimiter when the source ends is the last token, unless it is empty.
   * The loop throws `ERR_EM_TOKEN_TOO_LONG` after the tokens before it, and what the source fails with; leaving it early
   * leaves the source's loop. For the bytes of a connection there is `lines`. Throws ArgumentError for what is no source.
   */
  tokens(source: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string, undefined, undefined> {
    const isIterable =
      typeof source === "object" && source !== null && (Symbol.asyncIterator in source || Symbol.iterator in source);
    if (!isIterable) throw new ArgumentError(`source must be an iterable of strings, not ${describe(source)}`);
    return new ItemReader(source, new TokenCutter(this));
  }

  #keep(text: string, probe: string): void {
    if (text === "") return;
    this.#pieces.push(text);
    this.#length += text.length;
    this.#tail = this.#delimiter.length === 1 ? "" : probe.slice(1 - this.#delimiter.length);
  }

  #forget(): void {
    this.#pieces = [];
    this.#length = 0;
    this.#tail = "";
  }

  /** The end of the unfinished token may be the beginning of a delimiter: so much more is let pass for now. */
  #checked(tokens: string[]): string[] {
    if (this.#length <= this.#limit + this.#delimiter.length - 1) return tokens;
    return this.#tooLong(tokens);
  }

  #tooLong(tokens: string[]): string[] {
    this.#forget();
    this.#error = this.#limitError();
    if (tokens.length === 0) throw this.#error;
    return tokens;
  }

  #limitError(): LimitError {
    const message = `a token is longer than ${this.#limit} characters`;
    return new LimitError("ERR_EM_TOKEN_TOO_LONG", message, this.#limit);
  }
}

class TokenCutter implements Cutter<string, string> {
  readonly #tokenizer: BufferedTokenizer;
  #tokens: string[] = [];
  #taken = 0;

  constructor(tokenizer: BufferedTokenizer) {
    this.#tokenizer = tokenizer;
  }

  feed(text: string): void {
    this.#tokens = this.#tokenizer.extract(text);
    this.#taken = 0;
  }

  next(): string | undefined {
    return this.#taken < this.#tokens.length ? this.#tokens[this.#taken++] : undefined;
  }

  rest(): string | undefined {
    const rest = this.#tokenizer.flush();
    return rest === "" ? undefined : rest;
  }
}
