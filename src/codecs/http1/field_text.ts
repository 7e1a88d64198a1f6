import { describe } from "../../base/describe.js";
import { ArgumentError } from "../../base/errors.js";
import { HTAB, SP } from "./characters.js";
import { lowerName } from "./names.js";

/** What a program gives as a field's name and value is checked here, before any of it is sent. */

export const TOKEN_FORM = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
export const TEXT_FORM = /^[\t\x20-\x7e\x80-\xff]*$/;
const BLANKS = /^[ \t]+|[ \t]+$/g;

/** Names that were checked, with what they are in lower case; no more than a program's own vocabulary. */
const checked = new Map<string, string>();
const MOST_CHECKED = 1024;

/** A field's name in lower case. Throws ArgumentError for what is no token. */
export function checkFieldName(name: string): string {
  const known = checked.get(name);
  if (known !== undefined) return known;
  if (typeof name !== "string" || !TOKEN_FORM.test(name)) {
    throw new ArgumentError(`the name of a field must be a token, not ${describe(name)}`);
  }
  const lower = lowerName(name);
  if (checked.size < MOST_CHECKED && name.length <= 64) checked.set(name, lower);
  return lower;
}

/** A field's value, without the blanks around it, which a receiver would take away. Throws ArgumentError for what cannot be sent. */
export function checkFieldValue(name: string, value: string): string {
  if (typeof value !== "string" || !TEXT_FORM.test(value)) {
    throw new ArgumentError(`the value of ${name} must be latin1 text without controls, not ${describe(value)}`);
  }
  return isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1))
    ? value.replace(BLANKS, "")
    : value;
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

/** Whether a name, in lower case, is one of those that frame content; also by the names that some take for those. */
export function isFraming(lower: string): boolean {
  if (lower.length === 14) return lower === "content-length" || lower === "content_length";
  return lower.length === 17 && (lower === "transfer-encoding" || lower === "transfer_encoding");
}
