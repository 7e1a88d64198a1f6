import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, LineCodec } from "eventmachine";
import { bytewise, type Event, Notes } from "./line_notes.js";

describe("LineCodec: lines", () => {
  const ways: [string, (text: string) => Uint8Array[]][] = [
    ["in one piece", (text) => [Buffer.from(text)]],
    ["byte by byte", bytewise],
  ];
  for (const [name, cut] of ways) {
    describe(name, () => {
      it("splits at newlines, and takes one carriage return before each", () => {
        assert.deepEqual(new Notes().feed(...cut("a\r\nb\r\r\n\nc\n\r\nrest")).lines, ["a", "b\r", "", "c", ""]);
      });

      it("keeps newlines and carriage returns with another delimiter", () => {
        const notes = new Notes({ delimiter: "|" });
        assert.deepEqual(notes.feed(...cut("a\n\r|b\r\n|\r|")).lines, ["a\n\r", "b\r\n", "\r"]);
      });

      it("splits at a delimiter of several bytes, also after a false beginning", () => {
        const notes = new Notes({ delimiter: "aab" });
        assert.deepEqual(notes.feed(...cut("xaaabyaab aabaaaab")).lines, ["xa", "y", " ", "aa"]);
      });

      it("splits at bytes", () => {
        const notes = new Notes({ delimiter: Uint8Array.of(0, 255), encoding: "latin1" });
        notes.feed(...cut("x").concat([Uint8Array.of(0), Uint8Array.of(0, 255), Uint8Array.of(0xe9, 0, 255)]));
        assert.deepEqual(notes.lines, ["x\0", "é"]);
      });

      it("splits at a regular expression", () => {
        const notes = new Notes({ delimiter: /[A-D]|\r?\n/g });
        assert.deepEqual(notes.feed(...cut("oneAtwoBthree\r\nfour\nfiveD")).lines, [
          "one",
          "two",
          "three",
          "four",
          "five",
        ]);
      });

      it("takes the shortest match of a regular expression, and the earliest that is complete", () => {
        const runs = new Notes({ delimiter: /[;,]+/ });
        assert.deepEqual(runs.feed(...cut("a;,b,,,c;")).lines, ["a", "", "b", "", "", "c"]);
        const either = new Notes({ delimiter: /<.*>|!/ });
        assert.deepEqual(either.feed(...cut("a<b!c>d!<>!")).lines, ["a<b", "c>d", "", ""]);
      });

      it("finds a regular expression's match after a long line", () => {
        const notes = new Notes({ delimiter: /-{3,}>/ });
        const long = "--".repeat(3) + "x-".repeat(2000);
        assert.deepEqual(notes.feed(...cut(`${long}--->next---->`)).lines, [long.slice(0, -1), "next"]);
      });

      it("finds a regular expression's match wherever it stands in a piece", () => {
        for (let length = 0; length < 500; length++) {
          const notes = new Notes({ delimiter: /<-{0,3}>/ });
          assert.deepEqual(notes.feed(...cut(`${"x".repeat(length)}<--->y<>`)).lines, ["x".repeat(length), "y"]);
        }
      });

      it("passes over empty matches", () => {
        assert.deepEqual(new Notes({ delimiter: /(?=w)|;/ }).feed(...cut("one two;three;")).lines, [
          "one two",
          "three",
        ]);
      });

      it("uses a new delimiter for the very next byte", () => {
        const notes = new Notes();
        notes.react = (event, codec) =>
          codec.setDelimiter(event[1] === "bar" ? /[;:]/ : event[1] === "semi" ? "--" : "|");
        notes.feed(...cut("\nbar|semi;dash\n--pipe|"));
        assert.deepEqual(notes.lines, ["", "bar", "semi", "dash\n", "pipe"]);
      });

      it("decodes utf8 across pieces, and latin1 byte by byte", () => {
        assert.deepEqual(new Notes().feed(...cut("žluťoučký 🐎\n")).lines, ["žluťoučký 🐎"]);
        assert.deepEqual(new Notes({ encoding: "latin1" }).feed(...cut("é\n")).lines, ["Ã©"]);
      });
    });
  }

  it("turns bytes that are no UTF-8 into replacement characters", () => {
    assert.deepEqual(new Notes().feed(Uint8Array.of(0x61, 0xff, 10)).lines, ["a\ufffd"]);
  });

  it("reads a half line anew when the delimiter changes outside of callbacks", () => {
    const notes = new Notes().feed("one|two|th");
    notes.codec.setDelimiter("|");
    assert.deepEqual(notes.lines, ["one", "two"]);
    assert.equal(notes.codec.unfinished().toString(), "th");
  });
});

