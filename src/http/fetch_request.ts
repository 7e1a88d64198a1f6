import type { SocketAddress } from "../base/addresses.js";
import type { Connection } from "../connection/connection.js";
import { FetchHeaders } from "./fetch_headers.js";
import type { HttpRequest } from "./http_request.js";
import type { HttpResponse } from "./http_response.js";
import type { ResponseFields } from "./response_fields.js";

/** What a handler of fetch is told beside the request. */
export class RequestInfo {
  readonly #response: HttpResponse;

  /** @internal */
  constructor(response: HttpResponse) {
    this.#response = response;
  }

  /** The connection that the request came on. */
  get connection(): Connection {
    return this.#response.request.connection;
  }

  /** The peer's address. */
  get remoteAddress(): SocketAddress | undefined {
    return this.connection.remoteAddress;
  }

  /** Whether the request asks for another protocol, by Upgrade or CONNECT. */
  get wantsUpgrade(): boolean {
    return this.#response.request.wantsUpgrade;
  }

  /** The fields behind the request's content; undefined before its end, and where there are none. */
  get trailers(): Iterable<[string, string]> | undefined {
    return this.#response.request.trailers;
  }

  /**
   * Grants what the request wants, as `HttpResponse.upgrade` does. The connection is paused until `toDuplex`, `for await` or `resume`; what the
   * handler returns then goes nowhere.
   */
  upgrade(headers?: ResponseFields): { connection: Connection; unread: Buffer } {
    return { connection: this.connection, ...this.#response.upgrade(headers) };
  }

  /** Sends an interim response, as `HttpResponse.informational` does: early hints. */
  informational(status: number, headers?: ResponseFields): void {
    this.#response.informational(status, headers);
  }
}

/** What undici takes beside what the types say. */
type HalfDuplex = RequestInit & { duplex: "half" };

/**
 * A request as a handler of fetch sees it: `Request` to `instanceof` and in what it does, over an HttpRequest. Method, URL, headers, signal
 * and content come from that; for whatever else is asked, Node's own Request is made.
 */
export class FetchRequest {
  readonly #request: HttpRequest;
  #url: string | undefined;
  #headers: FetchHeaders | undefined;
  #stream: ReadableStream<Uint8Array> | undefined;
  #own: Request | undefined;

  constructor(request: HttpRequest) {
    this.#request = request;
    this.#url = undefined;
    this.#headers = undefined;
    this.#stream = undefined;
    this.#own = undefined;
  }

  static isOne(value: unknown): value is FetchRequest {
    return typeof value === "object" && value !== null && #request in value;
  }

  get method(): string {
    return this.#request.method;
  }

  get url(): string {
    this.#url ??= this.#request.url;
    return this.#url;
  }

  get headers(): Headers {
    this.#headers ??= new FetchHeaders(this.#request.headers);
    return this.#headers as unknown as Headers;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#own !== undefined) return this.#own.body;
    const { body } = this.#request;
    if (body === undefined) return null;
    this.#stream ??= new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const piece = await body.read();
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        },
        cancel: () => body.drop(),
      },
      { highWaterMark: 0 },
    );
    return this.#stream;
  }

  get bodyUsed(): boolean {
    return this.#own?.bodyUsed ?? this.#request.bodyUsed;
  }

  text(): Promise<string> {
    return this.#read(textOf);
  }

  json(): Promise<unknown> {
    return this.#read((bytes) => JSON.parse(textOf(bytes)) as unknown);
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#read((bytes) => new Uint8Array(bytes).buffer);
  }

  bytes(): Promise<Uint8Array> {
    return this.#read((bytes) => new Uint8Array(bytes));
  }

  blob(): Promise<Blob> {
    return this.#read((bytes) => new Blob([new Uint8Array(bytes)], { type: this.headers.get("content-type") ?? "" }));
  }

  formData(): Promise<FormData> {
    const type = this.headers.get("content-type") ?? "";
    return this.#read((bytes) => {
      const init = { headers: { "content-type": type } };
      return new NodeResponse(new Uint8Array(bytes), init).formData() as Promise<FormData>;
    });
  }

  #read<T>(make: (bytes: Buffer) => T | Promise<T>): Promise<T> {
    return this.#request.answered(this.#gather().then(make));
  }

  /** A Request of Node's own, with the content for both. */
  clone(): Request {
    return this.full().clone();
  }

  async #gather(): Promise<Buffer> {
    if (this.#own !== undefined) return Buffer.from(await this.#own.arrayBuffer());
    if (this.#request.bodyUsed) throw new TypeError("Body is unusable: Body has already been read");
    if (this.#stream?.locked === true) throw new TypeError("Body is unusable: its stream is locked");
    return this.#request.bytes();
  }

  /** Node's own Request, which has the content from then on. */
  full(): Request {
    this.#own ??= new NodeRequest(this.url, {
      method: this.method,
      headers: this.headers,
      body: this.body,
      signal: this.signal,
      duplex: "half",
    } as HalfDuplex);
    return this.#own;
  }
}

const NodeRequest = globalThis.Request;
const NodeResponse = globalThis.Response;

/** As the platform decodes: without the mark of the byte order. */
function textOf(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** What is left of Request's members, and the symbols under which Node keeps its state where it does: from one of Node's own. */
function inheritRest(): void {
  const { prototype } = FetchRequest;
  const sample = new NodeRequest("http://localhost/");
  const names = [
    ...Object.keys(Object.getOwnPropertyDescriptors(NodeRequest.prototype)),
    ...Object.getOwnPropertySymbols(sample),
  ];
  for (const name of names) {
    if (Object.hasOwn(prototype, name)) continue;
    Object.defineProperty(prototype, name, {
      configurable: true,
      get(this: FetchRequest) {
        const own = this.full() as unknown as Record<string | symbol, unknown>;
        const value = own[name];
        return typeof value === "function" ? value.bind(own) : value;
      },
    });
  }
  Object.setPrototypeOf(prototype, NodeRequest.prototype);
}
inheritRest();
