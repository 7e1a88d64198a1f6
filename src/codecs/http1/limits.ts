import { checkCount, checkInteger } from "../../base/checks.js";
import { checkOptions, type Names } from "../../base/known_names.js";
import {
  HTTP_CHUNK_EXTENSIONS,
  HTTP_HEADER_FIELDS,
  HTTP_HEADER_SECTION,
  HTTP_START_LINE,
  HTTP_TRAILER_SECTION,
} from "../../base/limits.js";

/** The most fields a limit may allow: the places of all of them stand in one table. */
export const MOST_FIELDS = 1024;
const MOST_BYTES = 1024 * 1024;

/** How much of a message is read before it is refused, and with which status. */
export interface Http1Limits {
  /** The start line in bytes, without its line end: 414. Default 8 KiB. */
  readonly maxStartLine: number;
  /** The header section in bytes, from the end of the start line to the end of the empty line: 431. Default 16 KiB. */
  readonly maxHeaderSection: number;
  /** Fields of the header section, and of the trailer section: 431. Default 100, at most 1024. */
  readonly maxHeaderFields: number;
  /** The trailer section in bytes, its empty line included: 431. Default 8 KiB. */
  readonly maxTrailerSection: number;
  /** Chunk extensions of one message in bytes: 413. Default 16 KiB. */
  readonly maxChunkExtensions: number;
  /** Content in bytes, without its framing: 413. Default Infinity; `maxBody` of a request, and of `Http1Parser`, changes it for one message. */
  readonly maxBody: number;
}

/** The names of `Http1Limits`. */
export const HTTP1_LIMIT_NAMES: Names<Http1Limits> = {
  maxStartLine: true,
  maxHeaderSection: true,
  maxHeaderFields: true,
  maxTrailerSection: true,
  maxChunkExtensions: true,
  maxBody: true,
};

export const DEFAULT_HTTP1_LIMITS: Http1Limits = Object.freeze({
  maxStartLine: HTTP_START_LINE,
  maxHeaderSection: HTTP_HEADER_SECTION,
  maxHeaderFields: HTTP_HEADER_FIELDS,
  maxTrailerSection: HTTP_TRAILER_SECTION,
  maxChunkExtensions: HTTP_CHUNK_EXTENSIONS,
  maxBody: Number.POSITIVE_INFINITY,
});

/** One object for all connections of a server. Throws ArgumentError for a limit out of its range. */
export function checkHttp1Limits(limits: Partial<Http1Limits>): Http1Limits {
  checkOptions(limits, HTTP1_LIMIT_NAMES);
  const all = { ...DEFAULT_HTTP1_LIMITS, ...limits };
  checkInteger(all.maxStartLine, "maxStartLine", 16, MOST_BYTES);
  checkInteger(all.maxHeaderSection, "maxHeaderSection", 16, MOST_BYTES);
  checkInteger(all.maxHeaderFields, "maxHeaderFields", 1, MOST_FIELDS);
  checkInteger(all.maxTrailerSection, "maxTrailerSection", 2, MOST_BYTES);
  checkInteger(all.maxChunkExtensions, "maxChunkExtensions", 0, MOST_BYTES);
  checkCount(all.maxBody, "maxBody");
  return Object.freeze(all);
}
