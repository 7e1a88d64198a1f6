import { checkObject } from "./checks.js";
import { ArgumentError } from "./errors.js";

/** Every name an object of options may have: complete and with none too many, which the compiler checks. */
export type Names<Options> = Readonly<Record<Options extends unknown ? keyof Options & string : never, true>>;

/** Refuses a name that means nothing: a misspelt option would be left out of account without a word. */
export function checkNames(options: object, names: Readonly<Record<string, true>>, what: string): void {
  for (const name in options) {
    if (Object.hasOwn(names, name) || !Object.hasOwn(options, name)) continue;
    throw new ArgumentError(
      `${what} must not have ${JSON.stringify(name)}; known are ${Object.keys(names).join(", ")}`,
    );
  }
}

/** Refuses options that are no object, and names among them that mean nothing. */
export function checkOptions(options: unknown, names: Readonly<Record<string, true>>, what = "options"): void {
  checkObject(options, what);
  checkNames(options as object, names, what);
}
