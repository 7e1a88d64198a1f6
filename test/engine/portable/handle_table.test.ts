import assert from "node:assert/strict";
import { test } from "node:test";
import { HandleTable } from "../../../src/engine/portable/handle_table.js";
import { HANDLE_INDEX_MASK } from "../../../src/engine/streams.js";

test("a slot is not given out again while fewer than 64 others are free, and then the oldest is", () => {
  const table = new HandleTable<{ handle: number }>();
  const indexes: number[] = [];
  for (let round = 0; round < 300; round++) {
    const handle = table.reserve();
    table.put({ handle });
    indexes.push(handle & HANDLE_INDEX_MASK);
    table.release(handle);
    assert.equal(table.get(handle), undefined);
  }
  assert.deepEqual(
    indexes,
    Array.from({ length: 300 }, (_, round) => round % 65),
  );
});
