import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StateError } from "../../../src/base/errors.js";
import { HeadFlag, type Http1Head } from "../../../src/codecs/http1/head.js";
import { Http1Parser } from "../../../src/codecs/http1/parser.js";
import { bytewise, Notes } from "./notes.js";

/** What comes of responses to these methods, whole and byte by byte, which must be the same. */
function read(methods: readonly string[], text: string): Notes {
  const make = () => {
    const notes = new Notes("response");
    const waiting = [...methods];
    const next = () => {
      const method = waiting.shift();
      if (method !== undefined) notes.parser.answers(method);
    };
    next();
    notes.react = (event) => {
      const { status } = notes.heads.at(-1)!;
      if (event.kind === "end" && (status >= 200 || status === 101)) next();
    };
    return notes;
  };
  const whole = make().feed(text);
  assert.deepEqual(make().feed(...bytewise(text)).events, whole.events);
  return whole;
}

const kinds = (notes: Notes) => notes.events.map(({ kind }) => kind);
const SIZED = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

describe("responses", () => {
  it("have no content where they answer HEAD", () => {
    const notes = read(["HEAD", "GET"], `${SIZED}${SIZED}ab`);
    assert.deepEqual(kinds(notes), ["head", "end", "head", "body", "end"]);
    const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert.deepEqual(kinds(read(["HEAD", "GET"], `${chunked}${SIZED}ab`)), ["head", "end", "head", "body", "end"]);
    assert.deepEqual(kinds(read(["HEAD"], "HTTP/1.1 200 OK\r\n\r\n")), ["head", "end"]);
  });

  it("are tunnels where they grant CONNECT, and messages where they refuse it", () => {
    const notes = read(["CONNECT"], "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x16\x03");
    assert.deepEqual(notes.events.slice(1), [{ kind: "end" }, { kind: "switch", rest: "\x16\x03" }]);
    assert.deepEqual(kinds(read(["CONNECT"], "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nab")), [
      "head",
      "body",
      "end",
    ]);
  });

  it("come behind any number of interim ones", () => {
    const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    const notes = read(["GET"], `HTTP/1.1 100 Continue\r\n\r\n${hints}${hints}${SIZED}ab`);
    assert.deepEqual(
      notes.heads.map(({ status }) => status),
      [100, 103, 103, 200],
    );
    assert.deepEqual(kinds(notes).slice(-3), ["head", "body", "end"]);
  });

  it("without a length end with the connection", () => {
    const notes = read(["GET"], "HTTP/1.1 200 OK\r\n\r\nab");
    assert.deepEqual(kinds(notes), ["head", "body"]);
    assert.equal(notes.parser.isWithin, true);
    assert.deepEqual(kinds(notes.finish()), ["head", "body", "end"]);
    assert.equal(notes.parser.isWithin, false);
    assert.deepEqual(kinds(read(["GET"], "HTTP/1.1 200 OK\r\n\r\n").finish()), ["head", "end"]);
  });

  it("are cut off where the connection ends before them", () => {
    for (const text of [
      SIZED,
      `${SIZED}a`,
      SIZED.slice(0, -1),
      "H",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
    ]) {
      assert.equal(read(["GET"], text).finish().code, "ERR_EM_HTTP_TRUNCATED", JSON.stringify(text));
    }
    for (const text of ["", "\r\n", `${SIZED}ab`]) assert.equal(read(["GET"], text).finish().code, undefined);
  });

  it("that nobody asked for are refused", () => {
    assert.equal(read([], SIZED).code, "ERR_EM_HTTP_UNEXPECTED_RESPONSE");
    assert.equal(read(["GET"], `${SIZED}ab${SIZED}`).code, "ERR_EM_HTTP_UNEXPECTED_RESPONSE");
  });

  it("answer one request at a time", () => {
    const parser = new Http1Parser("response", new Notes("response"));
    parser.answers("GET");
    assert.throws(() => parser.answers("HEAD"), StateError);
  });

  it("say whether the connection can be used again", () => {
    const last = (head: string) => (read(["GET"], `${head}\r\n\r\n`).heads[0]!.flags & HeadFlag.last) !== 0;
    assert.equal(last("HTTP/1.1 200 OK\r\nContent-Length: 0"), false);
    assert.equal(last("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close"), true);
    assert.equal(last("HTTP/1.1 200 OK"), true);
    assert.equal(last("HTTP/1.0 200 OK\r\nContent-Length: 0"), true);
    assert.equal(last("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive"), false);
    assert.equal(last("HTTP/1.1 304 Not Modified\r\nContent-Length: 5"), false);
    // It declares what there can be none of, and may send it.
    assert.equal(last("HTTP/1.1 204 No Content\r\nContent-Length: 5"), true);
    assert.equal(last("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked"), true);
  });
});

describe("the fields of a head", () => {
  const TEXT = "GET /a HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one:2\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\r\n";

  function heads(keep: boolean): { head: Http1Head; within: unknown[] } {
    let found: { head: Http1Head; within: unknown[] } | undefined;
    const notes = new Notes("request");
    notes.onHead = (head) => {
      found = { head, within: answers(head) };
      if (keep) head.keep();
    };
    notes.feed(TEXT);
    return found!;
  }

  const answers = (head: Http1Head) => [
    head.get("x-one"),
    head.getAll("set-cookie"),
    head.has("host"),
    head.get("nothing"),
    head.getAll("nothing"),
    head.nameAt(1),
    head.rawNameAt(1),
    head.valueAt(1),
    head.nameAt(5),
    head.count,
    [...head],
  ];

  it("are found by their names in lower case, within the event and after it", () => {
    const { head, within } = heads(true);
    assert.deepEqual(within.slice(0, 6), ["1, 2", ["a=b", "c=d"], true, undefined, [], "x-one"]);
    assert.deepEqual(within.slice(6, 10), ["X-One", "1", undefined, 5]);
    assert.deepEqual(answers(head), within);
  });

  it("are not read from memory that is another's by then", () => {
    let found: Http1Head | undefined;
    const notes = new Notes("request");
    notes.onHead = (head) => {
      found = head;
    };
    notes.feed(TEXT);
    for (const read of [() => found!.target, () => found!.get("host"), () => [...found!], () => found!.keep()]) {
      assert.throws(read, (error) => error instanceof StateError && error.code === "ERR_EM_HTTP_NOT_KEPT");
    }
    assert.equal(found?.method, "GET");
  });

  it("stay those of their own head when another parser reads within the event", () => {
    const inner = new Notes("request");
    const notes = new Notes("request");
    let seen: unknown[] = [];
    notes.onHead = (head) => {
      inner.feed("GET /other HTTP/1.1\r\nHost: other\r\nX-One: other\r\n\r\n");
      seen = [head.target, head.get("x-one"), head.getAll("set-cookie")];
    };
    notes.feed(TEXT);
    assert.deepEqual(seen, ["/a", "1, 2", ["a=b", "c=d"]]);
    assert.equal(inner.heads[0]?.text, "/other");
  });
});
