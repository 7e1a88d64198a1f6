import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ROOT } from "./markdown.js";

test("each member of the port has a sentence of promise", () => {
  const text = readFileSync(`${ROOT}src/core/stream_port.ts`, "utf8");
  const body = text.slice(text.indexOf("export interface StreamPort {"));
  const lines = body
    .split("\n")
    .slice(1)
    .map((line) => line.trim());
  const members = lines.flatMap((line, at) => (/^(readonly )?\w+(<.*>)?[(:]/.test(line) ? [{ line, at }] : []));
  assert.ok(members.length > 25, "the members were found");
  for (const { line, at } of members) assert.match(lines[at - 1] ?? "", /\*\/$/, `${line} has no sentence before it`);
});
