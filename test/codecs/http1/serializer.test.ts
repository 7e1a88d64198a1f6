import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError } from "../../../src/base/errors.js";
import {
  chunkStart,
  type Framing,
  lastChunk,
  type OutgoingFields,
  requestHead,
  responseHead,
} from "../../../src/codecs/http1/serializer.js";

const HOST: OutgoingFields = [["Host", "a.example"]];
const refuses = (make: () => string, why: RegExp) =>
  assert.throws(make, (error) => error instanceof ArgumentError && why.test(error.message));

describe("serializer", () => {
  it("makes heads, chunks and trailers", () => {
    assert.equal(
      requestHead("POST", "/a?b", [...HOST, ["X-Blank", " \tb c \t"]], 5),
      "POST /a?b HTTP/1.1\r\nHost: a.example\r\nX-Blank: b c\r\nContent-Length: 5\r\n\r\n",
    );
    assert.equal(requestHead("GET", "/", HOST, "none"), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert.equal(responseHead(200, [], 0), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert.equal(responseHead(204, [], "none"), "HTTP/1.1 204 No Content\r\n\r\n");
    assert.equal(responseHead(299, [], "chunked"), "HTTP/1.1 299 \r\nTransfer-Encoding: chunked\r\n\r\n");
    assert.equal(responseHead(200, [], "until-close", "Fine"), "HTTP/1.1 200 Fine\r\nConnection: close\r\n\r\n");
    assert.equal(chunkStart(255), "ff\r\n");
    assert.equal(lastChunk(), "0\r\n\r\n");
    assert.equal(lastChunk([["Checksum", "1"]]), "0\r\nChecksum: 1\r\n\r\n");
  });

  for (const [what, bad] of [
    ["CR", "\r"],
    ["LF", "\n"],
    ["CR LF", "\r\nX: y"],
    ["NUL", "\0"],
    ["another control", "\x1b"],
    ["DEL", "\x7f"],
    ["what is no latin1", "\u0100"],
    // In latin1 these would become CR and LF.
    ["what latin1 cuts down to CR and LF", "\u010d\u010a"],
  ] as const) {
    it(`refuses ${what}, wherever it stands`, () => {
      for (const text of [bad, `a${bad}`, `${bad}a`, `a${bad}b`]) {
        refuses(() => requestHead(text, "/", HOST, "none"), /^method must be/);
        refuses(() => requestHead("GET", `/${text}`, HOST, "none"), /^target must be/);
        refuses(() => requestHead("GET", "/", [...HOST, [text, "a"]], "none"), /^the name of a field must be/);
        refuses(() => requestHead("GET", "/", [...HOST, ["a", text]], "none"), /^the value of a must be/);
        refuses(() => responseHead(200, [[text, "a"]], 0), /^the name of a field must be/);
        refuses(() => responseHead(200, [["a", text]], 0), /^the value of a must be/);
        refuses(() => responseHead(200, [], 0, text), /^reason must be/);
        refuses(() => lastChunk([[text, "a"]]), /^the name of a field must be/);
        refuses(() => lastChunk([["a", text]]), /^the value of a must be/);
      }
    });
  }

  it("refuses what a receiver would refuse, or read differently", () => {
    refuses(() => requestHead("", "/", HOST, "none"), /^method must be a token/);
    refuses(() => requestHead("get", "/", HOST, "none"), /^method must be GET/);
    refuses(() => requestHead("M".repeat(65), "/", HOST, "none"), /^method must be a token/);
    refuses(() => requestHead("GET", "", HOST, "none"), /^target must be/);
    refuses(() => requestHead("GET", "/a b", HOST, "none"), /^target must be/);
    refuses(() => requestHead("GET", "/a#b", HOST, "none"), /^target must be/);
    refuses(() => requestHead("GET", "*", HOST, "none"), /OPTIONS/);
    refuses(() => requestHead("CONNECT", "/", HOST, "none"), /CONNECT/);
    refuses(() => requestHead("GET", "http://b.example/", HOST, "none"), /^Host must be b\.example/);
    refuses(() => requestHead("GET", "/", [], "none"), /^a request must have one Host, not 0/);
    refuses(() => requestHead("GET", "/", [...HOST, ...HOST], "none"), /one Host, not 2/);
    refuses(() => requestHead("GET", "/", [["Host", "a/b"]], "none"), /^Host must be a host/);
    refuses(() => requestHead("GET", "/", HOST, "until-close"), /until-close/);
    refuses(() => requestHead("TRACE", "/", HOST, 1), /^a request of TRACE must have no content/);
    refuses(() => requestHead("OPTIONS", "/", HOST, "chunked"), /Content-Type/);
    for (const name of ["Content-Length", "transfer-encoding", "CONTENT_LENGTH", "Transfer_Encoding"]) {
      refuses(() => responseHead(200, [[name, "1"]], 1), /the framing makes it/);
      refuses(() => lastChunk([[name, "1"]]), /must not/);
    }
    for (const name of ["Host", "Authorization", "Set-Cookie", "content_type"]) {
      refuses(() => lastChunk([[name, "a"]]), /must not stand behind the content/);
    }
    for (const status of [99, 1000, 200.5, Number.NaN]) refuses(() => responseHead(status, [], 0), /^status must be/);
    for (const status of [100, 101, 204]) refuses(() => responseHead(status, [], 0), /must have no content/);
    for (const framing of [-1, 1.5, Number.NaN, 2 ** 53, "length", undefined]) {
      refuses(() => responseHead(200, [], framing as Framing), /^framing must be/);
    }
    for (const bytes of [0, -1, 1.5, Number.NaN]) refuses(() => chunkStart(bytes), /^a chunk must have/);
    refuses(() => responseHead(200, [["a", 1 as unknown as string]], 0), /^the value of a must be/);
  });
});
