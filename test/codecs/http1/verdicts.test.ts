import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MessageKind } from "../../../src/codecs/http1/violations.js";
import { bytewise, Notes } from "./notes.js";
import { type Case, REQUEST_CASES, RESPONSE_CASES, type Verdict } from "./verdicts.js";

function notes(kind: MessageKind): Notes {
  const notes = new Notes(kind);
  if (kind === "response") notes.parser.answers("GET");
  return notes;
}

function verdict(notes: Notes): Verdict {
  if (notes.refusal !== undefined) return notes.refusal;
  if (notes.events.at(-1)?.kind === "switch") return "switches";
  return notes.parser.isWithin || notes.events.length === 0 ? "waits" : "taken";
}

function check(kind: MessageKind, [what, bytes, gives]: Case): void {
  it(what, () => {
    const whole = notes(kind).feed(bytes);
    assert.equal(verdict(whole), gives, whole.code);
    assert.deepEqual(notes(kind).feed(...bytewise(bytes)).events, whole.events, "byte by byte");
    // What ends with the connection is whole then, and what waits for more is not.
    if (gives !== "waits") return;
    const isEnded = kind === "response";
    assert.equal(whole.finish().code, isEnded ? undefined : "ERR_EM_HTTP_TRUNCATED");
  });
}

for (const [name, cases] of Object.entries(REQUEST_CASES)) {
  describe(`requests: ${name}`, () => {
    for (const one of cases) check("request", one);
  });
}

describe("responses", () => {
  for (const one of RESPONSE_CASES) check("response", one);
});
