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
    "src/connection/connection.ts": VALUE,
    "src/interop/high.ts": importing("../connection/connection.js"),
    "src/engine/contract.ts": VALUE,
    "src/engine/native/one.ts": importing("../contract.js"),
    "src/engine/select.ts": importing("./native/one.js").replace("{ value }", "{ other as value }"),
  });
  assert.ok(passes, output);
});

/** By what is wrong: the file that is found, and the rule that finds it. */
const WRONG: Readonly<Record<string, string>> = {
  "an upward import": "downward-from-base: src/base/low.ts",
  "an upward import of a type alone": "downward-from-base: src/base/typed.ts",
  "an import from a neighbour": "downward-from-interop: src/interop/one.ts",
  "an import past a connection's port": "through-the-port: src/interop/past.ts",
  "an import from one engine to another": "downward-from-engine/native: src/engine/native/one.ts",
  "an import from the contract to an engine": "downward-from-engine: src/engine/contract.ts",
  "an import from an engine to what selects it": "downward-from-engine/portable: src/engine/portable/two.ts",
  "imports in a circle": "no-circles: src/base/circle_one.ts",
  "an import of nothing": "resolvable: src/base/lost.ts",
};

test("imports that do not run downward fail, and each is named", async () => {
  const { passes, output } = await imports({
    "src/base/low.ts": importing("../core/high.js"),
    "src/base/typed.ts": 'import type { High } from "../core/high.js";\nexport type Low = High;\n',
    "src/base/circle_one.ts": `${importing("./circle_two.js")}${VALUE}`,
    "src/base/circle_two.ts": `${importing("./circle_one.js")}${VALUE}`,
    "src/base/lost.ts": importing("./nowhere.js"),
    "src/core/high.ts": `${VALUE}export type High = 1;\n`,
    "src/interop/one.ts": importing("../protocols/two.js"),
    "src/protocols/two.ts": VALUE,
    "src/interop/past.ts": importing("../connection/transport.js"),
    "src/connection/transport.ts": VALUE,
    "src/engine/contract.ts": importing("./native/one.js"),
    "src/engine/native/one.ts": `${importing("../portable/two.js")}${VALUE}`,
    "src/engine/portable/two.ts": `${importing("../select.js")}${VALUE}`,
    "src/engine/select.ts": VALUE,
  });
  assert.ok(!passes, output);
  for (const [what, found] of Object.entries(WRONG)) assert.ok(output.includes(found), `${what}: ${output}`);
});

test("a room without a floor fails", async () => {
  const { passes, output } = await imports({ "src/attic/high.ts": VALUE });
  assert.ok(!passes, output);
  assert.match(output, /src\/attic must have a floor/);
});
