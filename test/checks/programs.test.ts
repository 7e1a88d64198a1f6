import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../support/paths.js";
import { PACKAGES } from "../support/programs.js";

/** What building needs and no test starts. */
const BUILD = ["g++", "make"];
/** What only the check of the C++ format needs. */
const FORMAT = ["clang-format"];

const TESTS = [...new Set(Object.values(PACKAGES))];

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** The packages of the one `apt install` in a document, whose list may go over several lines. */
function installed(document: string): string[] {
  const found = /apt install ([^`]+)`/.exec(read(document));
  assert.ok(found?.[1] !== undefined, `${document} says what to install`);
  return found[1].split(/[\s\\]+/).filter((word) => word !== "");
}

function assertSame(actual: readonly string[], expected: readonly string[]): void {
  assert.deepEqual([...actual].sort(), [...expected].sort());
}

test("CONTRIBUTING lists what the build and the tests need", () => {
  assertSame(installed("CONTRIBUTING.md"), [...BUILD, ...FORMAT, ...TESTS]);
});

test("the README lists what its commands need", () => {
  assertSame(installed("README.md"), [...BUILD, ...TESTS]);
});

test("CI installs what the build and the tests need", () => {
  const needed = [...read(".ci/packages").matchAll(/^need (\S+)/gm)].map(([, name = ""]) => name);
  assertSame(needed, [...BUILD, ...FORMAT, ...TESTS]);
});