describe("LineCodec: binary data", () => {
  for (const cut of [(text: string) => [Buffer.from(text)], bytewise]) {
    it(`reads a sized block and then lines, in ${cut === bytewise ? "single bytes" : "one piece"}`, () => {
      const notes = new Notes();
      notes.react = (event, codec) => {
        if (event[1] === "block") codec.setBinaryMode(7);
      };
      notes.feed(...cut("block\nab\ncd\n\nrest\n"));
      assert.deepEqual(notes.events, [["line", "block"], ["binary", "ab\ncd\n\n"], ["end"], ["line", "rest"]]);
    });

    it(`chains blocks of different sizes, in ${cut === bytewise ? "single bytes" : "one piece"}`, () => {
      const notes = new Notes();
      const sizes = [2, 1, 5];
      notes.react = (event, codec) => {
        if (event[0] === "binary") codec.setTextMode(sizes.shift() ?? 0);
      };
      notes.codec.setTextMode(3);
      notes.feed(...cut("aaabbcdddddline\n"));
      const expected = ["aaa", "bb", "c", "ddddd"].flatMap((data): Event[] => [["binary", data], ["end"]]);
      assert.deepEqual(notes.events, [...expected, ["line", "line"]]);
    });
  }

  it("passes unsized data on as it comes, without an end", () => {
    const notes = new Notes();
    notes.codec.setBinaryMode();
    notes.feed("some\n", "bytes");
    assert.deepEqual(notes.events, [["binary", "some\nbytes"]]);
    assert.equal(notes.codec.heldBytes, 0);
  });

  it("takes data thrown back before what follows, complete or not", () => {
    const notes = new Notes();
    notes.react = (event, codec) => {
      if (event[0] === "binary") codec.setLineMode("thrown\nba");
    };
    notes.feed("");
    notes.codec.setBinaryMode();
    notes.feed("1234", "ck\nnext\n");
    assert.deepEqual(notes.events, [
      ["binary", "1234"],
      ["line", "thrown"],
      ["line", "back"],
      ["line", "next"],
    ]);
  });

  it("takes data thrown back outside of callbacks at once", () => {
    const notes = new Notes();
    notes.codec.setLineMode(Buffer.from("one\ntwo\nthr"));
    assert.deepEqual(notes.lines, ["one", "two"]);
    assert.deepEqual(notes.feed("ee\n").lines, ["one", "two", "three"]);
  });

  it("a size of 0 is line mode", () => {
    const notes = new Notes();
    notes.codec.setBinaryMode(0);
    assert.deepEqual(notes.feed("line\n").lines, ["line"]);
  });

  it("reads what it holds anew when the mode changes outside of callbacks", () => {
    const notes = new Notes().feed("abc");
    notes.codec.setBinaryMode(2);
    assert.deepEqual(notes.events, [["binary", "ab"], ["end"]]);
    notes.codec.setBinaryMode(4);
    notes.feed("d\n");
    assert.equal(notes.codec.unfinishedBlock().toString(), "cd\n");
    notes.codec.setLineMode();
    assert.deepEqual(notes.events.at(-1), ["line", "cd"]);
  });

  it("gives blocks that do not change with the memory they came in", () => {
    const blocks: Buffer[] = [];
    const codec = new LineCodec({
      line() {},
      binaryData: (data) => blocks.push(data),
      endOfBinaryData: () => codec.setBinaryMode(4),
      lineTooLong() {},
    });
    codec.setBinaryMode(4);
    const lent = Buffer.from("aaaabbbbcc");
    codec.feed(lent);
    lent.fill(0);
    codec.feed(Buffer.from("cc"));
    codec.setBinaryMode();
    codec.feed(lent);
    lent.fill(1);
    assert.deepEqual(blocks.map(String), ["aaaa", "bbbb", "cccc", "\0".repeat(10)]);
  });
});

