import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentError, BufferedTokenizer, LimitError } from "eventmachine";
import fc from "fast-check";

describe("BufferedTokenizer", () => {
  it("returns what each piece completes, and the rest at flush", () => {
    const tokenizer = new BufferedTokenizer();
    assert.deepEqual(tokenizer.extract("a\nb"), ["a"]);
    assert.deepEqual(tokenizer.extract("c"), []);
    assert.equal(tokenizer.size, 2);
    assert.deepEqual(tokenizer.extract("d\n\ne"), ["bcd", ""]);
    assert.equal(tokenizer.flush(), "e");
    assert.equal(tokenizer.flush(), "");
  });

  it("finds a delimiter that was cut up", () => {
    const tokenizer = new BufferedTokenizer({ delimiter: "<end>" });
    const tokens = [..."one<end>tw<eno<end>x"].flatMap((character) => tokenizer.extract(character));
    assert.deepEqual(tokens, ["one", "tw<eno"]);
    assert.equal(tokenizer.flush(), "x");
  });

  it("takes a token of its limit, and none longer", () => {
    const tokenizer = new BufferedTokenizer({ delimiter: "\r\n", limit: 3 });
    assert.deepEqual(tokenizer.extract("abc"), []);
    assert.deepEqual(tokenizer.extract("\r\n"), ["abc"]);
    assert.deepEqual(tokenizer.extract("a\r\nabcd\r\nb\r\n"), ["a"], "what came before is not lost");
    const tooLong = (error: unknown) => error instanceof LimitError && error.limit === 3;
    assert.throws(() => tokenizer.extract(""), tooLong);
    assert.throws(() => tokenizer.flush(), tooLong);
    assert.deepEqual(tokenizer.extract("x\r\n"), ["x"], "begun anew");
  });

  it("holds no more than its limit of a token without end", () => {
    const tokenizer = new BufferedTokenizer({ limit: 100 });
    let fed = 0;
    assert.throws(
      () => {
        for (; fed < 1000; fed++) tokenizer.extract("x");
      },
      { code: "ERR_EM_TOKEN_TOO_LONG" },
    );
    assert.equal(fed, 100);
    assert.equal(tokenizer.size, 0);
  });

  it("has a limit of 64 Ki characters", () => {
    const tokenizer = new BufferedTokenizer();
    assert.equal(tokenizer.extract(`${"x".repeat(65_536)}\n`).length, 1);
    assert.throws(() => tokenizer.extract("x".repeat(65_537)), { code: "ERR_EM_TOKEN_TOO_LONG" });
  });

  it("is a loop over what a source gives", async () => {
    const read = async (source: AsyncIterable<string> | Iterable<string>, limit = 10) => {
      const seen: string[] = [];
      for await (const token of new BufferedTokenizer({ delimiter: "--", limit }).tokens(source)) seen.push(token);
      return seen;
    };
    async function* late() {
      yield* ["one-", "-t", "wo-"];
      yield "-th-ree";
    }
    assert.deepEqual(await read(late()), ["one", "two", "th-ree"]);
    assert.deepEqual(await read(["a--", "b--"]), ["a", "b"], "no token behind the last delimiter");
    assert.deepEqual(await read([]), []);
    await assert.rejects(read(["a--bcde--"], 3), { code: "ERR_EM_TOKEN_TOO_LONG" });
  });

  it("leaves the source with the loop, and passes on what it fails with", async () => {
    let isLeft = false;
    async function* endless() {
      try {
        for (;;) yield "a\nb\n";
      } finally {
        isLeft = true;
      }
    }
    for await (const token of new BufferedTokenizer().tokens(endless())) {
      assert.equal(token, "a");
      break;
    }
    assert.ok(isLeft);
    async function* failing() {
      yield "a\nb";
      throw new Error("no more");
    }
    const seen: string[] = [];
    const tokenizer = new BufferedTokenizer();
    await assert.rejects(async () => {
      for await (const token of tokenizer.tokens(failing())) seen.push(token);
    }, /no more/);
    assert.deepEqual(seen, ["a"]);
    assert.equal(tokenizer.flush(), "b", "what had begun is there still");
  });

  it("refuses an empty delimiter and what is no text", () => {
    assert.throws(() => new BufferedTokenizer({ delimiter: "" }), ArgumentError);
    assert.throws(() => new BufferedTokenizer({ limit: 0 }), ArgumentError);
    assert.throws(() => new BufferedTokenizer().extract(Buffer.from("a") as never), ArgumentError);
    assert.throws(() => new BufferedTokenizer().tokens("a\n" as never), ArgumentError);
    assert.throws(() => new BufferedTokenizer().tokens(null as never), ArgumentError);
  });
});

it("gives the tokens that split gives, and the same error, however the text is cut up", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "-", "+"), maxLength: 60 });
  const cuts = fc.array(fc.nat({ max: 60 }), { maxLength: 12 });
  fc.assert(
    fc.property(
      text,
      cuts,
      fc.constantFrom("-", "--", "-+-"),
      fc.integer({ min: 1, max: 8 }),
      (all, at, delimiter, limit) => {
        const tokenizer = new BufferedTokenizer({ delimiter, limit });
        const places = [0, ...at.filter((place) => place < all.length).sort((a, b) => a - b), all.length];
        const seen: string[] = [];
        try {
          for (let n = 1; n < places.length; n++) seen.push(...tokenizer.extract(all.slice(places[n - 1], places[n])));
          seen.push(tokenizer.flush());
        } catch (error) {
          assert.ok(error instanceof LimitError);
          seen.push("too long");
        }
        const whole = all.split(delimiter);
        const bad = whole.findIndex((token) => token.length > limit);
        assert.deepEqual(seen, bad === -1 ? whole : [...whole.slice(0, bad), "too long"]);
      },
    ),
    { numRuns: 500 },
  );
});
