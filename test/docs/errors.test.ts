import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { headings, ROOT, readDocument } from "./markdown.js";

const document = readDocument("docs/errors.md");
const titles = headings(document, 3);

/** The headings are the names in backquotes. */
const documented = (form: RegExp) =>
  titles.map((title) => title.replaceAll("`", "")).filter((title) => form.test(title));

function sourceFiles(folder: string): string[] {
  return readdirSync(`${ROOT}${folder}`, { recursive: true })
    .map((name) => `${ROOT}${folder}/${name}`)
    .filter((name) => /\.(ts|cc|h)$/.test(name));
}

function found(files: readonly string[], form: RegExp): string[] {
  const names = files.flatMap((file) => readFileSync(file, "utf8").match(form) ?? []);
  return [...new Set(names)].sort();
}

test("every code of the package has a heading, and no heading is stale", () => {
  const codes = found([...sourceFiles("src"), ...sourceFiles("native")], /\bERR_EM_[A-Z0-9_]*[A-Z0-9]\b/g);
  assert.ok(codes.length > 10, "the sources name codes");
  assert.deepEqual(documented(/^ERR_EM_/).sort(), codes);
});

test("every kind of close reason has a heading, and no heading is stale", () => {
  const source = readFileSync(`${ROOT}src/base/close_reason.ts`, "utf8");
  const kinds = [...source.matchAll(/readonly kind: "([a-z-]+)"/g)].map(([, kind]) => kind as string);
  assert.ok(kinds.length > 10, "the sources name kinds");
  assert.deepEqual(documented(/^[a-z]+(-[a-z]+)*$/).sort(), [...new Set(kinds)].sort());
});

test("every deadline's name is explained", () => {
  const source = readFileSync(`${ROOT}src/base/close_reason.ts`, "utf8");
  const [, names = ""] = /type DeadlineName =\s+([^;]+);/.exec(source) ?? [];
  const deadlines = [...names.matchAll(/"([a-z-]+)"/g)].map(([, name]) => name as string);
  assert.ok(deadlines.length > 0);
  for (const deadline of deadlines) assert.ok(document.includes(`\`${deadline}\``), `${deadline} is not explained`);
});
