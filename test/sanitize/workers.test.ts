import assert from "node:assert/strict";
import { test } from "node:test";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { PATIENCE } from "../support/wait.js";
import { Child } from "./sanitized_child.js";

onEveryEngine("worker threads", (engine) => {
  async function run(where: string, then: string, rounds: number, atOnce: number): Promise<void> {
    const path = program(import.meta.url, "./programs/workers.js");
    await using child = new Child(process.execPath, [path, engine.name, where, then, String(rounds), String(atOnce)]);
    const figures = await child.json<{ ended: number; busy: boolean }>(3 * PATIENCE);
    assert.deepEqual(figures, { ended: rounds * atOnce, busy: true });
    assert.deepEqual(await child.soundEnd(), { code: 0, signal: null }, child.stderr);
  }

  for (const callback of ["postInit", "receiveData", "unbind", "timer", "tick"]) {
    test(`terminate() while a worker is inside ${callback}`, () => run(callback, "stay", 2, 1));
    test(`process.exit() of a worker inside ${callback}`, () => run(callback, "exit", 2, 1));
  }

  test("many workers at once, ended wherever they are", () => run("anywhere", "go on", 4, 4));
});
