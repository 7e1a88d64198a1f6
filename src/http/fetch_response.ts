import { types } from "node:util";
import type { HttpResponse } from "./http_response.js";
import type { ResponseFields } from "./response_fields.js";

const NodeResponse = globalThis.Response;

/** What a response is made of of which nothing need be made. */
type FetchBody = string | Uint8Array | null;

type HeadersGiven = ConstructorParameters<typeof Headers>[0];

const NO_INIT: ResponseInit = Object.freeze({});
const TEXT = "text/plain;charset=UTF-8";

/**
 * A response that costs next to nothing to make and to send: `Response` to `instanceof` and in what it does. Of text, bytes, a stream or an async
 * iterable nothing is made before something is asked of it; everything else becomes Node's own at once.
 */
export class FetchResponse {
  #status: number;
  #statusText: string;
  #given: HeadersGiven | undefined;
  #body: FetchBody;
  #headers: Headers | undefined;
  #own: Response | undefined;

  constructor(body?: unknown, init: ResponseInit = NO_INIT) {
    this.#headers = this.#own = this.#given = undefined;
    this.#body = null;
    this.#status = 200;
    this.#statusText = "";
    const { status = 200, statusText = "", headers } = init ?? NO_INIT;
    if (
      isSimple(body) &&
      isSimpleInit(status, statusText) &&
      !(body !== undefined && body !== null && isBare(status))
    ) {
      this.#status = status;
      this.#given = headers as HeadersGiven;
      this.#body = body ?? null;
      return;
    }
    this.#own = new NodeResponse(body as ConstructorParameters<typeof NodeResponse>[0], init);
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof NodeResponse;
  }

  static json(data: unknown, init: ResponseInit = NO_INIT): Response {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("Response.json: the value is no JSON");
    const headers = new Headers(init.headers as HeadersGiven);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new FetchResponse(text, { ...init, headers }) as unknown as Response;
  }

  static redirect(url: string | URL, status = 302): Response {
    return NodeResponse.redirect(url, status as 302);
  }

  static error(): Response {
    return NodeResponse.error();
  }

  /**
   * Sends what is all at hand. Otherwise, or where it is Node's own, nothing is sent, and the stream that is to be is returned; null for none.
   */
  static send(answer: Response, response: HttpResponse): ReadableStream<Uint8Array> | undefined {
    const own = #body in answer ? (answer as FetchResponse).#send(response) : answer;
    if (own === undefined) return undefined;
    if (own.bodyUsed) throw new TypeError("the response's content was read already");
    const body = own.body as ReadableStream<Uint8Array> | null;
    if (body !== null) return body;
    response.send(own.status, own.headers);
    return undefined;
  }

  #send(response: HttpResponse): Response | undefined {
    if (this.#own !== undefined) return this.#own;
    const body = this.#body;
    const fields = (this.#headers ?? this.#given ?? NO_INIT) as ResponseFields;
    response.sendAs(this.#status, fields, body ?? "", typeof body === "string" ? TEXT : "");
    return undefined;
  }

  get status(): number {
    return this.#own?.status ?? this.#status;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  get statusText(): string {
    return this.#own?.statusText ?? this.#statusText;
  }

  get headers(): Headers {
    if (this.#own !== undefined) return this.#own.headers;
    if (this.#headers === undefined) {
      this.#headers = new Headers(this.#given);
      if (typeof this.#body === "string" && !this.#headers.has("content-type")) this.#headers.set("content-type", TEXT);
    }
    return this.#headers;
  }

  /** Node's own, which has the content from then on. */
  full(): Response {
    this.#own ??= new NodeResponse(this.#body as ConstructorParameters<typeof NodeResponse>[0], {
      status: this.#status,
      headers: this.headers,
    });
    return this.#own;
  }
}

function inheritRest(): void {
  const { prototype } = FetchResponse;
  const sample = new NodeResponse();
  const names = [
    ...Object.keys(Object.getOwnPropertyDescriptors(NodeResponse.prototype)),
    ...Object.getOwnPropertySymbols(sample),
  ];
  for (const name of names) {
    if (Object.hasOwn(prototype, name)) continue;
    Object.defineProperty(prototype, name, {
      configurable: true,
      get(this: FetchResponse) {
        const own = this.full() as unknown as Record<string | symbol, unknown>;
        const value = own[name];
        return typeof value === "function" ? value.bind(own) : value;
      },
    });
  }
  Object.setPrototypeOf(prototype, NodeResponse.prototype);
}
inheritRest();

function isSimpleInit(status: unknown, statusText: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 200 && (status as number) <= 599 && statusText === "";
}

function isBare(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

function isSimple(body: unknown): body is FetchBody | undefined {
  if (typeof body === "string" || body === undefined || body === null) return true;
  return types.isUint8Array(body);
}
