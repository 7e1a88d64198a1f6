import type { Connection } from "eventmachine";
import { HttpConnection, type HttpOptions, type HttpRequest, type HttpResponse } from "eventmachine/http";
import type { Recorder, Script } from "./recorder.js";
import type { Trial } from "./trial.js";

/** What a test's server does with a request. */
export type Answer = (request: HttpRequest, response: HttpResponse, connection: HttpConnection) => unknown;

/** A server of HTTP, and the connections it has accepted. */
export interface HttpServed {
  readonly port: number;
  readonly connections: Scripted[];
  /** Connects, and says this. */
  ask(text: string, script?: Script): Recorder;
}

/** A connection whose requests are answered by a function, and which notes what it is told. */
export class Scripted extends HttpConnection {
  readonly reasons: string[] = [];
  readonly refusals: string[] = [];
  readonly errors: unknown[] = [];
  readonly raw: Buffer[] = [];
  readonly #answer: Answer;

  constructor(connections: Scripted[], answer: Answer, options?: HttpOptions) {
    super(options);
    this.#answer = answer;
    connections.push(this);
  }

  override receiveRequest(request: HttpRequest, response: HttpResponse): unknown {
    return this.#answer(request, response, this);
  }

  override requestRefused(error: { code: string }): void {
    this.refusals.push(error.code);
  }

  override receiveData(data: Buffer): void {
    this.raw.push(data);
  }

  override onError(error: unknown): boolean {
    this.errors.push(error);
    return true;
  }

  override unbind(reason: Parameters<Connection["unbind"]>[0]): void {
    this.reasons.push(reason.kind);
  }
}

/** Serves on the trial's medium. */
export async function serveHttp(trial: Trial, answer: Answer, options?: HttpOptions): Promise<HttpServed> {
  const connections: Scripted[] = [];
  const address = { host: "127.0.0.1", port: 0, lingerTimeout: 500, ...trial.serverTls };
  const { port } = await trial.reactor.startServer(address, Scripted, connections, answer, options);
  return {
    port,
    connections,
    ask(text, script = {}) {
      const client = trial.dial({ host: "127.0.0.1", port }, { name: "client", ...script });
      client.sendData(text, "latin1");
      return client;
    },
  };
}

/** A response as a client sees it. */
export interface Seen {
  readonly status: number;
  readonly reason: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
  readonly trailers: string;
}

/**
 * The responses in bytes that a server has sent, in latin1; undefined where the last is not whole. `methods`: what they answer, GET
 * where it is not said.
 */
export function responses(text: string, methods: readonly string[] = []): Seen[] | undefined {
  const seen: Seen[] = [];
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf("\r\n\r\n", at);
    if (end < 0) return undefined;
    const [line = "", ...lines] = text.slice(at, end).split("\r\n");
    const [, status = "", reason = ""] = /^HTTP\/1\.1 (\d{3}) (.*)$/.exec(line) ?? [];
    if (status === "") throw new Error(`no status line: ${line}`);
    const fields = new Map(
      lines.map((each) => [each.slice(0, each.indexOf(":")).toLowerCase(), each.slice(each.indexOf(":") + 2)]),
    );
    at = end + 4;
    const finals = seen.filter((each) => each.status >= 200).length;
    const isBare = methods[finals] === "HEAD" || Number(status) < 200 || status === "204" || status === "304";
    let body = "";
    let trailers = "";
    if (isBare) {
      // Nothing follows.
    } else if (fields.get("transfer-encoding") === "chunked") {
      for (let size = -1; size !== 0; ) {
        const lineEnd = text.indexOf("\r\n", at);
        if (lineEnd < 0) return undefined;
        size = Number.parseInt(text.slice(at, lineEnd), 16);
        at = lineEnd + 2;
        if (size > 0) {
          body += text.slice(at, at + size);
          at += size + 2;
          if (at > text.length) return undefined;
        }
      }
      const last = text.startsWith("\r\n", at) ? at : text.indexOf("\r\n\r\n", at) + 2;
      if (last < 2) return undefined;
      trailers = text.slice(at, last);
      at = last + 2;
    } else if (fields.has("content-length")) {
      const length = Number(fields.get("content-length"));
      if (at + length > text.length) return undefined;
      body = text.slice(at, at + length);
      at += length;
    } else {
      body = text.slice(at);
      at = text.length;
    }
    seen.push({ status: Number(status), reason, fields, body, trailers });
  }
  return seen;
}

/** Waits for so many whole final responses. */
export async function answers(
  trial: Trial,
  client: Recorder,
  count: number,
  methods?: readonly string[],
): Promise<Seen[]> {
  const finals = () =>
    (responses(client.received.toString("latin1"), methods) ?? []).filter(({ status }) => status >= 200);
  await trial.until(() => finals().length >= count || client.isUnbound, `${count} responses`);
  return finals();
}
