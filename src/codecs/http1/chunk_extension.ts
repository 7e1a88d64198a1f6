import { CLASSES, SEMICOLON, TEXT, TOKEN } from "./characters.js";

const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const At = { start: 0, name: 1, name0: 2, value0: 3, token: 4, quoted: 5, escaped: 6, quotedEnd: 7 } as const;

/**
 * Follows the extensions of a message's chunks, byte by byte: `;name`, `;name=token`, `;name="quoted"` (RFC 9112 section 7.1.1).
 * Blanks around them are refused, which only a sender that breaks the rule makes; what they say is ignored.
 */
export class ChunkExtension {
  /** Bytes of extensions so far, of all chunks. */
  length = 0;
  #at: number = At.start;

  /** Whether the byte may stand here; it is counted. */
  takes(byte: number): boolean {
    this.length++;
    const bits = CLASSES[byte]!;
    switch (this.#at) {
      case At.start:
        this.#at = At.name0;
        return byte === SEMICOLON;
      case At.name0:
        this.#at = At.name;
        return (bits & TOKEN) !== 0;
      case At.name:
        if (byte === EQUALS) this.#at = At.value0;
        else if (byte === SEMICOLON) this.#at = At.name0;
        else return (bits & TOKEN) !== 0;
        return true;
      case At.value0:
        this.#at = byte === QUOTE ? At.quoted : At.token;
        return byte === QUOTE || (bits & TOKEN) !== 0;
      case At.token:
        if (byte !== SEMICOLON) return (bits & TOKEN) !== 0;
        this.#at = At.name0;
        return true;
      case At.quoted:
        if (byte === QUOTE) this.#at = At.quotedEnd;
        else if (byte === BACKSLASH) this.#at = At.escaped;
        return (bits & TEXT) !== 0;
      case At.escaped:
        this.#at = At.quoted;
        return (bits & TEXT) !== 0;
      default:
        this.#at = At.name0;
        return byte === SEMICOLON;
    }
  }

  /** Whether they may end here, as the size's line does. */
  ends(): boolean {
    const at = this.#at;
    this.#at = At.start;
    return at === At.name || at === At.token || at === At.quotedEnd;
  }
}
