import { domainToASCII } from "node:url";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/** The form in which names are compared: ASCII, lower case, without the root's dot. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** Checks a host name as it is written in options; returns its plain form. */
export function checkServerName(name: unknown, option: string): string {
  const ascii = typeof name === "string" ? plainName(domainToASCII(name)) : "";
  if (ascii === "" || ascii.length > 253 || !ascii.split(".").every((label) => LABEL.test(label))) {
    throw new ArgumentError(`${option} must be a host name, not ${describe(name)}`);
  }
  return ascii;
}

/**
 * What stands behind server names: exact ones, and `*.example.com` for any one label before the rest. The exact name comes
 * first. (RFC 6125 section 6.4.3 has the same wildcard.)
 */
export class ServerNames<T> {
  readonly #exact = new Map<string, T>();
  readonly #wildcards = new Map<string, T>();

  get size(): number {
    return this.#exact.size + this.#wildcards.size;
  }

  add(pattern: string, value: T): void {
    const isWildcard = pattern.startsWith("*.");
    const name = checkServerName(isWildcard ? pattern.slice(2) : pattern, "a name in contexts");
    const table = isWildcard ? this.#wildcards : this.#exact;
    if (table.has(name)) throw new ArgumentError(`contexts names ${JSON.stringify(pattern)} twice`);
    table.set(name, value);
  }

  find(serverName: string): T | undefined {
    const name = plainName(serverName);
    const exact = this.#exact.get(name);
    if (exact !== undefined) return exact;
    const dot = name.indexOf(".");
    return dot < 1 ? undefined : this.#wildcards.get(name.slice(dot + 1));
  }

  *values(): Generator<T> {
    yield* this.#exact.values();
    yield* this.#wildcards.values();
  }
}
