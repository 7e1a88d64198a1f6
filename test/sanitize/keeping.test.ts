import assert from "node:assert/strict";
import { test } from "node:test";
import { onEveryEngine } from "../support/harness.js";
import type { NativeCounts } from "../support/native_counts.js";
import { program } from "../support/paths.js";
import { Child } from "./sanitized_child.js";

interface Kept {
  views: number;
  whileKept?: NativeCounts;
  counts?: NativeCounts;
}

onEveryEngine("borrowed views that are kept", (engine) => {
  test("can be read after the reactor has stopped, and let go of the memory when they go", async () => {
    const args = ["--expose-gc", program(import.meta.url, "./programs/keeping.js"), engine.name];
    await using child = new Child(process.execPath, args);
    const { views, whileKept, counts } = await child.json<Kept>(60_000);
    assert.deepEqual(await child.soundEnd(), { code: 0, signal: null }, child.stderr);
    assert.ok(views >= 800, `${views} views were kept`);
    if (engine.name !== "native") return;
    assert.ok(whileKept !== undefined && whileKept.regions === 4, "each engine's memory stays as long as it is seen");
    assert.deepEqual(counts, {
      loops: 0,
      handles: 0,
      descriptors: 0,
      chunks: 0,
      unread: 0,
      regions: 0,
      tls: 0,
      tlsContexts: 0,
      fileReads: 0,
    });
  });
});
