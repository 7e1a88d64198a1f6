import assert from "node:assert/strict";
import { test } from "node:test";
import { viewShared } from "../../../src/engine/native/ring.js";
import { Random } from "../../support/random.js";
import { scribble } from "./scribble.js";
import { loadBinding, sharedOf, tapMemory } from "./shared_memory.js";

test("a tap sees the memory of a loop that is made, and a scribble changes it, by the seed", () => {
  const binding = loadBinding();
  const seen: number[] = [];
  const tap = tapMemory(binding, ({ loop }) => seen.push(loop));
  const made = binding.create(
    () => {},
    () => {},
    0,
  );
  tap.undo();
  const shared = sharedOf(made, binding);
  assert.deepEqual(seen, [shared.loop]);
  const before = Buffer.from(shared.views.pieces.buffer.slice(0, 4096));
  const said = Array.from({ length: 40 }, (_, seed) => scribble(new Random(seed), shared));
  const after = Buffer.from(shared.views.pieces.buffer.slice(0, 4096));
  binding.close(shared.loop);
  assert.ok(new Set(said).size > 20);
  assert.notDeepEqual(after, before);
  assert.equal(viewShared(made[1]).words.length, shared.views.words.length);
});
