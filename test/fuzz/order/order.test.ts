import assert from "node:assert/strict";
import { test } from "node:test";
import { play } from "./program.js";

/**
 * The order of callbacks is the same on both engines, whatever a program does. `EVENTMACHINE_ORDER_SEED` and
 * `EVENTMACHINE_ORDER_PROGRAMS` repeat one program, or run more of them.
 */
const FIRST = Number(process.env.EVENTMACHINE_ORDER_SEED ?? 1);
const PROGRAMS = Number(process.env.EVENTMACHINE_ORDER_PROGRAMS ?? 60);
const WHAT = [
  ...["in", "tick", "timer", "receiveData", "setImmediate", "setTimeout", "unbind", "microtask", "scheduled"],
  ...["abort", "close", "finish", "reconnect", "closed", "onError", "hook", "drained", "connects:", "reconnects:"],
  ...["local-close", "local-abort", "connect-aborted", "handler-error", "peer-closed", "stop", "drain-deadline"],
];

test(`${PROGRAMS} random programs from seed ${FIRST}: callbacks come in one order on both engines`, async () => {
  const seen = new Set<string>();
  for (let seed = FIRST; seed < FIRST + PROGRAMS; seed++) {
    const native = await play(seed, "native");
    assert.deepEqual(await play(seed, "portable"), native, `EVENTMACHINE_ORDER_SEED=${seed}`);
    assert.equal(native.at(-1), "run resolved");
    for (const entry of native) for (const word of entry.split(" ")) seen.add(word);
  }
  // Fewer programs than this may leave something out.
  if (PROGRAMS < 60) return;
  for (const what of WHAT) assert.ok(seen.has(what), `no program did this: ${what}`);
});