describe("LineCodec: limits", () => {
  it("takes a line of exactly the limit, with or without a carriage return", () => {
    for (const pieces of [["12345678\r\n12345678\n"], bytewise("12345678\r\n12345678\n")]) {
      assert.deepEqual(new Notes({ maxLineLength: 8 }).feed(...pieces).lines, ["12345678", "12345678"]);
    }
  });

  for (const [delimiter, end] of [
    ["\n", "\n"],
    ["\r\n", "\r\n"],
    ["-=-=-", "-=-=-"],
    [/;+|ab/, "ab"],
  ] as const) {
    it(`drops a longer line as a whole and goes on behind it, delimiter ${delimiter}`.replace(/\r?\n/g, "\\n"), () => {
      for (const length of [9, 10, 11, 300, 5000]) {
        const text = `one${end}${"x".repeat(length)}${end}two${end}`;
        for (const pieces of [[text], bytewise(text)]) {
          const notes = new Notes({ delimiter, maxLineLength: 8 });
          assert.deepEqual(notes.feed(...pieces).events, [
            ["line", "one"],
            ["too long", 8],
            ["line", "two"],
          ]);
        }
      }
    });
  }

  it("reports a line that never ends once, and keeps none of it", () => {
    const notes = new Notes({ maxLineLength: 1000 });
    for (let index = 0; index < 1000; index++) {
      notes.feed(Buffer.alloc(100, "x"));
      assert.ok(notes.codec.heldBytes <= 1001);
    }
    assert.deepEqual(notes.events, [["too long", 1000]]);
    assert.equal(notes.codec.heldBytes, 0);
  });

  it("a changed limit counts from the next byte", () => {
    const notes = new Notes({ maxLineLength: 4 });
    notes.react = (event, codec) => {
      codec.maxLineLength = event[0] === "too long" ? 8 : 4;
    };
    notes.feed("12345\n12345\n12345\n");
    assert.deepEqual(notes.events, [
      ["too long", 4],
      ["line", "12345"],
      ["too long", 4],
    ]);
  });

  it("refuses a block over the limit, and takes one of exactly the limit", () => {
    const { codec } = new Notes({ maxBinaryLength: 10 });
    codec.setBinaryMode(10);
    assert.throws(() => codec.setBinaryMode(11), { name: "LimitError", code: "ERR_EM_BINARY_TOO_LONG", limit: 10 });
    codec.maxBinaryLength = 20;
    codec.setTextMode(20);
    assert.equal(new Notes().codec.maxBinaryLength, 32 * 1024 * 1024);
    assert.equal(new Notes().codec.maxLineLength, 64 * 1024);
  });

  it("does not reserve the memory of a block before its bytes come", () => {
    const before = process.memoryUsage().arrayBuffers;
    const codecs = Array.from({ length: 100 }, () => {
      const { codec } = new Notes();
      codec.setBinaryMode(32 * 1024 * 1024);
      codec.feed(Buffer.from("a few bytes"));
      return codec;
    });
    assert.ok(process.memoryUsage().arrayBuffers - before < 4 * 1024 * 1024);
    assert.equal(codecs[99]?.heldBytes, 11);
  });

  // With a search or a copy from the start for each byte these two would take minutes.
  it("reads a long line in single bytes in linear time", { timeout: 30_000 }, () => {
    for (const delimiter of ["\n", "\r\n\r\n", /\r?\n/]) {
      const size = delimiter instanceof RegExp ? 2 ** 18 : 2 ** 20;
      const lengths: number[] = [];
      const codec = new LineCodec(
        {
          line: (text) => lengths.push(text.length),
          binaryData() {},
          endOfBinaryData() {},
          lineTooLong() {},
        },
        { delimiter, maxLineLength: size },
      );
      const byte = Buffer.from("\r");
      const end = Buffer.from(delimiter === "\r\n\r\n" ? "x\r\n\r\n" : "x\n");
      for (let index = 0; index < size - 1; index++) codec.feed(byte);
      codec.feed(end);
      assert.deepEqual(lengths, [size]);
    }
  });

  it("reads a flood of delimiters in linear time", { timeout: 30_000 }, () => {
    const flood = Buffer.alloc(2 ** 17, "\n");
    for (const delimiter of ["\n", "\n\n", /\n+/, /\n(x*\n)*/]) {
      const notes = new Notes({ delimiter });
      notes.codec.feed(flood);
      assert.equal(notes.events.length, delimiter === "\n\n" ? flood.length / 2 : flood.length);
    }
  });
});

