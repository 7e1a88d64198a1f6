import { types } from "node:util";
import { describe } from "../base/describe.js";
import { ArgumentError, LimitError, StateError } from "../base/errors.js";
import { chunkStart, lastChunk, statusLine } from "../codecs/http1/serializer.js";
import { dateLine, dateLineAnd } from "./date_line.js";
import type { HttpRequest } from "./http_request.js";
import type { HttpSession } from "./http_session.js";
import { type FieldText, fieldText, type ResponseFields } from "./response_fields.js";

/** Where a response stands. */
const Step = {
  new: 0,
  head: 1,
  ended: 2,
  /** It was answered in the program's place, or the connection has ended: what the program still sends goes nowhere. */
  moot: 3,
} as const;

/** How content is framed, where not by a length that is left. */
const CHUNKED = -1;
const UNTIL_CLOSE = -2;

const NO_FIELDS: ResponseFields = Object.freeze({});
const NO_PAIRS: readonly (readonly [string, string])[] = Object.freeze([]);

/**
 * The response to a request: `send` for one that is whole; `writeHead`, `write` and `end` for one that comes in pieces. Responses leave
 * in the order of their requests, whichever is ready first. Date, Content-Length, Transfer-Encoding, Connection and Keep-Alive are made here.
 *
 * What is sent when the connection has ended goes nowhere: the methods return false, and `HttpRequest.signal` says so.
 */
export class HttpResponse {
  readonly #session: HttpSession;
  readonly #request: HttpRequest;
  /** @internal The response to the request behind. */
  next: HttpResponse | undefined;
  /** @internal The connection closes behind it. */
  isLast: boolean;
  #step: number = Step.new;
  /** Bytes that are declared and not written; CHUNKED, UNTIL_CLOSE. */
  #left = 0;
  /** To HEAD, and of 204 and 304: what is written goes nowhere. */
  #isBare = false;
  #status = 0;
  /** What waits for the responses before it. */
  #queue: (string | Uint8Array)[] | undefined;
  #queued = 0;
  #waiting: (() => void)[] | undefined;

  /** @internal */
  constructor(session: HttpSession, request: HttpRequest, isLast: boolean) {
    this.#session = session;
    this.#request = request;
    this.next = undefined;
    this.isLast = isLast;
    this.#queue = undefined;
    this.#waiting = undefined;
  }

  /** The request that it answers. */
  get request(): HttpRequest {
    return this.#request;
  }

  /** The status, from the head on; 0 before. */
  get status(): number {
    return this.#status;
  }

  /** Whether the head is made: nothing of it can be changed any more. */
  get isHeadSent(): boolean {
    return this.#step !== Step.new;
  }

  /** Whether it is complete. */
  get isEnded(): boolean {
    return this.#step >= Step.ended;
  }

  // Whole ------------------------------------------------------------------------------------------------------------

  /**
   * Answers: status, fields and all of the content. Text goes as UTF-8; Content-Type is the program's to say. To HEAD the content is declared and not
   * sent. Returns false when the connection's output is above its high-water mark, or the connection has ended.
   *
   * Throws ArgumentError for what cannot be sent, and StateError `ERR_EM_HTTP_ANSWERED` where the response has begun.
   *
   * ```ts
   * class Hello extends HttpConnection {
   *   override receiveRequest(request: HttpRequest, response: HttpResponse) {
   *     response.send(200, { "content-type": "text/plain" }, `you asked for ${request.target}\n`);
   *   }
   * }
   * ```
   */
  send(status: number, headers: ResponseFields = NO_FIELDS, body: string | Uint8Array = ""): boolean {
    return this.sendAs(status, headers, body, "");
  }

