import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HeadFlag } from "../../../src/codecs/http1/head.js";
import { bytewise, type HeadNote, Notes } from "./notes.js";

/** What comes of a request, whole and byte by byte, which must be the same. */
function read(text: string): Notes {
  const whole = new Notes("request").feed(text);
  const single = new Notes("request").feed(...bytewise(text));
  assert.deepEqual(single.events, whole.events);
  return whole;
}

const kinds = (notes: Notes) => notes.events.map(({ kind }) => kind);
const HOST = "Host: example.com\r\n";

describe("requests", () => {
  it("gives the head of a request without content, and its end", () => {
    const notes = read(`GET /path?query HTTP/1.1\r\n${HOST}Accept: */*\r\nX-Empty:\r\nX-Blank: \t a b\t \r\n\r\n`);
    const head: HeadNote = {
      kind: "head",
      method: "GET",
      status: 0,
      minorVersion: 1,
      text: "/path?query",
      fields: [
        ["host", "example.com"],
        ["accept", "*/*"],
        ["x-empty", ""],
        ["x-blank", "a b"],
      ],
      contentLength: -1,
      flags: 0,
    };
    assert.deepEqual(notes.events, [head, { kind: "end" }]);
  });

  it("gives content of a declared length", () => {
    const notes = read(`POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`);
    assert.equal(notes.heads[0]?.contentLength, 5);
    assert.deepEqual(notes.events.slice(1), [{ kind: "body", bytes: "hello" }, { kind: "end" }]);
  });

  it("gives content in chunks, and trailers apart", () => {
    const chunks = '5\r\nhello\r\n1;a;b=c;d="e\\"f"\r\n \r\nA\r\n0123456789\r\n0\r\nChecksum: 1\r\n\r\n';
    const notes = read(`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunks}`);
    assert.equal(notes.heads[0]?.flags, HeadFlag.chunked);
    assert.deepEqual(notes.events.slice(1), [
      { kind: "body", bytes: "hello 0123456789" },
      { kind: "trailers", fields: [["checksum", "1"]] },
      { kind: "end" },
    ]);
  });

  it("reads one request behind the other", () => {
    const notes = read(
      `GET /1 HTTP/1.1\r\n${HOST}\r\nPOST /2 HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\nxGET /3 HTTP/1.1\r\n${HOST}\r\n`,
    );
    assert.deepEqual(
      notes.heads.map(({ text }) => text),
      ["/1", "/2", "/3"],
    );
    assert.deepEqual(kinds(notes), ["head", "end", "head", "body", "end", "head", "end"]);
  });

  it("stops behind a request that asks for another protocol, until it is told to go on", () => {
    const upgrade = `GET / HTTP/1.1\r\n${HOST}Connection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n`;
    assert.deepEqual(read(`${upgrade}GET / `).events.slice(1), [{ kind: "end" }, { kind: "switch", rest: "GET / " }]);
    const connect = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n";
    assert.deepEqual(read(`${connect}\x16\x03`).events.slice(1), [
      { kind: "end" },
      { kind: "switch", rest: "\x16\x03" },
    ]);
    const declined = new Notes("request");
    declined.react = (event, parser) => event.kind === "switch" && parser.goOn();
    declined.feed(`${upgrade}GET /2 HTTP/1.1\r\n${HOST}\r\n`);
    assert.deepEqual(kinds(declined), ["head", "end", "switch", "head", "end"]);
  });
});
