import assert from "node:assert/strict";
import { it } from "node:test";
import * as flags from "../../src/connection/transport_state.js";

it("each flag of a connection is a bit of its own, of a small integer", () => {
  const seen = new Map<number, string>();
  for (const [name, bit] of Object.entries(flags)) {
    assert.ok(Number.isInteger(Math.log2(bit)) && bit < 2 ** 30, `${name} is ${bit}`);
    assert.equal(seen.get(bit), undefined, `${name} is ${seen.get(bit)}`);
    seen.set(bit, name);
  }
});
