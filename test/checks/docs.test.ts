import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Child } from "../support/child.js";
import { ROOT } from "../support/paths.js";

/** Runs the check on these declarations. */
async function check(declarations: string): Promise<{ passes: boolean; lines: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), "em-docs-"));
  try {
    writeFileSync(join(folder, "base.d.ts"), "export declare class Base {\n  inherited(): void;\n}\n");
    writeFileSync(join(folder, "index.d.ts"), declarations);
    await using child = new Child(process.execPath, [join(ROOT, "scripts/check_docs.mjs"), join(folder, "index.d.ts")]);
    const lines = await child.rest(60_000);
    const { code } = await child.ended();
    return { passes: code === 0, lines: lines.map((line) => line.replace(/ {2}.*/, "")) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("what has a docstring passes, private members and constructors need none", async () => {
  const { passes, lines } = await check(`
/** A class. */
export declare class Kept {
  #private;
  private hidden;
  constructor(size: number);
  /** In a pair, one is enough. */
  get size(): number;
  set size(size: number);
  /** Of overloads, too. */
  call(text: string): void;
  call(size: number): void;
}
/** Either of two. */
export type Either = { readonly kind: "one" } | { readonly kind: "other" };
`);
  assert.ok(passes, lines.join("\n"));
});

test("what has none fails, and is named", async () => {
  const { passes, lines } = await check(`
import { Base } from "./base.js";
/** A class. */
export declare class Heir extends Base {
  static make(): Heir;
  method(): void;
  get size(): number;
  [Symbol.dispose](): void;
}
export interface Options {
  limit?: number;
}
export type Named = { name: string };
export declare function run(): void;
export declare const LIMIT: number;
`);
  assert.ok(!passes);
  const named = [
    "Heir.[Symbol.dispose]",
    "Heir.inherited",
    "Heir.make",
    "Heir.method",
    "Heir.size",
    "LIMIT",
    "Named",
    "Named.name",
    "Options",
    "Options.limit",
    "run",
  ];
  assert.deepEqual(lines.slice(0, -1).sort(), named.sort());
  assert.equal(lines.at(-1), "11 of 12 have no docstring");
});
