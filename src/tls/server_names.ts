import { ArgumentError } from "../base/errors.js";
import { checkName } from "../base/host_names.js";

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
    const name = checkName(isWildcard ? pattern.slice(2) : pattern, "a name in contexts");
    const table = isWildcard ? this.#wildcards : this.#exact;
    if (table.has(name)) throw new ArgumentError(`contexts names ${JSON.stringify(pattern)} twice`);
    table.set(name, value);
  }

  /** `name` in its one spelling. */
  find(name: string): T | undefined {
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
