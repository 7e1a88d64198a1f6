import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program, source } from "../support/paths.js";

onEveryEngine("lengths the kernel tells", (engine) => {
  if (!engine.has("socketOptions")) return;
  test("an option counted in other units than bytes, and a path without room for its NUL, stay within their memory", async () => {
    const folder = mkdtempSync(join(tmpdir(), "em-"));
    try {
      const node = [process.execPath, program(import.meta.url, "./programs/kernel_lengths.js")];
      await using child = new Child("python3", [source("peers/kernel_lengths.py"), folder, ...node]);
      const { lengths, path } = await child.json<{ lengths: unknown[]; path: string }>();
      assert.deepEqual(lengths, ["EINVAL", 64, 100, 512, 512]);
      assert.equal(path, "p".repeat(108));
      assert.deepEqual(await child.ended(), { code: 0, signal: null }, child.stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
