/** Methods that have a meaning of their own somewhere in the field: those of RFC 9110, PATCH, and WebDAV's. */
const METHODS: readonly string[] = [
  "GET",
  "POST",
  "HEAD",
  "PUT",
  "DELETE",
  "OPTIONS",
  "PATCH",
  "CONNECT",
  "TRACE",
  "PROPFIND",
  "PROPPATCH",
  "MKCOL",
  "COPY",
  "MOVE",
  "LOCK",
  "UNLOCK",
  "SEARCH",
  "REPORT",
  "QUERY",
];
const METHOD_BYTES = METHODS.map((name) => Buffer.from(name, "latin1"));
const FOLDED = new Set(METHODS);

/** The name of a usual method, which is not made anew; undefined for any other. */
export function usualMethod(bytes: Buffer, start: number, end: number): string | undefined {
  const first = bytes[start];
  for (let i = 0; i < METHOD_BYTES.length; i++) {
    const known = METHOD_BYTES[i]!;
    if (known[0] !== first || known.length !== end - start) continue;
    let at = 1;
    while (at < known.length && known[at] === bytes[start + at]) at++;
    if (at === known.length) return METHODS[i]!;
  }
  return undefined;
}

/** A usual method in the wrong case: methods are case-sensitive (RFC 9110 section 9.1), so that it means nothing. */
export function isMiscased(method: string): boolean {
  const upper = method.toUpperCase();
  return upper !== method && FOLDED.has(upper);
}

const COMMON: readonly string[] = [
  "Accept",
  "Accept-Charset",
  "Accept-Encoding",
  "Accept-Language",
  "Accept-Ranges",
  "Access-Control-Allow-Origin",
  "Access-Control-Request-Headers",
  "Access-Control-Request-Method",
  "Age",
  "Allow",
  "Authorization",
  "Cache-Control",
  "Connection",
  "Content-Disposition",
  "Content-Encoding",
  "Content-Language",
  "Content-Length",
  "Content-Range",
  "Content-Type",
  "Cookie",
  "Date",
  "DNT",
  "ETag",
  "Expect",
  "Expires",
  "Forwarded",
  "Host",
  "If-Match",
  "If-Modified-Since",
  "If-None-Match",
  "If-Range",
  "If-Unmodified-Since",
  "Keep-Alive",
  "Last-Modified",
  "Link",
  "Location",
  "Origin",
  "Pragma",
  "Priority",
  "Range",
  "Referer",
  "Sec-Fetch-Dest",
  "Sec-Fetch-Mode",
  "Sec-Fetch-Site",
  "Sec-Fetch-User",
  "Sec-WebSocket-Extensions",
  "Sec-WebSocket-Key",
  "Sec-WebSocket-Protocol",
  "Sec-WebSocket-Version",
  "Server",
  "Set-Cookie",
  "Strict-Transport-Security",
  "TE",
  "Trailer",
  "Transfer-Encoding",
  "Upgrade",
  "Upgrade-Insecure-Requests",
  "User-Agent",
  "Vary",
  "Via",
  "X-Forwarded-For",
  "X-Forwarded-Host",
  "X-Forwarded-Proto",
  "X-Request-Id",
  "X-Requested-With",
];

/** Names as they are usually written, in lower case and as in the RFCs, by what they are in lower case. */
const LOWER = new Map(COMMON.flatMap((name) => [name, name.toLowerCase()].map((form) => [form, name.toLowerCase()])));

/** A field's name in lower case, which for a common one is not made anew. */
export function lowerName(name: string): string {
  return LOWER.get(name) ?? name.toLowerCase();
}

/**
 * What may not stand in a trailer section (RFC 9110 section 6.5.1): fields of framing, routing, modifiers of the request,
 * authentication, control of the response, and how content is to be processed. Whoever merged them into the header section would be
 * told something that nobody checked.
 */
const FORBIDDEN_TRAILERS = new Set([
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
  "age",
  "authorization",
  "cache-control",
  "connection",
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-range",
  "content-type",
  "cookie",
  "cookie2",
  "date",
  "expect",
  "expires",
  "forwarded",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "keep-alive",
  "location",
  "max-forwards",
  "origin",
  "pragma",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "range",
  "referer",
  "retry-after",
  "set-cookie",
  "set-cookie2",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "vary",
  "via",
  "warning",
  "www-authenticate",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
]);

/** Whether a name, in lower case, may not stand in a trailer section; one with `_` for `-` neither. */
export function isForbiddenTrailer(name: string): boolean {
  return FORBIDDEN_TRAILERS.has(name) || (name.includes("_") && FORBIDDEN_TRAILERS.has(name.replaceAll("_", "-")));
}
