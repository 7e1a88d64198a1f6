import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { headings, prose, ROOT, readDocument } from "./markdown.js";

const DOCUMENTS = [...readdirSync(ROOT), ...readdirSync(`${ROOT}docs`).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);

/** What GitHub makes of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, "")
    .replaceAll(" ", "-");
}

function anchorsOf(document: string): Set<string> {
  const text = readDocument(document);
  return new Set([1, 2, 3, 4].flatMap((level) => headings(text, level)).map(anchorOf));
}

for (const document of DOCUMENTS) {
  test(`the links of ${document} lead somewhere`, () => {
    for (const [link, target = ""] of prose(readDocument(document)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const place = path === "" ? document : normalize(join(dirname(document), path));
      assert.ok(existsSync(ROOT + place), `${link}: there is no ${place}`);
      if (anchor !== undefined) assert.ok(anchorsOf(place).has(anchor), `${link}: ${place} has no such heading`);
    }
  });
}