  /** @internal The same; `type` is the content's where the fields name none. */
  sendAs(status: number, headers: ResponseFields, body: string | Uint8Array, type: string): boolean {
    if (this.#isMoot) return false;
    this.#mustBeNew();
    const isText = typeof body === "string";
    if (!isText && !types.isUint8Array(body)) {
      throw new ArgumentError(`body must be text, a Buffer or a Uint8Array, not ${describe(body)}`);
    }
    const length = isText ? (body.length === 0 ? 0 : Buffer.byteLength(body)) : body.length;
    const fields = fieldText(headers);
    if (type !== "" && !fields.hasType) fields.lines += `content-type: ${type}\r\n`;
    const isBare = this.#checkStatus(status, length);
    if (fields.declared >= 0 && fields.declared !== length && !(isBare && length === 0)) {
      throw new ArgumentError(`content-length must be ${length}, the length of the content, not ${fields.declared}`);
    }
    const declared = fields.declared >= 0 ? fields.declared : length;
    const isUndeclared = status === 204 || (status === 304 && declared === 0);
    const head = this.#head(status, fields, isUndeclared ? "\r\n" : lengthLine(declared));
    this.#step = Step.ended;
    const session = this.#session;
    let goesOn: boolean;
    if (isBare || length === 0) goesOn = this.#put(head);
    else if (isText) {
      if (length === body.length) goesOn = this.#put(head + body);
      else {
        this.#put(head);
        goesOn = this.#put(Buffer.from(body));
      }
    } else {
      this.#put(head);
      goesOn = this.#put(body);
    }
    session.responseEnded(this);
    return goesOn;
  }

  // In pieces --------------------------------------------------------------------------------------------------------

  /**
   * Begins an answer that comes in pieces. With a Content-Length it is framed by that, else in chunks, and to HTTP/1.0 by the end of the connection.
   * Throws as `send`.
   */
  writeHead(status: number, headers: ResponseFields = NO_FIELDS): this {
    if (this.#isMoot) return this;
    this.#mustBeNew();
    const fields = fieldText(headers);
    this.#isBare = this.#checkStatus(status, 0);
    let framing = "\r\n";
    if (status === 204 || (status === 304 && fields.declared < 0)) this.#left = 0;
    else if (fields.declared >= 0) {
      this.#left = fields.declared;
      framing = lengthLine(fields.declared);
    } else if (this.#request.httpVersion === "1.1") {
      this.#left = CHUNKED;
      framing = "Transfer-Encoding: chunked\r\n\r\n";
    } else {
      this.#left = UNTIL_CLOSE;
      if (!this.#isBare) this.isLast = true;
    }
    const head = this.#head(status, fields, framing);
    this.#step = Step.head;
    this.#put(head);
    return this;
  }

  /**
   * Writes some content; without a head before it, that of a 200. Returns false when the program should stop producing: `drained` says when to
   * go on. The data has been copied or written when this returns.
   *
   * Throws ArgumentError for anything but bytes and text, `ERR_EM_HTTP_ANSWERED` behind the end, LimitError `ERR_EM_HTTP_LENGTH` for more than
   * Content-Length has declared.
   */
  write(data: string | Uint8Array): boolean {
    if (this.#isMoot) return false;
    if (this.#step === Step.new) this.writeHead(200);
    if (this.#step === Step.ended) throw answered();
    if (typeof data !== "string" && !types.isUint8Array(data)) {
      throw new ArgumentError(`data must be text, a Buffer or a Uint8Array, not ${describe(data)}`);
    }
    const length = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    if (length === 0) return !this.needsDrain;
    if (this.#isBare) return !this.needsDrain;
    if (this.#left >= 0) {
      if (length > this.#left) {
        throw new LimitError(
          "ERR_EM_HTTP_LENGTH",
          `${length} bytes are more than the ${this.#left} that are left of content-length`,
          this.#left,
        );
      }
      this.#left -= length;
    }
    const isChunk = this.#left === CHUNKED;
    if (isChunk) this.#put(chunkStart(length));
    const goesOn = this.#put(typeof data === "string" ? Buffer.from(data) : data);
    return isChunk ? this.#put("\r\n") : goesOn;
  }

  /**
   * Ends the response, with a last piece if there is one, and with trailers where it comes in chunks. Throws as `write`; a response
   * that is shorter than its Content-Length closes the connection, so that the peer can see that it is cut off: LimitError `ERR_EM_HTTP_LENGTH`.
   */
  end(data: string | Uint8Array = "", trailers: Iterable<readonly [string, string]> = NO_PAIRS): boolean {
    if (this.#isMoot) return false;
    if (this.#step === Step.new && data.length === 0) this.writeHead(200, { "content-length": 0 });
    const last = lastChunk(trailers);
    if (data.length > 0) this.write(data);
    if (this.#step === Step.ended) throw answered();
    if (this.#left > 0 && !this.#isBare) {
      const missing = this.#left;
      this.cutOff();
      throw new LimitError("ERR_EM_HTTP_LENGTH", `${missing} bytes of content-length were not written`, missing);
    }
    const goesOn = this.#left === CHUNKED && !this.#isBare ? this.#put(last) : !this.needsDrain;
    this.#step = Step.ended;
    this.#session.responseEnded(this);
    return goesOn;
  }

  /**
   * Whether a writer should wait: output is above the connection's high-water mark, or has not come down to its low-water mark since, or waits for
   * responses before this one, or goes nowhere.
   */
  get needsDrain(): boolean {
    return this.#session.isGone || (this.#isFront ? this.#session.isFull : this.#queued > 0);
  }

  /** Resolves when it may go on: true, or false where the connection has ended. */
  drained(): Promise<boolean> {
    if (this.#session.isGone) return Promise.resolve(false);
    if (!this.needsDrain) return Promise.resolve(true);
    this.#waiting ??= [];
    const waiting = this.#waiting;
    return new Promise((resolve) => waiting.push(() => resolve(!this.#session.isGone)));
  }

  /**
   * Sends an interim response, such as 103 with Link fields (early hints), before the final one. Not to HTTP/1.0, which has none. Throws ArgumentError
   * for another status than 102 to 199, StateError `ERR_EM_HTTP_ANSWERED` behind the head.
   */
  informational(status: number, headers: ResponseFields = NO_FIELDS): void {
    if (this.#isMoot) return;
    this.#mustBeNew();
    if (!Number.isInteger(status) || status < 102 || status > 199) {
      throw new ArgumentError(`status must be a whole number from 102 to 199, not ${describe(status)}`);
    }
    const { lines } = fieldText(headers);
    if (this.#request.httpVersion === "1.1") this.#put(`${statusLine(status)}${lines}\r\n`);
  }

  // Another protocol -------------------------------------------------------------------------------------------------

  /**
   * Grants what the request wants (`HttpRequest.wantsUpgrade`): sends 101 with these fields, to CONNECT a 200; from then on the connection is no longer HTTP.
   * What came behind the head and was read already is `unread`, and the caller's; what follows comes to the connection's `receiveData`, the
   * peer's FIN to `receiveEnd`. The connection stays paused until `resume`, `toDuplex` or `for await`.
   *
   * Throws StateError `ERR_EM_HTTP_NO_UPGRADE` where the request wants none, or others before it are not answered; `ERR_EM_HTTP_ANSWERED` where
   * the response has begun; `ERR_EM_CLOSED` where the connection has ended.
   *
   * ```ts
   * class Tunnel extends HttpConnection {
   *   override receiveRequest(request: HttpRequest, response: HttpResponse) {
   *     if (request.header("upgrade") !== "echo") return response.send(426, { upgrade: "echo" });
   *     const { unread } = response.upgrade({ upgrade: "echo" });
   *     this.sendData(unread);
   *     return this.resume();
   *   }
   *
   *   override receiveData(data: Buffer) {
   *     this.sendData(data);
   *   }
   * }
   * ```
   */
  upgrade(headers: ResponseFields = NO_FIELDS): { unread: Buffer } {
    if (this.#isMoot) throw this.#session.closedError();
    this.#mustBeNew();
    if (!this.#request.wantsUpgrade || !this.#isFront) {
      const why = this.#isFront ? "the request asks for no other protocol" : "requests before it are not answered";
      throw new StateError("ERR_EM_HTTP_NO_UPGRADE", `upgrade: ${why}`);
    }
    const fields = fieldText(headers);
    const isConnect = this.#request.method === "CONNECT";
    this.#status = isConnect ? 200 : 101;
    this.#step = Step.ended;
    const connection = isConnect ? "" : "Connection: Upgrade\r\n";
    this.#put(`${statusLine(this.#status)}${fields.lines}${connection}\r\n`);
    return { unread: this.#session.handOver() };
  }

  // Of the session ---------------------------------------------------------------------------------------------------

  /** @internal The session's own answer, where there can be one: a status and nothing else. The connection closes behind it. */
  refuse(status: number): void {
    if (this.#step === Step.head) this.cutOff();
    if (this.#step !== Step.new) return;
    this.isLast = true;
    this.#status = status;
    this.#put(refusalText(status, this.#session.port.turnTime()));
    this.#step = Step.moot;
    this.#session.responseEnded(this);
  }

  /** @internal It will not be completed: the peer is to see that. */
  cutOff(): void {
    if (this.isEnded) return;
    this.isLast = true;
    this.#step = Step.moot;
    this.#session.responseCutOff(this, this.#left === UNTIL_CLOSE);
  }

  /** @internal The connection has ended, and with it everything. */
  gone(): void {
    this.#step = Step.moot;
    this.#queue = undefined;
    this.wake();
  }

  /** @internal A hundred-continue, where it is time for one. */
  sendContinue(): void {
    if (this.#step === Step.new) this.#put("HTTP/1.1 100 Continue\r\n\r\n");
  }

  /** @internal Those before it have been answered: what waited leaves. */
  flush(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    this.#queue = undefined;
    this.#session.queuedBehind(-this.#queued);
    this.#queued = 0;
    for (const piece of queue) this.#put(piece);
    if (!this.needsDrain) this.wake();
  }

  /** @internal Writers may go on. */
  wake(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    for (const each of waiting) each();
  }

  get #isFront(): boolean {
    return this.#session.front === this;
  }

  #mustBeNew(): void {
    if (this.#step !== Step.new) throw answered();
  }

  get #isMoot(): boolean {
    return this.#step === Step.moot || this.#session.isGone;
  }

  /** Whether it is one without content. */
  #checkStatus(status: number, length: number): boolean {
    if (!Number.isInteger(status) || status < 200 || status > 999) {
      throw new ArgumentError(`status must be a whole number from 200 to 999, not ${describe(status)}`);
    }
    const { method } = this.#request;
    if (method === "CONNECT" && status < 300) {
      throw new ArgumentError(`status must not be ${status} for CONNECT: upgrade grants it`);
    }
    if (status === 204 || status === 304) {
      if (length > 0) throw new ArgumentError(`a response of ${status} must have no content`);
      return true;
    }
    return method === "HEAD";
  }

  #head(status: number, fields: FieldText, framing: string): string {
    const session = this.#session;
    this.#status = status;
    if (fields.closes || session.mustClose(this.#request)) this.isLast = true;
    const { settings } = session;
    const persists = this.isLast
      ? "Connection: close\r\n"
      : this.#request.httpVersion === "1.1"
        ? settings.persistLines
        : settings.persistLines10;
    const rest = fields.hasDate ? persists : dateLineAnd(persists, session.port.turnTime());
    return `${statusLine(status)}${fields.lines}${rest}${framing}`;
  }

  #put(piece: string | Uint8Array): boolean {
    const session = this.#session;
    if (session.isGone) return false;
    if (session.front === this) {
      return typeof piece === "string" ? session.sendText(piece) : session.sendBytes(piece);
    }
    this.#queue ??= [];
    // The caller may use its memory again.
    this.#queue.push(typeof piece === "string" ? piece : new Uint8Array(piece));
    this.#queued += piece.length;
    session.queuedBehind(piece.length);
    return false;
  }
}

const LENGTHS = Array.from({ length: 1024 }, (_, length) => `Content-Length: ${length}\r\n\r\n`);

/** Content-Length and the end of the head. */
function lengthLine(length: number): string {
  return LENGTHS[length] ?? `Content-Length: ${length}\r\n\r\n`;
}

/** An answer that is a status and nothing else, behind which the connection closes. */
export function refusalText(status: number, now: number): string {
  return `${statusLine(status)}${dateLine(now)}Connection: close\r\nContent-Length: 0\r\n\r\n`;
}

function answered(): StateError {
  return new StateError("ERR_EM_HTTP_ANSWERED", "this request has been answered already");
}
