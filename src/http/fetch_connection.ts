import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { isThenable } from "../base/thenable.js";
import { FetchRequest, RequestInfo } from "./fetch_request.js";
import { FetchResponse } from "./fetch_response.js";
import { HttpConnection } from "./http_connection.js";
import type { HttpOptions } from "./http_options.js";
import type { HttpRequest } from "./http_request.js";
import type { HttpResponse } from "./http_response.js";

/** Answers a request: what Rack was to Ruby. */
export type FetchHandler = (request: Request, info: RequestInfo) => Response | Promise<Response>;

/** Answers for a handler that has failed; undefined leaves it at a 500 and the error to the connection's `onError`. */
export type FetchErrorHandler = (
  error: unknown,
  request: Request,
  info: RequestInfo,
) => Response | undefined | Promise<Response | undefined>;

/** What a server of fetch handlers was given, checked. */
export interface FetchPlan {
  readonly fetch: FetchHandler;
  readonly onError: FetchErrorHandler | undefined;
  readonly options: HttpOptions;
}

/** A connection whose requests a function answers. */
export class FetchConnection extends HttpConnection {
  readonly #plan: FetchPlan;

  constructor(plan: FetchPlan) {
    super(plan.options);
    this.#plan = plan;
  }

  override receiveRequest(given: HttpRequest, response: HttpResponse): unknown {
    const request = new FetchRequest(given) as unknown as Request;
    const info = new RequestInfo(response);
    const plan = this.#plan;
    let answer: Response | Promise<Response>;
    try {
      answer = plan.fetch(request, info);
    } catch (error) {
      return failed(plan, error, request, info, response);
    }
    if (!isThenable(answer)) return respond(answer, response);
    return settle(plan, answer, request, info, response);
  }
}

async function settle(
  plan: FetchPlan,
  promise: PromiseLike<Response>,
  request: Request,
  info: RequestInfo,
  response: HttpResponse,
): Promise<void> {
  let answer: Response;
  try {
    answer = await promise;
  } catch (error) {
    await failed(plan, error, request, info, response);
    return;
  }
  await respond(answer, response);
}

function failed(
  plan: FetchPlan,
  error: unknown,
  request: Request,
  info: RequestInfo,
  response: HttpResponse,
): Promise<void> {
  return recover(plan.onError, error, request, info, response);
}

async function recover(
  onError: FetchErrorHandler | undefined,
  error: unknown,
  request: Request,
  info: RequestInfo,
  response: HttpResponse,
): Promise<void> {
  const answer = await onError?.(error, request, info);
  if (answer === undefined) throw error;
  await respond(answer, response);
}

/** Sends what a handler has answered; a promise where the content comes in pieces. */
function respond(answer: Response, response: HttpResponse): Promise<void> | undefined {
  // After an upgrade there may be none.
  if (response.isEnded && !(answer instanceof FetchResponse)) return undefined;
  if (!(answer instanceof FetchResponse)) {
    throw new ArgumentError(`a handler must return a Response, not ${describe(answer)}`);
  }
  const body = FetchResponse.send(answer as unknown as Response, response);
  return body === undefined ? undefined : pump(answer as unknown as Response, body, response);
}

/** Microtasks that a stream with everything at hand may take to say so. */
const PROMPT = 4;

/**
 * Sends a stream, as fast as the peer takes it. One that has all of its content at hand, as those of Node's own Response over text have, goes as a whole.
 */
async function pump(answer: Response, body: ReadableStream<Uint8Array>, response: HttpResponse): Promise<void> {
  const reader = body.getReader();
  const { status, headers: fields } = answer;
  try {
    if (response.request.method === "HEAD") {
      response.writeHead(status, fields);
      response.end();
      return;
    }
    let next = await reader.read();
    if (next.done) {
      response.send(status, fields);
      return;
    }
    const first = bytesOf(next.value);
    const following = reader.read();
    let second: Awaited<typeof following> | undefined;
    following.then(
      (result) => {
        second = result;
      },
      () => {},
    );
    for (let waited = 0; waited < PROMPT && second === undefined; waited++) await undefined;
    if ((second as { done: boolean } | undefined)?.done === true) {
      response.send(status, fields, first);
      return;
    }
    response.writeHead(status, fields);
    let goesOn = response.write(first);
    next = await following;
    while (!next.done) {
      if (!goesOn && !(await response.drained())) return;
      goesOn = response.write(bytesOf(next.value));
      next = await reader.read();
    }
    response.end();
  } finally {
    // Whoever makes it is told where it was not read to its end; of one that was, that is nothing.
    reader.cancel(response.request.isAborted ? response.request.signal.reason : undefined).catch(() => {});
  }
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`a response's stream must give Uint8Arrays, not ${describe(chunk)}`);
}
