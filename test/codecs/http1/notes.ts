import { HttpProtocolError } from "../../../src/base/errors.js";
import type { Http1Fields, Http1Head } from "../../../src/codecs/http1/head.js";
import { checkHttp1Limits, type Http1Limits } from "../../../src/codecs/http1/limits.js";
import { type Http1Events, Http1Parser } from "../../../src/codecs/http1/parser.js";
import type { MessageKind } from "../../../src/codecs/http1/violations.js";

export interface HeadNote {
  readonly kind: "head";
  readonly method: string;
  readonly status: number;
  readonly minorVersion: number;
  /** The target, or the reason. */
  readonly text: string;
  readonly fields: [string, string][];
  readonly contentLength: number;
  readonly flags: number;
}

export type Note =
  | HeadNote
  | { readonly kind: "body"; bytes: string }
  | { readonly kind: "trailers"; readonly fields: [string, string][] }
  | { readonly kind: "end" }
  | { readonly kind: "switch"; rest: string }
  | { readonly kind: "error"; readonly code: string; readonly status: number };

/** Notes what a parser finds; content as latin1 text, its pieces joined. */
export class Notes implements Http1Events {
  readonly events: Note[] = [];
  readonly parser: Http1Parser;
  /** What to do when an event has come. */
  react: (event: Note, parser: Http1Parser) => void = () => {};
  #isWaiting = false;
  /** What was not read because of a pause. */
  #unread = Buffer.alloc(0);
  #hasFailed = false;

  constructor(kind: MessageKind, limits: Partial<Http1Limits> = {}) {
    this.parser = new Http1Parser(kind, this, checkHttp1Limits(limits));
  }

  onHead(head: Http1Head): void {
    const { method, status, minorVersion, contentLength, flags } = head;
    const text = method === "" ? head.reason : head.target;
    this.#note({ kind: "head", method, status, minorVersion, text, fields: [...head], contentLength, flags });
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    const last = this.events.at(-1);
    const text = bytes.toString("latin1", start, end);
    if (last?.kind === "body") last.bytes += text;
    else this.events.push({ kind: "body", bytes: text });
    this.react(this.events.at(-1)!, this.parser);
  }

  onTrailers(trailers: Http1Fields): void {
    this.#note({ kind: "trailers", fields: [...trailers] });
  }

  onEnd(): void {
    this.#note({ kind: "end" });
  }

  onSwitch(): void {
    this.#isWaiting = true;
    this.#note({ kind: "switch", rest: "" });
  }

  #note(event: Note): void {
    this.events.push(event);
    this.react(event, this.parser);
  }

  /** Gives it bytes; what fails is noted. The memory is poisoned afterwards: it was lent. */
  feed(...pieces: readonly (Uint8Array | string)[]): this {
    for (const piece of pieces) {
      const bytes = typeof piece === "string" ? Buffer.from(piece, "latin1") : Buffer.from(piece);
      this.#execute(Buffer.concat([this.#unread, bytes]));
    }
    return this;
  }

  /** Reads on after a pause. */
  resume(): void {
    this.parser.resume();
    this.#execute(this.#unread);
  }

  get isBehind(): boolean {
    return this.parser.isPaused && !this.#hasFailed;
  }

  #execute(bytes: Buffer): void {
    if (this.#hasFailed) return;
    const last = this.events.at(-1);
    if (this.#isWaiting && last?.kind === "switch") {
      last.rest += bytes.toString("latin1");
      return;
    }
    this.#try(() => {
      const taken = this.parser.execute(bytes);
      const rest = Buffer.from(bytes.subarray(taken));
      this.#unread = rest;
      const event = this.events.at(-1);
      if (this.#isWaiting && event?.kind === "switch") {
        event.rest = rest.toString("latin1");
        this.#unread = Buffer.alloc(0);
      }
    });
    bytes.fill(0);
  }

  /** The peer's FIN. */
  finish(): this {
    if (!this.#hasFailed) this.#try(() => this.parser.finish());
    return this;
  }

  #try(what: () => void): void {
    try {
      what();
    } catch (error) {
      if (!(error instanceof HttpProtocolError)) throw error;
      this.#hasFailed = true;
      this.events.push({ kind: "error", code: error.code, status: error.status });
    }
  }

  /** The status of what went wrong; undefined where nothing did. */
  get refusal(): number | undefined {
    const last = this.events.at(-1);
    return last?.kind === "error" ? last.status : undefined;
  }

  get code(): string | undefined {
    const last = this.events.at(-1);
    return last?.kind === "error" ? last.code : undefined;
  }

  get heads(): HeadNote[] {
    return this.events.filter((event) => event.kind === "head");
  }
}

/** Every byte by itself. */
export function bytewise(text: string): Buffer[] {
  const bytes = Buffer.from(text, "latin1");
  return [...bytes].map((_, at) => bytes.subarray(at, at + 1));
}
