import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CAPABILITIES, engineInfo } from "eventmachine";
import { ROOT, readDocument, tableUnder } from "./markdown.js";

const document = readDocument("docs/limits.md");

const UNITS: Record<string, number> = { KiB: 1024, MiB: 1024 ** 2, ms: 1, s: 1000, bytes: 1, "": 1 };

/** "64 KiB", "250 ms", "1024", "2^52 ms". */
function quantity(text: string): number {
  const match = /^([\d.,]+)(?:\^(\d+))? ?([a-zA-Z]*)$/.exec(text);
  assert.ok(match !== null && UNITS[match[3] ?? ""] !== undefined, `${JSON.stringify(text)} is no quantity`);
  const [, digits = "", power = "1", unit = ""] = match;
  return Number(digits.replaceAll(",", "")) ** Number(power) * (UNITS[unit] as number);
}

/** The numbers of a source file, by their names. */
function constants(file: string): Map<string, number> {
  const values = new Map<string, number>();
  const source = readFileSync(`${ROOT}${file}`, "utf8");
  for (const [, name, expression] of source.matchAll(/^(?:export )?const ([A-Z][A-Za-z_]*) = ([^;]+);$/gm)) {
    const factors = (expression as string)
      .split(" * ")
      .map((factor) => values.get(factor) ?? quantity(factor.replaceAll("_", "").replace(" ** ", "^")));
    values.set(
      name as string,
      factors.reduce((product, factor) => product * factor, 1),
    );
  }
  return values;
}

test("the tables of defaults and bounds say what the sources say", () => {
  const limits = constants("src/base/limits.ts");
  const rows = [...tableUnder(document, "Defaults"), ...tableUnder(document, "Bounds")];
  const documented = new Map(rows.map(([name = "", value = ""]) => [name.replaceAll("`", ""), quantity(value)]));
  for (const unit of ["KiB", "MiB"]) limits.delete(unit);
  for (const file of ["src/base/quotas.ts", "src/reactor/drain.ts"]) {
    for (const [name, value] of constants(file)) limits.set(name, value);
  }
  assert.deepEqual(new Map([...documented].sort()), new Map([...limits].sort()));
});

test("the table of engines names every capability, and what the portable engine lacks here", () => {
  const rows = tableUnder(document, "What an engine may lack");
  const names = rows.map(([name = ""]) => name.replaceAll("`", ""));
  assert.deepEqual(names.sort(), Object.keys(CAPABILITIES).sort());
  const lacks = new Set<string>(engineInfo("portable").lacks.map(({ capability }) => capability));
  for (const [name = "", , portable = ""] of rows) {
    const capability = name.replaceAll("`", "");
    if (portable === "yes") assert.ok(!lacks.has(capability), `${capability} is lacking`);
    else if (portable === "no") assert.ok(lacks.has(capability), `${capability} is there`);
    else assert.match(portable, /^(not on|from) /, `${capability}: yes, no or a condition`);
  }
});
