import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import type { Binding } from "../../src/engine/native/binding.js";
import { onEveryEngine } from "../support/harness.js";
import { program, ROOT } from "../support/paths.js";
import { PATIENCE } from "../support/wait.js";
import { Child } from "./sanitized_child.js";

// A child for each native call, a file for each kind of them: files run side by side.

/** Kinds of native calls, by name. What belongs to none of these is of the kind "loop". */
const KINDS = {
  tls: /tls|openssl|^(?:answer|setTicketKeys|setStaple|undelivered)/i,
  streams:
    /listen|adopt|connect|^(?:oneWay|write|sendFile|awaitWritable|setLowWater|resume|holdOpen|shutdown|finish$|closeHandle|abort|detach|hold$|settle|takeDetached)|relay/i,
} as const;

type Kind = keyof typeof KINDS | "loop";

function kindOf(name: string): Kind {
  if (KINDS.tls.test(name)) return "tls";
  return KINDS.streams.test(name) ? "streams" : "loop";
}

/** Worker threads are ended while they are inside each call of the kind. */
export function terminateInside(kind: Kind, area: string): void {
  onEveryEngine(`worker.terminate() inside ${area}`, (engine) => {
    if (engine.name !== "native") return;
    const path = process.env.EVENTMACHINE_ADDON ?? join(ROOT, "build/Release/eventmachine.node");
    const native = createRequire(import.meta.url)(path) as Binding;
    const names = Object.entries(native).flatMap(([name, value]) => (typeof value === "function" ? [name] : []));
    const calls = names.filter((name) => kindOf(name) === kind);
    assert.ok(calls.length > 10, `${calls.length} calls were found`);
    // What is left uninitialised crashes for certain in the sanitized build alone.
    const rounds = process.env.LD_PRELOAD?.includes("asan") === true ? 4 : 1;
    for (const name of calls) {
      test(name, async () => {
        const atOnce = 2;
        const args = [program(import.meta.url, "./programs/native_calls.js"), name, String(rounds), String(atOnce)];
        await using child = new Child(process.execPath, args, { cwd: ROOT });
        assert.deepEqual(await child.json(2 * PATIENCE), { ended: rounds * atOnce });
        assert.deepEqual(await child.soundEnd(), { code: 0, signal: null }, child.stderr);
      });
    }
  });
}
