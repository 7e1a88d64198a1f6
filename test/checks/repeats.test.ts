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

/** Two files with the same lines among others, in each language. */
function pairs(count: number): Record<string, string> {
  const pairs = LANGUAGES.flatMap(([one, two], nth) => {
    const shared = lines(count).replaceAll("total", `total_${nth}`);
    return [
      [one, `first();\n${shared}`],
      [two, `other(1);\n${shared}`],
    ];
  });
  return Object.fromEntries(pairs);
}

const LANGUAGES = [
  ["src/base/one.ts", "src/core/two.ts"],
  ["native/core/one.cc", "native/net/two.cc"],
  ["native/core/one.h", "native/net/two.h"],
] as const;

test("13 lines that stand twice fail, in TypeScript, C++ and its headers", async () => {
  const { passes, output } = await repeats(pairs(13));
  assert.ok(!passes, output);
  for (const path of LANGUAGES.flat()) assert.ok(output.includes(path), `${path}: ${output}`);
});

test("8 lines that stand twice pass", async () => {
  const { passes, output } = await repeats(pairs(8));
  assert.ok(passes, output);
});

test("comments do not hide what stands twice", async () => {
  const commented = lines(13).replaceAll(";\n", "; // as above\n");
  const { passes, output } = await repeats({ "src/base/one.ts": lines(13), "src/core/two.ts": commented });
  assert.ok(!passes, output);
});
