import assert from "node:assert/strict";
import { test } from "node:test";
import { PlantedHouse } from "./planted_house.js";

/** So many lines of code, no two alike. */
function lines(count: number): string {
  return Array.from({ length: count }, (_, index) => `  total_${index} = first_${index} + second(${index});\n`).join(
    "",
  );
}

async function repeats(sources: Readonly<Record<string, string>>) {
  using house = new PlantedHouse(sources);
  return await house.run("jscpd", ["src", "native"]);
}

for (const [language, one, two] of [
  ["TypeScript", "src/base/one.ts", "src/core/two.ts"],
  ["C++", "native/core/one.cc", "native/net/two.cc"],
  ["a C++ header", "native/core/one.h", "native/net/two.h"],
] as const) {
  test(`13 lines that stand twice in ${language} fail`, async () => {
    const { passes, output } = await repeats({ [one]: `first();\n${lines(13)}`, [two]: `other(1);\n${lines(13)}` });
    assert.ok(!passes, output);
    assert.ok(output.includes(one) && output.includes(two), output);
  });

  test(`8 lines that stand twice in ${language} pass`, async () => {
    const { passes, output } = await repeats({ [one]: `first();\n${lines(8)}`, [two]: `other(1);\n${lines(8)}` });
    assert.ok(passes, output);
  });
}

test("comments do not hide what stands twice", async () => {
  const commented = lines(13).replaceAll(";\n", "; // as above\n");
  const { passes, output } = await repeats({ "src/base/one.ts": lines(13), "src/core/two.ts": commented });
  assert.ok(!passes, output);
});
