import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LineOptions } from "eventmachine";
import fc from "fast-check";
import { bytewise, Notes } from "./line_notes.js";

const delimiter = fc.constantFrom("\n", "\r\n", "|", "aab", "\n\n\n", /[;,]/, /\r?\n/, /a+b/, /[;,]{2}/);
/** Mostly bytes that delimiters and the commands below are made of. */
const content = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(..."ab\r\n|;,B4U0DT") },
    { weight: 2, arbitrary: fc.constantFrom("\n", "B4\n", "D\n", "|U|", "T\n", "\r\n", "aaab", "é") },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)) },
  ),
  { maxLength: 120 },
);
const cuts = fc.array(fc.nat(200), { maxLength: 30 });

function cutAt(bytes: Buffer, places: number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

/** A protocol whose lines command the codec: what they say takes effect for the very next byte. */
function commanded(options: LineOptions): Notes {
  const notes = new Notes(options);
  let thrown = 0;
  notes.react = (event, codec) => {
    const line = event[0] === "line" ? event[1] : "";
    if (line.endsWith("B4")) codec.setBinaryMode(4);
    else if (line.endsWith("B0")) codec.setBinaryMode(0);
    else if (line.endsWith("D")) codec.setDelimiter("|");
    else if (line.endsWith("DD")) codec.setDelimiter(/\r?\n/);
    else if (line.endsWith("T") && thrown++ < 20) codec.setLineMode("B4\nthrown|back");
    else if (line.endsWith("U")) codec.maxLineLength = 6;
    if (event[0] === "binary" && event[1].startsWith("B")) codec.setBinaryMode(4);
  };
  return notes;
}

describe("LineCodec: properties", () => {
  it("gives the same events however the bytes are cut", () => {
    fc.assert(
      fc.property(delimiter, content, cuts, fc.integer({ min: 1, max: 30 }), (delimiter, content, places, limit) => {
        const bytes = Buffer.from(content.join(""), "latin1");
        const options: LineOptions = { delimiter, maxLineLength: limit, encoding: "latin1" };
        const whole = commanded(options).feed(bytes);
        const cut = commanded(options).feed(...cutAt(bytes, places));
        const single = commanded(options).feed(...bytewise(bytes));
        assert.deepEqual(cut.events, whole.events);
        assert.deepEqual(single.events, whole.events);
      }),
      { numRuns: 3000 },
    );
  });

  it("splits text as String.prototype.split does", () => {
    fc.assert(
      fc.property(fc.constantFrom("\n", "|", "aab", "\r\n"), content, cuts, (delimiter, content, places) => {
        const bytes = Buffer.from(content.join(""), "latin1");
        const notes = new Notes({ delimiter, encoding: "latin1" }).feed(...cutAt(bytes, places));
        const pieces = bytes.toString("latin1").split(delimiter);
        const rest = pieces.pop();
        const expected = delimiter === "\n" ? pieces.map((line) => line.replace(/\r$/, "")) : pieces;
        assert.deepEqual(notes.lines, expected);
        assert.equal(notes.codec.unfinished().toString("latin1"), rest);
      }),
      { numRuns: 1000 },
    );
  });

  it("throws nothing, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), delimiter, fc.boolean(), (pieces, delimiter, utf8) => {
        commanded({ delimiter, maxLineLength: 10, encoding: utf8 ? "utf8" : "latin1" }).feed(...pieces);
      }),
      { numRuns: 1000 },
    );
  });

  it("never keeps more than the limit allows", () => {
    fc.assert(
      fc.property(delimiter, content, cuts, fc.integer({ min: 1, max: 30 }), (delimiter, content, places, limit) => {
        const notes = new Notes({ delimiter, maxLineLength: limit });
        // What may begin a delimiter is kept beyond the limit, and of a line that is dropped at most twice that.
        const reach = delimiter instanceof RegExp ? 255 : delimiter.length - 1;
        const bound = Math.max(limit + Math.max(1, reach), 2 * reach);
        const bytes = Buffer.from(content.join("").repeat(20), "latin1");
        for (const piece of cutAt(bytes, places.concat(Array.from({ length: 40 }, (_, index) => 17 * index)))) {
          notes.feed(piece);
          assert.equal(notes.codec.isBehind, false);
          assert.ok(notes.codec.heldBytes <= bound, `${notes.codec.heldBytes} bytes held`);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("stopping anywhere and going on later changes no event", () => {
    fc.assert(
      fc.property(delimiter, content, cuts, fc.array(fc.boolean()), (delimiter, content, places, stops) => {
        const bytes = Buffer.from(content.join(""), "latin1");
        const options: LineOptions = { delimiter, maxLineLength: 20, encoding: "latin1" };
        const whole = commanded(options).feed(bytes);
        const halting = commanded(options);
        const { react } = halting;
        let count = 0;
        halting.react = (event, codec) => {
          react(event, codec);
          if (stops[count++ % Math.max(1, stops.length)]) codec.stop();
        };
        halting.feed(...cutAt(bytes, places));
        while (halting.codec.isBehind) halting.codec.resume();
        assert.deepEqual(halting.events, whole.events);
      }),
      { numRuns: 1000 },
    );
  });
});
