/** How lines become text. Bytes that are no UTF-8 become U+FFFD; latin1 takes every byte for one character. */
export type LineEncoding = "utf8" | "latin1";

/** What Node's Buffer has and its types leave out; the same through `toString` takes half as long again. */
interface TextSlicing {
  utf8Slice(start: number, end: number): string;
  latin1Slice(start: number, end: number): string;
}

/** The text of a part of a buffer. */
export function textOf(bytes: Buffer, start: number, end: number, encoding: LineEncoding): string {
  const slicing = bytes as unknown as TextSlicing;
  return encoding === "utf8" ? slicing.utf8Slice(start, end) : slicing.latin1Slice(start, end);
}

/** Bytes that a codec has been given and has not read to their end; what stands after them is `next`. */
export class LineInput {
  bytes: Buffer;
  /** The first byte not read yet. */
  position = 0;
  next: LineInput | undefined = undefined;
  /** Whether the bytes are lent for the call under way, and must be copied to be kept. */
  #lent: boolean;
  #text: string | undefined = undefined;

  constructor(bytes: Buffer, lent: boolean) {
    this.bytes = bytes;
    this.#lent = lent;
  }

  get unread(): number {
    return this.bytes.length - this.position;
  }

  /** All the bytes as one character each, so that places in the text are places in the bytes. */
  get text(): string {
    this.#text ??= textOf(this.bytes, 0, this.bytes.length, "latin1");
    return this.#text;
  }

  /** Makes what is unread outlive the call that lent it. */
  keep(): void {
    if (!this.#lent) return;
    this.bytes = Buffer.from(this.bytes.subarray(this.position));
    this.position = 0;
    this.#lent = false;
    this.#text = undefined;
  }
}
