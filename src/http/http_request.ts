import { checkCount } from "../base/checks.js";
import { StateError } from "../base/errors.js";
import { answeredFor, answeredSteps, begun } from "../base/outcome.js";
import { HeadFlag, type Http1Fields, type Http1Head } from "../codecs/http1/head.js";
import { lowerName } from "../codecs/http1/names.js";
import { violation } from "../codecs/http1/violations.js";
import type { HttpConnection } from "./http_connection.js";
import type { HttpSession } from "./http_session.js";
import { RequestBody } from "./request_body.js";

const NOTHING = Buffer.alloc(0);
/** A last label that begins as a number makes an IPv4 address of a name, and `xn--` makes letters of a label: not of each. */
const MAY_BE_NO_HOST = /(?:^|[./])\d[0-9a-fx]*\.?(?::\d*)?(?:$|[/?])|xn--/i;

/**
 * A request, as `receiveRequest` is given it. No string is made of its head before one is asked for.
 *
 * Its head can be read until `receiveRequest` has returned, and for as long as the request is not answered; `keep` keeps it beyond that.
 * Its content is read once: by `bytes`, `text` or `json`, or piece by piece with `for await`.
 */
export class HttpRequest {
  readonly #head: Http1Head;
  readonly #session: HttpSession;
  /** @internal Its content; undefined where it has none. */
  readonly body: RequestBody | undefined;
  #controller: AbortController | undefined;
  /** @internal Whether the peer will wait for its answer no longer. */
  isAborted = false;

  /** @internal */
  constructor(session: HttpSession, head: Http1Head) {
    this.#session = session;
    this.#head = head;
    this.#controller = undefined;
    this.body = head.contentLength > 0 || head.isChunked ? new RequestBody(session, head.contentLength) : undefined;
  }

  /** The connection that it came on. */
  get connection(): HttpConnection {
    return this.#session.connection;
  }

  /** The method, as it came: methods are case-sensitive. */
  get method(): string {
    return this.#head.method;
  }

  /** The target, as it came: a path and maybe a query, an URL, `*`, or CONNECT's host and port. */
  get target(): string {
    return this.#head.target;
  }

  /** The version: 1.1 or 1.0. */
  get httpVersion(): "1.1" | "1.0" {
    return this.#head.minorVersion === 1 ? "1.1" : "1.0";
  }

  /**
   * The target as an absolute URL: with the scheme that the connection speaks, and the host that the request names, or the connection's own
   * address where it names none (HTTP/1.0). Always one that `URL` takes: throws `HttpProtocolError` (`ERR_EM_HTTP_HOST`), for which the answer is 400,
   * where the host is none, such as `256.1.1.1` or a name that is no punycode.
   */
  get url(): string {
    const { target, method } = this.#head;
    const first = target.charCodeAt(0);
    const isAbsolute = first !== 0x2f && first !== 0x2a && method !== "CONNECT";
    const scheme = isAbsolute ? "" : this.#session.isSecure ? "https://" : "http://";
    const host = isAbsolute || method === "CONNECT" ? "" : this.#head.get("host") || this.#session.ownHost;
    const url = `${scheme}${host}${first === 0x2a ? "" : target}`;
    if (MAY_BE_NO_HOST.test(host === "" ? url : host) && !URL.canParse(url)) {
      throw violation("request", "ERR_EM_HTTP_HOST", 400, "the host that the request names is none");
    }
    return url;
  }

  /** The fields of its head, in their order. Names are asked for, and given, in lower case. */
  get headers(): Http1Fields {
    return this.#head;
  }

  /** The value of a field, whatever the case of its name; of several with a comma between them. Undefined where there is none. */
  header(name: string): string | undefined {
    return this.#head.get(lowerName(name));
  }

  /** Whether it asks for another protocol, by Upgrade or CONNECT: `HttpResponse.upgrade` grants it. */
  get wantsUpgrade(): boolean {
    return this.body === undefined && this.#head.switchesProtocol;
  }

