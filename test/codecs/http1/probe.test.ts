import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { ROOT } from "../../docs/markdown.js";
import { bytewise, Notes } from "./notes.js";

interface Row {
  readonly id: string;
  readonly request: string;
  readonly expected: string;
}

const { requests } = JSON.parse(readFileSync(`${ROOT}test/data/http1_requests.json`, "utf8")) as { requests: Row[] };

/**
 * What comes of a request: a status, `taken` where it is one that a server answers, or `waits` where it is not whole. Where a row
 * allows several answers ours is the strictest, 400, but for these.
 */
const OTHERS: Readonly<Record<string, number | "taken" | "waits">> = {
  "COMP-BASELINE": "taken",
  "RFC9112-2.3-INVALID-VERSION": 505,
  // RFC 9110 section 9.1: a method of its own, but it is none.
  "COMP-METHOD-CASE": 501,
  "COMP-POST-CL-BODY": "taken",
  "COMP-POST-NO-CL-NO-TE": "taken",
  "COMP-POST-CL-UNDERSEND": "waits",
  "COMP-CHUNKED-MULTI": "taken",
  "COMP-CHUNKED-EMPTY": "taken",
  "COMP-CHUNKED-TRAILER-VALID": "taken",
  // RFC 9112 section 7.1.1: a recipient must ignore the extensions that it does not know.
  "COMP-CHUNKED-EXTENSION": "taken",
  // RFC 9112 section 3.2 asks for a Host in HTTP/1.1 alone.
  "COMP-HTTP10-NO-HOST": "taken",
  "COMP-HTTP10-DEFAULT-CLOSE": "taken",
  // RFC 9110 section 10.1.1: a client need not wait for the 100.
  "SMUG-EXPECT-100-CL": "taken",
  "MAL-INCOMPLETE-REQUEST": "waits",
  // What a server makes of these is no matter of the codec.
  "COMP-UPGRADE-POST": "taken",
  "COMP-UPGRADE-MISSING-CONN": "taken",
  "COMP-UPGRADE-INVALID-VER": "taken",
  "COMP-METHOD-CONNECT": "taken",
  "COMP-EXPECT-UNKNOWN": "taken",
};

function verdict(notes: Notes): number | "taken" | "waits" {
  if (notes.refusal !== undefined) return notes.refusal;
  return notes.events.some(({ kind }) => kind === "end") ? "taken" : "waits";
}

describe("requests of a published prober", () => {
  it("are all here", () => assert.equal(requests.length, 90));

  for (const { id, request, expected } of requests) {
    it(id, () => {
      const notes = new Notes("request").feed(request);
      const found = verdict(notes);
      assert.equal(found, OTHERS[id] ?? 400, `allowed: ${expected}`);
      assert.equal(verdict(new Notes("request").feed(...bytewise(request))), found, "byte by byte");
      if (typeof found === "number") assert.ok(expected.includes(String(found)), `allowed: ${expected}`);
      if (expected.startsWith("2xx") && !expected.includes("400")) assert.notEqual(typeof found, "number");
    });
  }

  it("has no exception for a row that is not there", () => {
    const ids = new Set(requests.map(({ id }) => id));
    assert.deepEqual(
      Object.keys(OTHERS).filter((id) => !ids.has(id)),
      [],
    );
  });
});
