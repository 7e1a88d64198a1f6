import { ArgumentError } from "../base/errors.js";

/** One piece of a word: plain characters, in single quotes, in double quotes, or one character behind a backslash. */
const PIECE = /([^\s\\'"]+)|'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S]?)/y;
const SPACE = /\s+/y;
/** What a backslash quotes between double quotes; before anything else it is itself. */
const ESCAPED = /\\([$`"\\\n])/g;

/**
 * Splits a command as a shell splits words, and does nothing else that a shell does: no variables, no patterns, no pipes. (Ruby's
 * Shellwords.)
 */
export function shellWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; ) {
    SPACE.lastIndex = at;
    if (SPACE.test(line)) {
      at = SPACE.lastIndex;
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    PIECE.lastIndex = at;
    const piece = PIECE.exec(line);
    if (piece === null) throw new ArgumentError(`command has a quote that is never closed: ${JSON.stringify(line)}`);
    const [, plain, single, double, escaped] = piece;
    // A backslash before a newline continues the line.
    const behindBackslash = escaped === "\n" ? "" : escaped;
    word = (word ?? "") + (plain ?? single ?? double?.replace(ESCAPED, unquote) ?? behindBackslash ?? "");
    at = PIECE.lastIndex;
  }
  if (word !== undefined) words.push(word);
  return words;
}

function unquote(_: string, character: string): string {
  return character === "\n" ? "" : character;
}
