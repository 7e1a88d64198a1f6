import type { HttpProtocolError } from "../base/errors.js";
import { Connection } from "../connection/connection.js";
import { ATTACHED } from "../core/connection_callbacks.js";
import type { StreamPort } from "../core/stream_port.js";
import { type HttpOptions, type HttpSettings, settingsOf } from "./http_options.js";
import type { HttpRequest } from "./http_request.js";
import type { HttpResponse } from "./http_response.js";
import { HttpSession } from "./http_session.js";

const DEFAULTS: HttpOptions = Object.freeze({});

/**
 * A server's connection that speaks HTTP/1.1: extend it, override `receiveRequest`, and hand the class to `startServer`.
 *
 * Requests come in the order in which they were sent, also before those before them are answered; responses leave in that order. The connection is
 * kept for further requests as both sides wish it. What breaks the rules of RFC 9110 and 9112 is answered with its status and closes the
 * connection (reason `protocol-error`). `closeConnection` and the others act on the connection as ever.
 *
 * ```ts
 * class Hello extends HttpConnection {
 *   override receiveRequest(_request: HttpRequest, response: HttpResponse) {
 *     response.send(200, { "content-type": "text/plain" }, "hello world");
 *   }
 * }
 * await startServer({ host: "127.0.0.1", port: 8080 }, Hello);
 * ```
 */
export class HttpConnection extends Connection {
  readonly #settings: HttpSettings;
  #session: HttpSession | undefined;

  /** Throws ArgumentError for options it cannot take. An object of options is checked once, and not looked at again. */
  constructor(options: HttpOptions = DEFAULTS) {
    super();
    this.#settings = settingsOf(options);
  }

  // Callbacks ----------------------------------------------------------------------------------------------------

  /**
   * A request came, its head and none of its content yet. Answer it through `response`, now or later. A throw, or a rejection, is answered with 500
   * where the response has not begun, and is then what every error of a callback is: `onError` may take it. Default: 404.
   */
  receiveRequest(_request: HttpRequest, response: HttpResponse): unknown {
    response.send(404);
    return undefined;
  }

  /**
   * A request broke the rules or a limit, and is answered with `error.status`; then the connection closes. To count or to log it. Default: nothing.
   */
  requestRefused(_error: HttpProtocolError): unknown {
    return undefined;
  }

  /** After `HttpResponse.upgrade` alone: the peer has sent its FIN. Default: closes after writing. */
  override receiveEnd(): unknown {
    this.closeConnectionAfterWriting();
    return undefined;
  }

  /** Whether no request is under way. */
  override isIdle(): unknown {
    return this.#session === undefined || this.#session.isQuiet;
  }

  // What a connection does, with requests ------------------------------------------------------------------------

  /** No request and no content of one comes from this moment until `resume`. */
  override pause(): void {
    if (this.#session === undefined) super.pause();
    else this.#session.pause();
  }

  override resume(): void {
    if (this.#session === undefined) super.resume();
    else this.#session.resume();
  }

  /** Whether `pause` was called; that requests wait for their responses does not count. */
  override get isPaused(): boolean {
    return this.#session === undefined ? super.isPaused : this.#session.isPaused;
  }

  /** @internal */
  override [ATTACHED](port: StreamPort): void {
    this.#session = new HttpSession(this, port, this.#settings);
  }

  /** @internal It is no longer HTTP. */
  handedOver(): void {
    this.#session = undefined;
  }
}
