import { MAX_PROXY_HEADER } from "../../base/limits.js";
import { binaryLength, FIXED_PART, readBinary, SIGNATURE } from "./binary_header.js";
import { faulty, type ProxyHeader, type ProxyHeaderError } from "./header.js";
import { readText, TEXT_PREFIX, textEnd } from "./text_header.js";

const NOTHING = Buffer.alloc(0);

/**
 * Reads one PROXY protocol header, of version 1 or 2, from the beginning of a stream in pieces of any size. It keeps at most 4 KiB, and
 * refuses as soon as the bytes can begin no header.
 *
 * ```ts
 * const parser = new ProxyHeaderParser();
 * const chunk = Buffer.from("PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\r\nhello");
 * const taken = parser.execute(chunk);
 * if (parser.header !== undefined) console.log(parser.header.source, chunk.subarray(taken));
 * ```
 */
export class ProxyHeaderParser {
  #header: ProxyHeader | undefined;
  #error: ProxyHeaderError | undefined;
  #kept = NOTHING;
  #keptBytes = 0;

  /** The header, as soon as it is complete. */
  get header(): ProxyHeader | undefined {
    return this.#header;
  }

  /**
   * Takes bytes from the front of `chunk`, up to the end of the header, and returns how many: all of them while `header` is
   * undefined afterwards. Throws `ProxyHeaderError` for what is no header, and then again for whatever comes.
   */
  execute(chunk: Uint8Array): number {
    if (this.#error !== undefined) throw this.#error;
    if (this.#header !== undefined) return 0;
    const before = this.#keptBytes;
    const bytes = this.#gathered(chunk);
    const length = before + chunk.length;
    try {
      const end = endOf(bytes, length);
      if (end === undefined || end > length) {
        this.#keep(bytes, length);
        return chunk.length;
      }
      const whole = bytes.subarray(0, end);
      this.#header = bytes[0] === SIGNATURE[0] ? readBinary(whole) : readText(whole);
      this.#kept = NOTHING;
      return end - before;
    } catch (error) {
      this.#error = error as ProxyHeaderError;
      this.#kept = NOTHING;
      throw error;
    }
  }

  /** What was kept and the chunk behind it; the chunk itself where nothing was. */
  #gathered(chunk: Uint8Array): Buffer {
    if (this.#keptBytes === 0) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const room = Math.min(chunk.length, MAX_PROXY_HEADER - this.#keptBytes);
    this.#grow(this.#keptBytes + room);
    this.#kept.set(chunk.subarray(0, room), this.#keptBytes);
    return this.#kept;
  }

  #keep(bytes: Buffer, length: number): void {
    if (bytes !== this.#kept) {
      this.#grow(length);
      this.#kept.set(bytes.subarray(0, length));
    }
    this.#keptBytes = length;
  }

  #grow(length: number): void {
    if (this.#kept.length >= length) return;
    const larger = Buffer.alloc(Math.min(MAX_PROXY_HEADER, Math.max(2 * this.#kept.length, length, 128)));
    this.#kept.copy(larger, 0, 0, this.#keptBytes);
    this.#kept = larger;
  }
}

/** Where the header ends that these bytes begin; undefined while that is not known. */
function endOf(bytes: Buffer, length: number): number | undefined {
  if (length === 0) return undefined;
  const isText = bytes[0] === TEXT_PREFIX[0];
  const start = isText ? TEXT_PREFIX : SIGNATURE;
  for (let at = 0; at < start.length && at < length; at++) {
    if (bytes[at] !== start[at]) throw faulty("what came is no PROXY header: it begins neither as version 1 nor as 2");
  }
  if (isText) return length <= start.length ? undefined : textEnd(bytes, length);
  return length < FIXED_PART ? undefined : binaryLength(bytes);
}