  /** What Content-Length says; undefined where there is none. */
  get contentLength(): number | undefined {
    return this.#head.contentLength < 0 ? undefined : this.#head.contentLength;
  }

  /** Whether it has content, or declares some. */
  get hasBody(): boolean {
    return this.body !== undefined;
  }

  /** Whether its content is being read, or was. */
  get bodyUsed(): boolean {
    return this.body?.isUsed === true;
  }

  /** Keeps the head: it can be read after the request was answered, too. */
  keep(): this {
    this.#head.keep();
    return this;
  }

  /** Aborted when the connection ends before the request was answered. Made when it is asked for. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.isAborted && !this.#controller.signal.aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  /** @internal */
  abort(reason: unknown): void {
    this.isAborted = true;
    this.#controller?.abort(reason);
  }

  // Content ----------------------------------------------------------------------------------------------------------

  /**
   * How much content this request may have, from now on; more is answered with 413, and closes the connection. For `receiveRequest`, before
   * any content was read. Throws ArgumentError for what is no count.
   */
  set maxBody(bytes: number) {
    checkCount(bytes, "maxBody");
    this.#session.limitBody(this, bytes);
  }

  /**
   * All of the content. `limit` default `maxBufferedBody`, 1 MiB. Rejects with HttpProtocolError `ERR_EM_HTTP_BODY_TOO_LARGE` for more, which
   * is answered with 413 where the handler lets it through; with `ERR_EM_CLOSED` when the connection ends before its last byte,
   * `ERR_EM_HTTP_BODY_USED` where somebody has read from it.
   */
  bytes(limit?: number): Promise<Buffer> {
    const { body } = this;
    const session = this.#session;
    return begun(() => {
      const most = limit === undefined ? session.settings.maxBufferedBody : checkCount(limit, "limit");
      if (body === undefined) return Promise.resolve(NOTHING);
      if (body.isUsed) throw bodyUsed();
      return body.gather(most);
    }, session);
  }

  /** All of the content as text, on the terms of `bytes`: UTF-8, whatever the Content-Type says. */
  text(limit?: number): Promise<string> {
    return this.answered(this.bytes(limit).then((bytes) => bytes.toString("utf8")));
  }

  /** All of the content as JSON, on the terms of `bytes`. Rejects with SyntaxError for what is none. */
  json(limit?: number): Promise<unknown> {
    return this.answered(this.bytes(limit).then((bytes) => JSON.parse(bytes.toString("utf8")) as unknown));
  }

  /** The content piece by piece, as fast as the loop takes it: meanwhile the connection is not read. The pieces are the reader's. */
  [Symbol.asyncIterator](): AsyncGenerator<Buffer, undefined, undefined> {
    return answeredSteps(this.#pieces(), this.#session);
  }

  /** @internal Work with the content: where nobody observes that it fails, the connection's `onError` is told. */
  answered<T>(work: Promise<T>): Promise<T> {
    return answeredFor(work, this.#session);
  }

  async *#pieces(): AsyncGenerator<Buffer, undefined, undefined> {
    const { body } = this;
    if (body === undefined) return;
    if (body.isUsed) throw bodyUsed();
    try {
      for (let piece = await body.read(); piece !== undefined; piece = await body.read()) yield piece;
    } finally {
      body.drop();
    }
  }

  /** The fields behind the content, of a request in chunks; undefined before its end, and where there are none. */
  get trailers(): Http1Fields | undefined {
    return this.body?.trailers;
  }

  /** @internal */
  get isLast(): boolean {
    return !this.#head.isKeptAlive;
  }

  /** @internal */
  get expectsContinue(): boolean {
    return (this.#head.flags & HeadFlag.expectsContinue) !== 0;
  }
}

function bodyUsed(): StateError {
  return new StateError("ERR_EM_HTTP_BODY_USED", "the content of this request is being read already, or was");
}
