import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { HeadFlag } from "../../../src/codecs/http1/head.js";
import type { Http1Limits } from "../../../src/codecs/http1/limits.js";
import { isForbiddenTrailer } from "../../../src/codecs/http1/names.js";
import { chunkStart, lastChunk, requestHead, responseHead } from "../../../src/codecs/http1/serializer.js";
import type { MessageKind } from "../../../src/codecs/http1/violations.js";
import { bytewise, Notes } from "./notes.js";
import { REQUEST_CASES, RESPONSE_CASES } from "./verdicts.js";

/** Small enough that random messages reach them. */
const LIMITS: Partial<Http1Limits> = {
  maxStartLine: 60,
  maxHeaderSection: 160,
  maxHeaderFields: 4,
  maxTrailerSection: 40,
  maxChunkExtensions: 12,
  maxBody: 40,
};

const known = [...Object.values(REQUEST_CASES).flat(), ...RESPONSE_CASES].map(([, bytes]) => bytes);
const pieces = fc.constantFrom(
  ...'\r\n\t :;=,"\\/?%#0159afAFxX-_\0\x7f\xff'.split(""),
  "\r\n",
  "\r\n\r\n",
  "GET / HTTP/1.1\r\n",
  "POST /a HTTP/1.1\r\n",
  "HTTP/1.1 200 OK\r\n",
  "HTTP/1.0 200 OK\r\n",
  "Host: a\r\n",
  "Content-Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Connection: close\r\n",
  "Connection: upgrade\r\nUpgrade: a\r\n",
  "3\r\nabc\r\n",
  "3;a=b\r\nabc\r\n",
  "0\r\n\r\n",
  "X: y\r\n",
);
/** Messages of the tables, what may stand in one, and some of the one cut out of, or put into, the other. */
const content = fc.oneof(
  fc.constantFrom(...known),
  fc.array(pieces, { maxLength: 30 }).map((parts) => parts.join("")),
  fc
    .tuple(fc.constantFrom(...known), fc.nat(400), fc.nat(3), fc.array(pieces, { maxLength: 3 }))
    .map(
      ([text, at, out, parts]) =>
        text.slice(0, at % text.length) + parts.join("") + text.slice((at % text.length) + out),
    ),
  fc.tuple(fc.constantFrom(...known), fc.constantFrom(...known)).map(([one, other]) => one + other),
);
const kind = fc.constantFrom<MessageKind>("request", "response");
const cuts = fc.array(fc.nat(1000), { maxLength: 20 });

function cutAt(text: string, places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, "latin1");
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

/** Of a response, one to GET is always awaited; of a switch, every other one goes on as HTTP. */
function notes(kind: MessageKind, limits: Partial<Http1Limits> = {}): Notes {
  const notes = new Notes(kind, limits);
  if (kind === "response") notes.parser.answers("GET");
  notes.react = (event, parser) => {
    const interim = notes.heads.at(-1)!;
    if (event.kind === "end" && kind === "response" && (interim.status >= 200 || interim.status === 101))
      parser.answers("GET");
  };
  return notes;
}

