import { describe } from "../../base/describe.js";
import { ArgumentError } from "../../base/errors.js";
import { MAX_HTTP_METHOD } from "../../base/limits.js";
import { checkFieldName, checkFieldValue, isFraming, TEXT_FORM, TOKEN_FORM } from "./field_text.js";
import { isForbiddenTrailer, isMiscased } from "./names.js";
import { type Authority, faultOfTarget, isAuthority, sameAuthority } from "./target.js";

/**
 * Makes the text of HTTP/1.1 messages, to be sent as latin1: one character for a byte. What it makes, `Http1Parser` reads back as it was
 * given; what that would refuse, or read differently, is refused here with an ArgumentError, before any of it is sent. So nothing
 * that a program passes on from its users can end a line, a head or a message.
 *
 * How content is framed is told apart from the fields, and those that say it are made here: a program cannot contradict itself.
 */

/** Names and values, in the order they are sent. Blanks around a value go, as a receiver would take them away. */
export type OutgoingFields = Iterable<readonly [string, string]>;

/**
 * How the content is framed: a number of bytes, which `Content-Length` declares; in chunks, each between `chunkStart` and CR LF, and
 * `lastChunk` behind them; or not at all. `until-close`, of a response alone, is for HTTP/1.0, which has no chunks.
 */
export type Framing = number | "chunked" | "none" | "until-close";

const TARGET_FORM = /^[!$-;=?-~]+$/;

const REASONS: Readonly<Record<number, string>> = {
  100: "Continue",
  101: "Switching Protocols",
  103: "Early Hints",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  207: "Multi-Status",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  507: "Insufficient Storage",
  511: "Network Authentication Required",
};
const STATUS_LINES = new Map(
  Object.entries(REASONS).map(([status, reason]) => [Number(status), `HTTP/1.1 ${status} ${reason}\r\n`]),
);

/** The reason that belongs to a status; empty for one that has none. */
export function reasonOf(status: number): string {
  return REASONS[status] ?? "";
}

const authority: Authority = { start: 0, end: 0, defaultPort: "" };

/** The head of a request, its empty line included. One Host is a must. Throws ArgumentError. */
export function requestHead(method: string, target: string, fields: OutgoingFields, framing: Framing): string {
  if (typeof method !== "string" || !TOKEN_FORM.test(method) || method.length > MAX_HTTP_METHOD) {
    throw new ArgumentError(`method must be a token of at most ${MAX_HTTP_METHOD} characters, not ${describe(method)}`);
  }
  if (isMiscased(method)) throw new ArgumentError(`method must be ${method.toUpperCase()}, not ${describe(method)}`);
  if (typeof target !== "string" || !TARGET_FORM.test(target)) {
    throw new ArgumentError(`target must be a path or a URL, encoded, not ${describe(target)}`);
  }
  const bytes = Buffer.from(target, "latin1");
  const fault = faultOfTarget(bytes, 0, bytes.length, method, authority);
  if (fault !== undefined) throw new ArgumentError(`${fault}: ${describe(target)}`);
  const named = authority.end > 0 ? target.slice(authority.start, authority.end) : undefined;
  const port = authority.defaultPort;
  if (framing === "until-close") throw new ArgumentError("a request cannot be framed until-close");
  const hasContent = framing === "chunked" || (typeof framing === "number" && framing > 0);
  if (hasContent && (method === "TRACE" || method === "CONNECT")) {
    throw new ArgumentError(`a request of ${method} must have no content`);
  }
  let hosts = 0;
  let hasType = false;
  const lines = fieldLines(fields, (name, value) => {
    if (name === "content-type") hasType = true;
    if (name !== "host") return;
    hosts++;
    const host = Buffer.from(value, "latin1");
    if (!isAuthority(host, 0, host.length)) throw new ArgumentError(`Host must be a host, not ${describe(value)}`);
    if (named !== undefined && !sameAuthority(value, named, port)) {
      throw new ArgumentError(`Host must be ${named}, the target's, not ${describe(value)}`);
    }
  });
  if (hosts !== 1) throw new ArgumentError(`a request must have one Host, not ${hosts}`);
  if (hasContent && method === "OPTIONS" && !hasType) {
    throw new ArgumentError("content of OPTIONS must have a Content-Type");
  }
  return `${method} ${target} HTTP/1.1\r\n${lines}${framingLine(framing)}\r\n`;
}

/**
 * The head of a response, its empty line included; `reason` is what belongs to the status unless it is given. Responses of 1xx and 204
 * are framed `none`; that to HEAD declares what it does not send. Throws ArgumentError.
 */
export function responseHead(status: number, fields: OutgoingFields, framing: Framing, reason?: string): string {
  const line = statusLine(status, reason);
  if ((status < 200 || status === 204) && framing !== "none") {
    throw new ArgumentError(`a response of ${status} must have no content`);
  }
  return `${line}${fieldLines(fields, nothing)}${framingLine(framing)}\r\n`;
}

/** The first line of a response, its line end included. Throws ArgumentError. */
export function statusLine(status: number, reason?: string): string {
  const line = reason === undefined ? STATUS_LINES.get(status) : undefined;
  if (line !== undefined) return line;
  if (!Number.isInteger(status) || status < 100 || status > 999) {
    throw new ArgumentError(`status must be a whole number from 100 to 999, not ${describe(status)}`);
  }
  if (reason !== undefined && (typeof reason !== "string" || !TEXT_FORM.test(reason))) {
    throw new ArgumentError(`reason must be text without controls, not ${describe(reason)}`);
  }
  return `HTTP/1.1 ${status} ${reason ?? ""}\r\n`;
}

/** What stands before the data of a chunk; behind the data stand CR and LF. A chunk must have some: an empty one is the last. */
export function chunkStart(bytes: number): string {
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new ArgumentError(`a chunk must have a whole number of bytes from 1 on, not ${describe(bytes)}`);
  }
  return `${bytes.toString(16)}\r\n`;
}

/** What stands behind the last chunk with data: the end of the content, and the trailers. Throws ArgumentError. */
export function lastChunk(trailers: OutgoingFields = []): string {
  const lines = fieldLines(trailers, (name) => {
    if (isForbiddenTrailer(name)) throw new ArgumentError(`${name} must not stand behind the content`);
  });
  return `0\r\n${lines}\r\n`;
}

function nothing(): void {}

function fieldLines(fields: OutgoingFields, check: (name: string, value: string) => void): string {
  let lines = "";
  for (const [name, given] of fields) {
    const lower = checkFieldName(name);
    const value = checkFieldValue(name, given);
    if (isFraming(lower)) throw new ArgumentError(`${name} must not be given as a field: the framing makes it`);
    check(lower, value);
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

function framingLine(framing: Framing): string {
  switch (framing) {
    case "none":
      return "";
    case "chunked":
      return "Transfer-Encoding: chunked\r\n";
    case "until-close":
      return "Connection: close\r\n";
  }
  if (!Number.isSafeInteger(framing) || framing < 0) {
    throw new ArgumentError(
      `framing must be a number of bytes, chunked, none or until-close, not ${describe(framing)}`,
    );
  }
  return `Content-Length: ${framing}\r\n`;
}
