import assert from "node:assert/strict";
import { LimitError, LineCodec, type LineEvents, type LineOptions } from "eventmachine";

export type Event = ["line", string] | ["binary", string] | ["end"] | ["too long", number];

/** Notes what a codec finds; binary data as latin1 text, pieces of an unsized block joined. */
export class Notes implements LineEvents {
  readonly events: Event[] = [];
  readonly codec: LineCodec;
  /** What to do when an event has come. */
  react: (event: Event, codec: LineCodec) => void = () => {};

  constructor(options?: LineOptions) {
    this.codec = new LineCodec(this, options);
  }

  line(text: string): void {
    this.#note(["line", text]);
  }

  binaryData(data: Buffer): void {
    const last = this.events.at(-1);
    const text = data.toString("latin1");
    if (last?.[0] === "binary") last[1] += text;
    else this.#note(["binary", text]);
  }

  endOfBinaryData(): void {
    this.#note(["end"]);
  }

  lineTooLong(error: LimitError): void {
    assert.ok(error instanceof LimitError);
    assert.equal(error.code, "ERR_EM_LINE_TOO_LONG");
    this.#note(["too long", error.limit]);
  }

  #note(event: Event): void {
    this.events.push(event);
    this.react(event, this.codec);
  }

  /** Feeds pieces, each in memory that is overwritten afterwards, as a borrowed view is. */
  feed(...pieces: (string | Uint8Array)[]): this {
    for (const piece of pieces) {
      const lent = typeof piece === "string" ? Buffer.from(piece) : Buffer.from(piece);
      this.codec.feed(lent);
      lent.fill("\n");
    }
    return this;
  }

  get lines(): string[] {
    return this.events.map((event) => {
      assert.equal(event[0], "line");
      return event[1] as string;
    });
  }
}

export function bytewise(text: string | Uint8Array): Uint8Array[] {
  return [...Buffer.from(text as string)].map((byte) => Uint8Array.of(byte));
}
