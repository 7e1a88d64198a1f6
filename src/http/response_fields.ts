import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkFieldName, checkFieldValue } from "../codecs/http1/field_text.js";

/** Fields of a response: by name, several values of one name in an array; or pairs of name and value, as `Headers` has them. */
export type ResponseFields =
  | Readonly<Record<string, string | number | readonly string[]>>
  | Iterable<readonly [string, string]>;

/** What a program's fields came to, as text, and what of it the framing and the connection hang on. */
export interface FieldText {
  lines: string;
  /** What Content-Length says; -1 where it is not given. */
  declared: number;
  hasDate: boolean;
  hasType: boolean;
  /** Whether Connection says close. */
  closes: boolean;
}

/** Of the response that is being made: one at a time is. */
const text: FieldText = { lines: "", declared: -1, hasDate: false, hasType: false, closes: false };

/**
 * Checks fields and makes their text; the result holds until the next call. Throws ArgumentError for what cannot be sent.
 *
 * Connection, Keep-Alive and Transfer-Encoding are the server's to make: `close` is taken for a wish, the rest is left out.
 */
export function fieldText(fields: ResponseFields): FieldText {
  text.lines = "";
  text.declared = -1;
  text.hasDate = text.hasType = text.closes = false;
  if (typeof fields !== "object" || fields === null) {
    throw new ArgumentError(`headers must be an object or pairs, not ${describe(fields)}`);
  }
  if (isPairs(fields)) {
    for (const [name, value] of fields) add(name, value);
    return text;
  }
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (typeof value === "string") add(name, value);
    else if (typeof value === "number") add(name, `${value}`);
    else if (Array.isArray(value)) for (const each of value) add(name, each);
    else if (value !== undefined) add(name, value as never);
  }
  return text;
}

function isPairs(fields: ResponseFields): fields is Iterable<readonly [string, string]> {
  return typeof (fields as { [Symbol.iterator]?: unknown })[Symbol.iterator] === "function";
}

function add(name: string, given: string): void {
  const lower = checkFieldName(name);
  const value = checkFieldValue(name, given);
  switch (lower.length) {
    case 4:
      if (lower === "date") text.hasDate = true;
      break;
    case 10:
      if (lower === "keep-alive") return;
      if (lower === "connection") {
        if (/(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(value)) text.closes = true;
        return;
      }
      break;
    case 12:
      if (lower === "content-type") text.hasType = true;
      break;
    case 14:
      if (lower === "content-length") {
        text.declared = lengthOf(value);
        return;
      }
      if (lower === "content_length") throw lookalike(name);
      break;
    case 17:
      if (lower === "transfer-encoding") {
        if (value.toLowerCase() === "chunked") return;
        throw new ArgumentError(
          `transfer-encoding must be chunked, which the server makes itself, not ${describe(given)}`,
        );
      }
      if (lower === "transfer_encoding") throw lookalike(name);
      break;
  }
  text.lines += `${name}: ${value}\r\n`;
}

function lookalike(name: string): ArgumentError {
  return new ArgumentError(`${name} could be taken for another field`);
}

function lengthOf(value: string): number {
  const length = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(length)) {
    throw new ArgumentError(`content-length must be a whole number of bytes, not ${describe(value)}`);
  }
  return length;
}
