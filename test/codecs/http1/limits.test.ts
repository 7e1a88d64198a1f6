import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError } from "../../../src/base/errors.js";
import { checkHttp1Limits, type Http1Limits } from "../../../src/codecs/http1/limits.js";
import { bytewise, Notes } from "./notes.js";

const KiB = 1024;
const HOST = "Host: a\r\n";

/** The error's status and code, the same byte by byte; undefined where it is taken. */
function refusal(text: string, limits: Partial<Http1Limits> = {}): [number, string] | undefined {
  const whole = new Notes("request", limits).feed(text);
  assert.deepEqual(new Notes("request", limits).feed(...bytewise(text)).events, whole.events);
  if (whole.refusal !== undefined) return [whole.refusal, whole.code!];
  assert.equal(whole.events.at(-1)?.kind, "end");
  return undefined;
}

describe("limits of HTTP/1 messages", () => {
  it("takes a start line of 8 KiB, and no longer one", () => {
    const request = (bytes: number) => `GET /${"a".repeat(bytes - "GET / HTTP/1.1".length)} HTTP/1.1\r\n${HOST}\r\n`;
    assert.equal(refusal(request(8 * KiB)), undefined);
    assert.deepEqual(refusal(request(8 * KiB + 1)), [414, "ERR_EM_HTTP_URI_TOO_LONG"]);
    assert.deepEqual(refusal(request(64 * KiB)), [414, "ERR_EM_HTTP_URI_TOO_LONG"]);
    assert.equal(refusal(`\r\n${request(8 * KiB)}`), undefined);
    assert.deepEqual(refusal(`\r\n${request(8 * KiB + 1)}`), [414, "ERR_EM_HTTP_URI_TOO_LONG"]);
    // It is told while the line goes on.
    assert.equal(new Notes("request").feed(`GET /${"a".repeat(9 * KiB)}`).refusal, 414);
  });

  it("takes a header section of 16 KiB, and no longer one", () => {
    const request = (bytes: number) => {
      const value = "a".repeat(bytes - `${HOST}X: \r\n\r\n`.length);
      return `GET / HTTP/1.1\r\n${HOST}X: ${value}\r\n\r\n`;
    };
    assert.equal(refusal(request(16 * KiB)), undefined);
    assert.deepEqual(refusal(request(16 * KiB + 1)), [431, "ERR_EM_HTTP_HEADERS_TOO_LARGE"]);
    assert.deepEqual(refusal(request(64 * KiB)), [431, "ERR_EM_HTTP_HEADERS_TOO_LARGE"]);
    assert.equal(new Notes("request").feed(`GET / HTTP/1.1\r\n${"a".repeat(17 * KiB)}`).refusal, 431);
    assert.equal(new Notes("request").feed(`GET / HTTP/1.1\r\nX:${" ".repeat(17 * KiB)}`).refusal, 431);
  });

  it("takes 100 fields, and no more", () => {
    const request = (fields: number) => `GET / HTTP/1.1\r\n${HOST}${"X: y\r\n".repeat(fields - 1)}\r\n`;
    assert.equal(refusal(request(100)), undefined);
    assert.deepEqual(refusal(request(101)), [431, "ERR_EM_HTTP_HEADERS_TOO_LARGE"]);
    assert.deepEqual(refusal(request(1000)), [431, "ERR_EM_HTTP_HEADERS_TOO_LARGE"]);
  });

  it("takes a trailer section of 8 KiB and 100 fields, and no more", () => {
    const chunked = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n`;
    const trailers = (bytes: number) => `${chunked}X: ${"a".repeat(bytes - "X: \r\n\r\n".length)}\r\n\r\n`;
    assert.equal(refusal(trailers(8 * KiB)), undefined);
    assert.deepEqual(refusal(trailers(8 * KiB + 1)), [431, "ERR_EM_HTTP_TRAILERS_TOO_LARGE"]);
    const fields = (count: number) => `${chunked}${"X: y\r\n".repeat(count)}\r\n`;
    assert.equal(refusal(fields(100)), undefined);
    assert.deepEqual(refusal(fields(101)), [431, "ERR_EM_HTTP_TRAILERS_TOO_LARGE"]);
  });

  it("takes 16 KiB of chunk extensions in a message, and no more", () => {
    const request = (...extensions: string[]) => {
      const chunks = extensions.map((extension) => `1${extension}\r\na\r\n`).join("");
      return `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
    };
    const extension = (bytes: number) => `;${"a".repeat(bytes - 1)}`;
    assert.equal(refusal(request(extension(16 * KiB))), undefined);
    assert.equal(refusal(request(extension(8 * KiB), extension(8 * KiB))), undefined);
    const tooLarge = [413, "ERR_EM_HTTP_EXTENSIONS_TOO_LARGE"];
    assert.deepEqual(refusal(request(extension(16 * KiB + 1))), tooLarge);
    assert.deepEqual(refusal(request(extension(8 * KiB), extension(8 * KiB), ";a")), tooLarge);
    // Each message has its own.
    assert.equal(refusal(request(extension(9 * KiB)) + request(extension(9 * KiB))), undefined);
  });

  it("takes content up to a limit where one is set, however it is framed", () => {
    const tooLarge = [413, "ERR_EM_HTTP_BODY_TOO_LARGE"];
    const sized = (bytes: number) => `POST / HTTP/1.1\r\n${HOST}Content-Length: ${bytes}\r\n\r\n${"a".repeat(bytes)}`;
    assert.equal(refusal(sized(10), { maxBody: 10 }), undefined);
    assert.deepEqual(refusal(sized(11), { maxBody: 10 }), tooLarge);
    const chunked = (...chunks: number[]) =>
      `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunks
        .map((bytes) => `${bytes.toString(16)}\r\n${"a".repeat(bytes)}\r\n`)
        .join("")}0\r\n\r\n`;
    assert.equal(refusal(chunked(5, 5), { maxBody: 10 }), undefined);
    assert.deepEqual(refusal(chunked(5, 6), { maxBody: 10 }), tooLarge);
    // A chunk is refused by its size, before any of it has come.
    const early = new Notes("request", { maxBody: 10 });
    assert.deepEqual(early.feed(chunked(1).slice(0, -5), "fffff\r\n").events.slice(1), [
      { kind: "body", bytes: "a" },
      { kind: "error", code: tooLarge[1], status: 413 },
    ]);
    assert.equal(refusal(sized(9) + sized(9), { maxBody: 10 }), undefined);
  });

  it("lets the one who reads the head say how much content there may be", () => {
    const text = `POST / HTTP/1.1\r\n${HOST}Content-Length: 20\r\n\r\n${"a".repeat(20)}`;
    for (const [limit, most, status] of [
      [10, 20, undefined],
      [20, 10, 413],
    ] as const) {
      const notes = new Notes("request", { maxBody: limit });
      notes.react = (event, parser) => {
        if (event.kind === "head" && notes.heads.length === 1) parser.maxBody = most;
      };
      assert.equal(notes.feed(text).refusal, status);
      // The next one is under the limit that was set for all.
      if (status === undefined) assert.equal(notes.feed(text).refusal, 413);
    }
  });

  it("answers nothing where the message was a response", () => {
    const notes = new Notes("response", { maxHeaderFields: 1 });
    notes.parser.answers("GET");
    assert.equal(notes.feed("HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n").refusal, 502);
  });

  it("refuses limits that are none", () => {
    for (const limits of [
      { maxStartLine: 0 },
      { maxHeaderSection: Number.NaN },
      { maxHeaderFields: 1025 },
      { maxTrailerSection: 1 },
      { maxChunkExtensions: -1 },
      { maxBody: -1 },
      { maxBodies: 1 },
    ]) {
      assert.throws(() => checkHttp1Limits(limits), ArgumentError);
    }
  });
});
