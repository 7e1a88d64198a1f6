import { checkFunction, checkObject } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkNames } from "../base/known_names.js";
import { begun } from "../base/outcome.js";
import {
  FetchConnection,
  type FetchErrorHandler,
  type FetchHandler,
  type FetchPlan,
} from "../http/fetch_connection.js";
import { HTTP_OPTION_NAMES, type HttpOptions, settingsOf } from "../http/http_options.js";
import type { InetServerAddress, ServerAddress, ServerOptions } from "../options/options.js";
import type { InetListener, Listener } from "../server/listener.js";
import { reactor as currentReactor } from "./default_reactor.js";
import { Reactor } from "./reactor.js";

/** How `serveHttp` serves. Times in milliseconds, 0 for off; sizes in bytes. */
export interface ServeHttpOptions extends HttpOptions {
  /**
   * Answers for a handler that threw, or whose promise was rejected. Where it returns nothing, and where there is none, the peer gets a 500 and
   * the error is the connection's: the reactor's `onError` gets it.
   */
  onError?: FetchErrorHandler;
  /** The reactor that serves. Default: the current one. */
  reactor?: Reactor;
}

/** A module or an object with a handler, as Workers, Bun and Deno have them. */
export interface FetchTarget {
  /** Answers a request. */
  fetch: FetchHandler;
}

/**
 * Serves HTTP/1.1 by a function from Request to Response. Both are the platform's to `instanceof` and in what they do; the request is read only as far as
 * the handler asks, and `Response` of `eventmachine/http` costs less than the global one, which works too. `address` takes what `startServer`
 * takes, `tls` too.
 *
 * Rejects as `startServer`; with ArgumentError for a handler that is none, and for options it cannot take.
 *
 * ```ts
 * const server = await serveHttp({ host: "127.0.0.1", port: 0 }, (request) => new Response(`hello ${new URL(request.url).pathname}`));
 * console.log(server.port);
 * ```
 */
export function serveHttp(
  address: InetServerAddress & ServerOptions,
  handler: FetchHandler | FetchTarget,
  options?: ServeHttpOptions,
): Promise<InetListener>;
export function serveHttp(
  address: ServerAddress,
  handler: FetchHandler | FetchTarget,
  options?: ServeHttpOptions,
): Promise<Listener>;
export function serveHttp(
  address: ServerAddress,
  handler: FetchHandler | FetchTarget,
  options: ServeHttpOptions = {},
): Promise<Listener> {
  return begun(() => serve(address, handler, options));
}

function serve(
  address: ServerAddress,
  handler: FetchHandler | FetchTarget,
  options: ServeHttpOptions,
): Promise<Listener> {
  checkObject(options, "options");
  checkNames(options, { ...HTTP_OPTION_NAMES, onError: true, reactor: true }, "options");
  const { onError, reactor = currentReactor(), ...http } = options;
  if (onError !== undefined) checkFunction(onError, "onError");
  if (!(reactor instanceof Reactor)) throw new ArgumentError(`reactor must be a Reactor, not ${describe(reactor)}`);
  settingsOf(http);
  const plan: FetchPlan = { fetch: handlerOf(handler), onError, options: http };
  return reactor.startServer(address, FetchConnection, plan);
}

function handlerOf(handler: FetchHandler | FetchTarget): FetchHandler {
  if (typeof handler === "function") return handler;
  const isTarget = typeof handler === "object" && handler !== null && typeof handler.fetch === "function";
  if (!isTarget)
    throw new ArgumentError(`handler must be a function, or an object with fetch, not ${describe(handler)}`);
  return (request, info) => handler.fetch(request, info);
}
