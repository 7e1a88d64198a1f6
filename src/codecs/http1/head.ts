import { StateError } from "../../base/errors.js";
import { HTAB, latin1, SP } from "./characters.js";
import { MOST_FIELDS } from "./limits.js";
import { lowerName } from "./names.js";

/** What stands in a section that was read last: four places a field, counted from where the text begins. */
export const PLACES = new Int32Array(4 * MOST_FIELDS);

/** Whose places those are; undefined when nobody's. */
let described: Http1Fields | undefined;

/** Before PLACES is written anew: who is described by it then reads its own text. */
export function claimPlaces(): void {
  if (described === undefined) return;
  described.keep();
  described = undefined;
}

/**
 * The fields of a header section, or of a trailer section, as they came: no name and no value is made before it is asked for.
 *
 * They stand in the bytes that the parser was given, and can be read until the callback that they were given to returns, and for
 * ever after `keep`, which copies the section as one string. Names are asked for, and given, in lower case. A value is latin1:
 * one character for a byte.
 */
export class Http1Fields {
  /** How many there are. */
  readonly count: number;
  #bytes: Buffer | undefined;
  readonly #start: number;
  readonly #end: number;
  /** Where the first field begins, from `#start`. */
  readonly #first: number;
  #text: string | undefined;
  #places: Int32Array | undefined;

  constructor(bytes: Buffer, start: number, end: number, first: number, count: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#first = first;
    this.count = count;
    this.#text = undefined;
    this.#places = undefined;
    described = this;
  }

  /** Keeps the section's text: it can be read after the callback, too. */
  keep(): void {
    this.text();
  }

  /** @internal The callback has returned: the bytes are the caller's again. */
  leave(): void {
    this.#bytes = undefined;
    described = undefined;
  }

  /** The whole section, from where its message begins. Throws StateError `ERR_EM_HTTP_NOT_KEPT` after the callback. */
  protected text(): string {
    if (this.#text !== undefined) return this.#text;
    if (this.#bytes === undefined) {
      throw new StateError("ERR_EM_HTTP_NOT_KEPT", "the fields were not kept, and their callback has returned");
    }
    this.#text = latin1(this.#bytes, this.#start, this.#end);
    return this.#text;
  }

  #where(text: string): Int32Array {
    if (described === this) return PLACES;
    this.#places ??= measure(text, this.#first, this.count);
    return this.#places;
  }

  /** The name of a field, in lower case; undefined behind the last. */
  nameAt(index: number): string | undefined {
    if (index >= this.count) return undefined;
    const text = this.text();
    const places = this.#where(text);
    return lowerName(text.slice(places[4 * index], places[4 * index + 1]));
  }

  /** The name as it came. */
  rawNameAt(index: number): string | undefined {
    if (index >= this.count) return undefined;
    const text = this.text();
    const places = this.#where(text);
    return text.slice(places[4 * index], places[4 * index + 1]);
  }

  /** The value of a field, without the blanks around it; undefined behind the last. */
  valueAt(index: number): string | undefined {
    if (index >= this.count) return undefined;
    const text = this.text();
    const places = this.#where(text);
    return text.slice(places[4 * index + 2], places[4 * index + 3]);
  }

  /** The place of the first field of that name, from `from` on; -1 where there is none. */
  indexOf(name: string, from = 0): number {
    const text = this.text();
    const places = this.#where(text);
    const { length } = name;
    for (let i = from, at = 4 * from; i < this.count; i++, at += 4) {
      if (places[at + 1]! - places[at]! === length && isNamed(text, places[at]!, name)) return i;
    }
    return -1;
  }

  /** Whether there is a field of that name. */
  has(name: string): boolean {
    return this.indexOf(name) >= 0;
  }

  /** The value of that name, of several with a comma between them; undefined where there is none. */
  get(name: string): string | undefined {
    let index = this.indexOf(name);
    if (index < 0) return undefined;
    let value = this.valueAt(index)!;
    while (true) {
      index = this.indexOf(name, index + 1);
      if (index < 0) return value;
      value = `${value}, ${this.valueAt(index)}`;
    }
  }

