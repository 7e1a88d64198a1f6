import assert from "node:assert/strict";
import { test } from "node:test";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { Child } from "./sanitized_child.js";

const CALLBACKS = [
  "block",
  "postInit",
  "connectionCompleted",
  "receiveData",
  "receiveEnd",
  "drained",
  "unbind",
  "timer",
  "tick",
  "microtask",
  "shutdownHook",
];

onEveryEngine("leaving the process", (engine) => {
  for (const callback of CALLBACKS) {
    test(`process.exit inside ${callback}, with traffic under way`, async () => {
      const path = program(import.meta.url, "./programs/leaving.js");
      await using child = new Child(process.execPath, [path, engine.name, callback]);
      assert.deepEqual(await child.soundEnd(), { code: 7, signal: null }, child.stderr);
    });
  }
});
