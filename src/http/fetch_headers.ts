import type { Http1Fields } from "../codecs/http1/head.js";
import { lowerName } from "../codecs/http1/names.js";

/**
 * The fields of a request as a handler of fetch sees them: `Headers` to `instanceof` and in what it does. Asking for a name costs a search of the
 * head; everything else makes Node's own of it first.
 */
export class FetchHeaders {
  #fields: Http1Fields | undefined;
  #own: Headers | undefined;

  constructor(fields: Http1Fields) {
    this.#fields = fields;
    this.#own = undefined;
  }

  get(name: string): string | null {
    if (this.#fields === undefined || typeof name !== "string") return this.#full().get(name);
    return this.#fields.get(lowerName(name)) ?? null;
  }

  has(name: string): boolean {
    if (this.#fields === undefined || typeof name !== "string") return this.#full().has(name);
    return this.#fields.has(lowerName(name));
  }

  append(name: string, value: string): void {
    this.#change().append(name, value);
  }

  set(name: string, value: string): void {
    this.#change().set(name, value);
  }

  delete(name: string): void {
    this.#change().delete(name);
  }

  getSetCookie(): string[] {
    return this.#full().getSetCookie();
  }

  forEach(callback: (value: string, name: string, parent: Headers) => void, receiver?: unknown): void {
    this.#full().forEach((value, name) => {
      callback.call(receiver, value, name, this as unknown as Headers);
    });
  }

  entries(): IterableIterator<[string, string]> {
    return this.#full().entries();
  }

  keys(): IterableIterator<string> {
    return this.#full().keys();
  }

  values(): IterableIterator<string> {
    return this.#full().values();
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.#full()[Symbol.iterator]();
  }

  #full(): Headers {
    this.#own ??= new Headers([...(this.#fields ?? [])]);
    return this.#own;
  }

  #change(): Headers {
    const own = this.#full();
    this.#fields = undefined;
    return own;
  }
}

Object.setPrototypeOf(FetchHeaders.prototype, Headers.prototype);
