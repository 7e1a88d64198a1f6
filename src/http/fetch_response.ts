import { types } from "node:util";

const NodeResponse = globalThis.Response;

/** What a response is made of, as it was given. */
export type FetchBody = string | Uint8Array | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string> | null;

type HeadersGiven = ConstructorParameters<typeof Headers>[0];

/** What is sent of a response: without Node's own having been made of it, where that need not be. */
export interface Sendable {
  readonly status: number;
  /** As given: pairs, `Headers`, or an object of names and values. */
  readonly headers: HeadersGiven | undefined;
  /** Whether text has no content type of its own. */
  readonly isPlainText: boolean;
  readonly body: FetchBody;
}

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

  /** What is to be sent, of ours and of Node's own. */
  static sendable(response: Response): Sendable {
    if (#body in response) return (response as FetchResponse).#sendable();
    return ofNode(response);
  }

  #sendable(): Sendable {
    if (this.#own !== undefined) return ofNode(this.#own);
    const headers = this.#headers;
    if (headers !== undefined) return { status: this.#status, headers, isPlainText: false, body: this.#body };
    const isPlainText = typeof this.#body === "string";
    return { status: this.#status, headers: this.#given, isPlainText, body: this.#body };
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

function ofNode(response: Response): Sendable {
  const { status, headers, body } = response;
  if (response.bodyUsed) throw new TypeError("the response's content was read already");
  return { status, headers, isPlainText: false, body: body as ReadableStream<Uint8Array> | null };
}

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

/** What the content type of text is that has none. */
export const PLAIN_TEXT = TEXT;
