import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import type { Binding } from "../../src/engine/native/binding.js";
import { onEveryEngine } from "../support/harness.js";
import { program, ROOT } from "../support/paths.js";
import { PATIENCE } from "../support/wait.js";
import { Child } from "./sanitized_child.js";

onEveryEngine("worker.terminate() inside a native call", (engine) => {
  if (engine.name !== "native") return;
  const path = process.env.EVENTMACHINE_ADDON ?? join(ROOT, "build/Release/eventmachine.node");
  const native = createRequire(import.meta.url)(path) as Binding;
  const names = Object.entries(native).filter(([, value]) => typeof value === "function");
  assert.ok(names.length > 40, `${names.length} calls were found`);
  // What is left uninitialised crashes for certain in the sanitized build alone.
  const rounds = process.env.LD_PRELOAD?.includes("asan") === true ? 4 : 1;
  for (const [name] of names) {
    test(name, async () => {
      const atOnce = 2;
      const args = [program(import.meta.url, "./programs/native_calls.js"), name, String(rounds), String(atOnce)];
      await using child = new Child(process.execPath, args, { cwd: ROOT });
      assert.deepEqual(await child.json(2 * PATIENCE), { ended: rounds * atOnce });
      assert.deepEqual(await child.soundEnd(), { code: 0, signal: null }, child.stderr);
    });
  }
});