describe("HTTP/1 codec: properties", () => {
  it("gives the same events however the bytes are cut", () => {
    fc.assert(
      fc.property(kind, content, cuts, fc.boolean(), (kind, text, places, small) => {
        const limits = small ? LIMITS : {};
        const whole = notes(kind, limits).feed(text);
        assert.deepEqual(notes(kind, limits).feed(...cutAt(text, places)).events, whole.events);
        assert.deepEqual(notes(kind, limits).feed(...bytewise(text)).events, whole.events);
      }),
      { numRuns: 4000 },
    );
  });

  it("gives the same events whatever other parsers read in between", () => {
    fc.assert(
      fc.property(content, content, cuts, cuts, (one, other, places, others) => {
        const pair = [one, other].map((text) => ({ text, notes: notes("request") }));
        const pieces = [cutAt(one, places), cutAt(other, others)];
        for (let i = 0; i < Math.max(...pieces.map(({ length }) => length)); i++) {
          for (const [which, { notes }] of pair.entries()) {
            const piece = pieces[which]![i];
            if (piece !== undefined) notes.feed(piece);
          }
        }
        for (const { text, notes: mixed } of pair) assert.deepEqual(mixed.events, notes("request").feed(text).events);
      }),
      { numRuns: 2000 },
    );
  });

  it("throws nothing but its own error, whatever the bytes", () => {
    fc.assert(
      fc.property(kind, fc.array(fc.uint8Array({ maxLength: 60 })), fc.constantFrom(...known), (kind, pieces, text) => {
        notes(kind)
          .feed(...pieces)
          .finish();
        notes(kind)
          .feed(text, ...pieces)
          .finish();
      }),
      { numRuns: 2000 },
    );
  });

  it("pausing anywhere and going on later changes no event", () => {
    fc.assert(
      fc.property(kind, content, cuts, fc.array(fc.boolean(), { minLength: 1 }), (kind, text, places, stops) => {
        const whole = notes(kind).feed(text);
        const halting = notes(kind);
        const { react } = halting;
        let count = 0;
        halting.react = (event, parser) => {
          react(event, parser);
          if (stops[count++ % stops.length]) parser.pause();
        };
        halting.feed(...cutAt(text, places));
        for (let i = 0; i < 2000 && halting.isBehind; i++) halting.resume();
        assert.deepEqual(halting.events, whole.events);
      }),
      { numRuns: 2000 },
    );
  });

  it("keeps what it is asked to keep, when the memory is another's", () => {
    const fields = fc.array(fc.tuple(name, value), { maxLength: 8 });
    fc.assert(
      fc.property(fields, fields, cuts, (one, other, places) => {
        const heads = [one, other].map((list) => requestHead("GET", "/path", [["Host", "a"], ...list], "none"));
        const notes = new Notes("request");
        const kept: Parameters<Notes["onHead"]>[0][] = [];
        const { onHead } = notes;
        notes.onHead = (head) => {
          head.keep();
          kept.push(head);
          onHead.call(notes, head);
        };
        notes.feed(...cutAt(heads.join(""), places));
        assert.deepEqual(
          kept.map((head) => [...head]),
          notes.heads.map(({ fields }) => fields),
        );
        assert.deepEqual(
          kept.map(({ target }) => target),
          ["/path", "/path"],
        );
      }),
      { numRuns: 500 },
    );
  });

  const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~".split("");
  const name = fc
    .array(fc.constantFrom(...letters), { minLength: 1, maxLength: 18 })
    .map((list) => list.join(""))
    .filter((name) => !/^(host|expect|upgrade|connection|content[-_]length|transfer[-_]encoding)$/i.test(name));
  const byte = fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f);
  const value = fc
    .array(fc.oneof(byte, fc.constant(9)), { maxLength: 30 })
    .map((codes) => String.fromCharCode(...codes));
  const trimmed = (text: string) => text.replace(/^[ \t]+|[ \t]+$/g, "");
  const asRead = (list: readonly (readonly [string, string])[]) =>
    list.map(([name, value]): [string, string] => [name.toLowerCase(), trimmed(value)]);

  it("reads back what the serializer makes", () => {
    const method = fc.constantFrom("GET", "POST", "PUT", "BREW", "M-X");
    const target = fc.array(fc.constantFrom(..."ab/?=&%20.~!$'()*+,;:@|".split("")), { maxLength: 20 });
    const fields = fc.array(fc.tuple(name, value), { maxLength: 6 });
    const body = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 5 });
    fc.assert(
      fc.property(
        method,
        target,
        fields,
        body,
        fields,
        fc.boolean(),
        cuts,
        (method, path, fields, body, trailers, chunked, places) => {
          const target = `/?${path.join("")}`;
          const content = Buffer.concat(body).toString("latin1");
          const behind = trailers.filter(([name]) => !isForbiddenTrailer(name.toLowerCase()));
          const text = chunked
            ? body.map((part) => `${chunkStart(part.length)}${Buffer.from(part).toString("latin1")}\r\n`).join("") +
              lastChunk(behind)
            : content;
          const framing = chunked ? "chunked" : content.length;
          const head = requestHead(method, target, [["Host", "a.example"], ...fields], framing);
          const found = new Notes("request").feed(...cutAt(head + text, places));
          assert.deepEqual(found.events, [
            {
              kind: "head",
              method,
              status: 0,
              minorVersion: 1,
              text: target,
              fields: [
                ["host", "a.example"],
                ...asRead(fields),
                chunked ? ["transfer-encoding", "chunked"] : ["content-length", String(content.length)],
              ],
              contentLength: chunked ? -1 : content.length,
              flags: chunked ? HeadFlag.chunked : 0,
            },
            ...(content.length > 0 ? [{ kind: "body", bytes: content }] : []),
            ...(chunked && behind.length > 0 ? [{ kind: "trailers", fields: asRead(behind) }] : []),
            { kind: "end" },
          ]);
          const answer = new Notes("response");
          answer.parser.answers("GET");
          answer.feed(...cutAt(responseHead(200, fields, framing, trimmed(target)) + text, places));
          assert.equal(answer.heads[0]?.text, target);
          assert.deepEqual(answer.heads[0]?.fields.slice(0, fields.length), asRead(fields));
          assert.equal(answer.events.at(-1)?.kind, "end");
        },
      ),
      { numRuns: 1500 },
    );
  });
});