  /** Every value of that name, in their order. */
  getAll(name: string): string[] {
    const values: string[] = [];
    for (let index = this.indexOf(name); index >= 0; index = this.indexOf(name, index + 1)) {
      values.push(this.valueAt(index)!);
    }
    return values;
  }

  /** Names in lower case and values, in their order. */
  *[Symbol.iterator](): Generator<[string, string], undefined> {
    for (let i = 0; i < this.count; i++) yield [this.nameAt(i)!, this.valueAt(i)!];
  }
}

/** `name` in lower case; what is compared is a token of the same length. */
function isNamed(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    let code = text.charCodeAt(at + i);
    if (code >= 0x41 && code <= 0x5a) code |= 0x20;
    if (code !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** Finds the fields in a section that has been read without a fault. */
function measure(text: string, first: number, count: number): Int32Array {
  const places = new Int32Array(4 * count);
  let at = first;
  for (let i = 0; i < 4 * count; i += 4) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    let from = colon + 1;
    while (from < end && isBlank(text.charCodeAt(from))) from++;
    let to = end;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
    places[i] = at;
    places[i + 1] = colon;
    places[i + 2] = from;
    places[i + 3] = to;
    at = end + 2;
  }
  return places;
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

/** What a head's fields say of the connection: bits of `Http1Head.flags`. */
export const HeadFlag = {
  /** Connection: close. */
  close: 1,
  /** Connection: keep-alive. */
  keepAlive: 2,
  /** Connection: upgrade. */
  upgrade: 4,
  /** There is an Upgrade field. */
  protocols: 8,
  /** Expect: 100-continue. */
  expectsContinue: 16,
  /** Expect: something else. */
  expectsOther: 32,
  /** Content is in chunks. */
  chunked: 64,
  /** The connection is no longer HTTP behind this message, if the receiver agrees: Upgrade, CONNECT, 101. */
  switches: 128,
  /** The connection ends with this message, or must not be used after it. */
  last: 256,
} as const;

/** The head of a message: a request's, or a response's. */
export class Http1Head extends Http1Fields {
  /** A request's method, as it came; empty for a response. */
  readonly method: string;
  /** A response's status; 0 for a request. */
  readonly status: number;
  /** The version's second digit: HTTP/1.0 or HTTP/1.1. */
  readonly minorVersion: number;
  /** What Content-Length says; -1 where there is none. */
  readonly contentLength: number;
  /** Bits of HeadFlag. */
  readonly flags: number;
  /** A request's target, or a response's reason. */
  readonly #from: number;
  readonly #to: number;

  constructor(
    bytes: Buffer,
    start: number,
    end: number,
    first: number,
    count: number,
    method: string,
    status: number,
    minorVersion: number,
    from: number,
    to: number,
    contentLength: number,
    flags: number,
  ) {
    super(bytes, start, end, first, count);
    this.method = method;
    this.status = status;
    this.minorVersion = minorVersion;
    this.#from = from;
    this.#to = to;
    this.contentLength = contentLength;
    this.flags = flags;
  }

  /** A request's target, as it came: a path, a URL, `*`, or CONNECT's host and port. */
  get target(): string {
    return this.text().slice(this.#from, this.#to);
  }

  /** A response's reason; empty where it has none. */
  get reason(): string {
    return this.text().slice(this.#from, this.#to);
  }

  /** Whether the connection can be used for another message after this one. */
  get isKeptAlive(): boolean {
    return (this.flags & HeadFlag.last) === 0;
  }

  /** Whether content is in chunks. */
  get isChunked(): boolean {
    return (this.flags & HeadFlag.chunked) !== 0;
  }

  /** Whether the sender waits for a 100 before it sends the content. */
  get expectsContinue(): boolean {
    return (this.flags & HeadFlag.expectsContinue) !== 0;
  }

  /** Whether it expects what nobody here knows: 417. */
  get expectsOther(): boolean {
    return (this.flags & HeadFlag.expectsOther) !== 0;
  }

  /** Whether it asks for another protocol, or is the answer that grants it. */
  get switchesProtocol(): boolean {
    return (this.flags & HeadFlag.switches) !== 0;
  }
}
