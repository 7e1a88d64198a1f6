import assert from "node:assert/strict";
import { test } from "node:test";
import { PlantedHouse } from "./planted_house.js";

const VALUE = "export const value = 1;\n";

function importing(from: string): string {
  return `import { value } from "${from}";\nexport const other = value;\n`;
}

async function imports(sources: Readonly<Record<string, string>>) {
  using house = new PlantedHouse(sources);
  return await house.run("depcruise", ["src"]);
}

test("imports that run downward pass", async () => {
  const { passes, output } = await imports({
    "src/base/low.ts": VALUE,
    "src/core/high.ts": importing("../base/low.js"),
  });
  assert.ok(passes, output);
});

const WRONG: [what: string, rule: string, sources: Record<string, string>][] = [
  [
    "upward",
    "downward-from-base: src/base/low.ts",
    { "src/base/low.ts": importing("../core/high.js"), "src/core/high.ts": VALUE },
  ],
  [
    "upward, of a type alone",
    "downward-from-base: src/base/low.ts",
    {
      "src/base/low.ts": 'import type { High } from "../core/high.js";\nexport type Low = High;\n',
      "src/core/high.ts": "export type High = 1;\n",
    },
  ],
  [
    "to a neighbour",
    "downward-from-interop: src/interop/one.ts",
    { "src/interop/one.ts": importing("../protocols/two.js"), "src/protocols/two.ts": VALUE },
  ],
  [
    "from one engine to another",
    "downward-from-engine/native: src/engine/native/one.ts",
    { "src/engine/native/one.ts": importing("../portable/two.js"), "src/engine/portable/two.ts": VALUE },
  ],
  [
    "from the contract to an engine",
    "downward-from-engine: src/engine/contract.ts",
    { "src/engine/contract.ts": importing("./native/one.js"), "src/engine/native/one.ts": VALUE },
  ],
  [
    "in a circle",
    "no-circles: src/base/one.ts",
    {
      "src/base/one.ts": `${importing("./two.js")}${VALUE}`,
      "src/base/two.ts": `${importing("./one.js")}${VALUE}`,
    },
  ],
  ["to nothing", "resolvable: src/base/low.ts", { "src/base/low.ts": importing("./nowhere.js") }],
  ["in a room that has no floor", "src/attic must have a floor", { "src/attic/high.ts": VALUE }],
];

for (const [what, rule, sources] of WRONG) {
  test(`an import ${what} fails`, async () => {
    const { passes, output } = await imports(sources);
    assert.ok(!passes, output);
    assert.ok(output.includes(rule), output);
  });
}