describe("LineCodec: stopping and throwing", () => {
  it("delivers nothing between stop and resume, and everything after", () => {
    const notes = new Notes();
    notes.react = (event, codec) => {
      if (event[1] === "b") codec.stop();
    };
    notes.feed("a\nb\nc\nd");
    assert.deepEqual(notes.lines, ["a", "b"]);
    assert.equal(notes.codec.isBehind, true);
    notes.feed("d\ne");
    assert.deepEqual(notes.lines, ["a", "b"]);
    assert.equal(notes.codec.unfinished().toString(), "c\ndd\ne");
    assert.equal(notes.codec.heldBytes, 6);
    notes.codec.resume();
    assert.deepEqual(notes.lines, ["a", "b", "c", "dd"]);
    assert.equal(notes.codec.isBehind, false);
    assert.equal(notes.codec.unfinished().toString(), "e");
  });

  it("loses nothing when a callback throws", () => {
    const notes = new Notes();
    notes.react = (event) => {
      if (event[1] === "bad") throw new RangeError("on purpose");
    };
    const lent = Buffer.from("a\nbad\nb\nc");
    assert.throws(() => notes.codec.feed(lent), RangeError);
    lent.fill(0);
    assert.equal(notes.codec.isBehind, true);
    notes.feed("c\n");
    assert.deepEqual(notes.lines, ["a", "bad", "b", "cc"]);
  });

  it("takes what is fed from within a callback behind the rest", () => {
    const notes = new Notes();
    notes.react = (event, codec) => {
      if (event[1] !== "a") return;
      const lent = Buffer.from("fed\n");
      codec.feed(lent);
      lent.fill("!");
    };
    assert.deepEqual(notes.feed("a\nb\n").lines, ["a", "b", "fed"]);
  });

  it("reset forgets input and mode, and keeps the delimiter", () => {
    const notes = new Notes({ delimiter: "|" }).feed("half");
    notes.codec.setBinaryMode(100);
    notes.codec.stop();
    notes.feed("more");
    notes.codec.reset();
    assert.equal(notes.codec.heldBytes, 0);
    assert.deepEqual(notes.feed("new|").lines, ["new"]);
  });
});

describe("LineCodec: arguments", () => {
  const refused = (use: () => void, message: RegExp) =>
    assert.throws(use, { name: "ArgumentError", code: "ERR_EM_INVALID_ARGUMENT", message });

  it("refuses delimiters that are empty, too long or no delimiter", () => {
    const { codec } = new Notes();
    for (const bad of ["", Uint8Array.of(), /x*/, /^/, "x".repeat(257), 10, null, undefined, {}]) {
      refused(() => codec.setDelimiter(bad as string), /^delimiter must/);
    }
    codec.setDelimiter("x".repeat(256));
    assert.throws(() => new Notes({ delimiter: "" }), ArgumentError);
  });

  it("refuses sizes, limits, encodings and thrown-back values that are none", () => {
    const { codec } = new Notes();
    for (const bad of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "5", null]) {
      refused(() => codec.setBinaryMode(bad as number), /^size must/);
      refused(() => new Notes({ maxLineLength: bad as number }), /^maxLineLength must/);
      refused(() => {
        codec.maxBinaryLength = bad as number;
      }, /^maxBinaryLength must/);
    }
    refused(() => {
      codec.maxLineLength = 0;
    }, /^maxLineLength must/);
    refused(() => new Notes({ encoding: "hex" as "utf8" }), /^encoding must/);
    refused(() => codec.setLineMode(5 as unknown as string), /^thrownBack must/);
  });
});
