import { markPeer } from "../base/error_marks.js";
import { HttpProtocolError } from "../base/errors.js";
import { HTTP_BODY_HIGH_WATER } from "../base/limits.js";
import { Operation, type Responsible } from "../base/outcome.js";
import type { Http1Fields } from "../codecs/http1/head.js";

/** What content asks of the connection that it comes on. */
export interface BodyHost extends Responsible {
  /** Somebody wants it: a peer that waits to be asked for it is. */
  bodyWanted(): void;
  /** Whoever reads it is behind: no more is read before `bodyTaken`. */
  bodyHeld(): void;
  bodyTaken(): void;
}

const NOTHING = Buffer.alloc(0);

/**
 * The content of one request on its way from the parser to its reader. It holds what has come and was not read, 64 KiB and a chunk at
 * most; then the connection is not read.
 */
export class RequestBody {
  readonly #host: BodyHost;
  /** What the head declares; -1 where it comes in chunks. */
  readonly declared: number;
  /** All that has come. */
  received = 0;
  isComplete = false;
  /** Whether anybody has begun to read it. */
  isUsed = false;
  trailers: Http1Fields | undefined;
  #chunks: Buffer[] = [];
  #held = 0;
  #isDropped = false;
  #failure: { error: unknown } | undefined;
  #waiting: Operation<Buffer | undefined> | undefined;
  #gathering: { operation: Operation<Buffer>; most: number } | undefined;

  constructor(host: BodyHost, declared: number) {
    this.#host = host;
    this.declared = declared;
  }

  /** What is declared and has not come; Infinity where nothing is declared. */
  get missing(): number {
    if (this.isComplete) return 0;
    return this.declared < 0 ? Number.POSITIVE_INFINITY : this.declared - this.received;
  }

  // What comes -------------------------------------------------------------------------------------------------------

  /** The bytes are the caller's again when it returns. */
  push(bytes: Buffer, start: number, end: number): void {
    this.received += end - start;
    if (this.#isDropped) return;
    const chunk = Buffer.from(bytes.subarray(start, end));
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting.accept(chunk);
      return;
    }
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const gathering = this.#gathering;
    if (gathering !== undefined) {
      if (this.#held > gathering.most) this.#tooLarge(gathering.most);
    } else if (this.#held >= HTTP_BODY_HIGH_WATER) this.#host.bodyHeld();
  }

  complete(): void {
    this.isComplete = true;
    this.#waiting?.accept(undefined);
    this.#waiting = undefined;
    const gathering = this.#gathering;
    if (gathering === undefined) return;
    this.#gathering = undefined;
    gathering.operation.accept(this.#takeAll());
  }

  /** No more comes, and whoever waits for it is told why. */
  fail(error: unknown): void {
    if (this.isComplete || this.#failure !== undefined) return;
    this.#failure = { error };
    this.#chunks = [];
    this.#held = 0;
    this.#waiting?.refuse(error);
    this.#gathering?.operation.refuse(error);
    this.#waiting = this.#gathering = undefined;
  }

  /** Nobody wants what is left of it. */
  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.#chunks = [];
    this.#held = 0;
    this.#host.bodyTaken();
  }

  #tooLarge(most: number): void {
    this.fail(bodyTooLarge(most));
    this.drop();
  }

  // Who reads --------------------------------------------------------------------------------------------------------

  /** The next piece; undefined behind the last. One may be asked for at a time. */
  read(): Promise<Buffer | undefined> {
    this.#begin();
    const operation = new Operation<Buffer | undefined>(this.#host);
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#held -= chunk.length;
      if (this.#held < HTTP_BODY_HIGH_WATER) this.#host.bodyTaken();
      operation.accept(chunk);
    } else if (this.#failure !== undefined) operation.refuse(this.#failure.error);
    else if (this.isComplete || this.#isDropped) operation.accept(undefined);
    else this.#waiting = operation;
    return operation.promise;
  }

  /** All of it, of `most` bytes. */
  gather(most: number): Promise<Buffer> {
    this.#begin();
    const operation = new Operation<Buffer>(this.#host);
    if (this.#held > most || this.declared > most) this.#tooLarge(most);
    if (this.#failure !== undefined) operation.refuse(this.#failure.error);
    else if (this.isComplete || this.#isDropped) operation.accept(this.#takeAll());
    else {
      this.#gathering = { operation, most };
      this.#host.bodyTaken();
    }
    return operation.promise;
  }

  #begin(): void {
    if (this.isUsed) return;
    this.isUsed = true;
    if (!this.isComplete && this.received === 0 && this.#failure === undefined) this.#host.bodyWanted();
  }

  #takeAll(): Buffer {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#held = 0;
    return chunks.length === 0 ? NOTHING : chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }
}

export function bodyTooLarge(most: number): HttpProtocolError {
  const what = `the content is longer than ${most} bytes`;
  return markPeer(new HttpProtocolError("ERR_EM_HTTP_BODY_TOO_LARGE", 413, what, most));
}
