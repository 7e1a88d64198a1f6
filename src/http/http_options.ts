import { checkCount, checkDuration, checkInteger, checkNumber } from "../base/checks.js";
import { checkOptions, type Names } from "../base/known_names.js";
import {
  HTTP_BODY_TIMEOUT,
  HTTP_BUFFERED_BODY,
  HTTP_HEADER_TIMEOUT,
  HTTP_KEEP_ALIVE_TIMEOUT,
  HTTP_MIN_BODY_RATE,
  HTTP_PIPELINED,
  HTTP_RESPONSE_TIMEOUT,
} from "../base/limits.js";
import { checkHttp1Limits, HTTP1_LIMIT_NAMES, type Http1Limits } from "../codecs/http1/limits.js";

type Changeable<T> = { -readonly [Name in keyof T]: T[Name] };

/** How a server of HTTP reads and answers. Times in milliseconds, 0 for off; sizes in bytes. */
export interface HttpOptions extends Changeable<Partial<Http1Limits>> {
  /** The most content that `bytes`, `text` and `json` gather where they are not told: 413. Default 1 MiB. */
  maxBufferedBody?: number;
  /** Requests of one connection that may wait for their responses; then it is not read until one is done. Default 16. */
  maxPipelined?: number;
  /** Requests of one connection; the response to the last of them closes it. Default Infinity. */
  maxRequestsPerConnection?: number;
  /** How long the head of a request may take, from the connection's opening or its own first byte: 408. Default 10 s. */
  headerTimeout?: number;
  /** How long the content of a request may make no progress, while it is read: 408. Default 30 s. */
  bodyTimeout?: number;
  /** Bytes a second that content must come with on the average, `bodyTimeout` being the advance: 408. Default 240; 0 is off. */
  minBodyRate?: number;
  /** How long a connection may be without a request. It is announced, rounded down to seconds, and closed one second later. Default 5 s. */
  keepAliveTimeout?: number;
  /** How long a response that the peer is slow to take may make no progress. Default 30 s. */
  responseTimeout?: number;
}

const NAMES: Names<HttpOptions> = {
  ...HTTP1_LIMIT_NAMES,
  maxBufferedBody: true,
  maxPipelined: true,
  maxRequestsPerConnection: true,
  headerTimeout: true,
  bodyTimeout: true,
  minBodyRate: true,
  keepAliveTimeout: true,
  responseTimeout: true,
};

/** The same, checked and complete: one object for all connections that are given the same options. */
export interface HttpSettings extends Required<Omit<HttpOptions, keyof Http1Limits>> {
  readonly limits: Http1Limits;
  /** What a response says of the connection where that goes on: to HTTP/1.1, and to HTTP/1.0. */
  readonly persistLines: string;
  readonly persistLines10: string;
}

const known = new WeakMap<HttpOptions, HttpSettings>();

/** The names of `HttpOptions`. */
export const HTTP_OPTION_NAMES: Readonly<Record<string, true>> = NAMES;

/** Checks options once, however many connections they are given to. Throws ArgumentError. */
export function settingsOf(options: HttpOptions): HttpSettings {
  const before = known.get(options);
  if (before !== undefined) return before;
  checkOptions(options, NAMES);
  const settings = check(options);
  known.set(options, settings);
  return settings;
}

function check(options: HttpOptions): HttpSettings {
  const {
    maxBufferedBody = HTTP_BUFFERED_BODY,
    maxPipelined = HTTP_PIPELINED,
    maxRequestsPerConnection = Number.POSITIVE_INFINITY,
    headerTimeout = HTTP_HEADER_TIMEOUT,
    bodyTimeout = HTTP_BODY_TIMEOUT,
    minBodyRate = HTTP_MIN_BODY_RATE,
    keepAliveTimeout = HTTP_KEEP_ALIVE_TIMEOUT,
    responseTimeout = HTTP_RESPONSE_TIMEOUT,
    ...limits
  } = options;
  const seconds = Math.floor(checkDuration(keepAliveTimeout, "keepAliveTimeout") / 1000);
  const announced = seconds >= 1 ? `Connection: keep-alive\r\nKeep-Alive: timeout=${seconds}\r\n` : "";
  return Object.freeze({
    limits: checkHttp1Limits(limits),
    maxBufferedBody: checkCount(maxBufferedBody, "maxBufferedBody"),
    maxPipelined: checkInteger(maxPipelined, "maxPipelined", 1),
    maxRequestsPerConnection: checkCount(maxRequestsPerConnection, "maxRequestsPerConnection", 1),
    headerTimeout: checkDuration(headerTimeout, "headerTimeout"),
    bodyTimeout: checkDuration(bodyTimeout, "bodyTimeout"),
    minBodyRate: checkNumber(minBodyRate, "minBodyRate", 0, Number.MAX_SAFE_INTEGER),
    keepAliveTimeout,
    responseTimeout: checkDuration(responseTimeout, "responseTimeout"),
    persistLines: announced,
    persistLines10: announced === "" ? "Connection: keep-alive\r\n" : announced,
  });
}
