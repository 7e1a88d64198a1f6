// Writes native/core/layout.h, src/engine/native/layout.ts and src/base/quotas.ts from native/core/layout.mjs. Runs before
// either side is compiled, and leaves a file alone that is as it should be.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { constants, enums, quotas, tables } from "../native/core/layout.mjs";

const SIZES = { float64: 8, int32: 4, uint8: 1 };
const NOTICE = "Made by scripts/make_layout.mjs from native/core/layout.mjs: change it there.";

let end = 0;
const places = tables.map(([name, element, length, doc]) => {
  const at = end;
  end += length * SIZES[element];
  return { name, at, length, doc };
});

const numbered = enums.map((each) => ({
  ...each,
  values: each.values.map(([name, doc, value], index) => ({
    name,
    doc,
    value: value ?? (each.bits ? 1 << index : (each.first ?? 0) + index),
  })),
}));

/** Of everything but the words: two builds with the same hash understand each other. */
const hash = createHash("sha256")
  .update(
    JSON.stringify([[...constants, ...quotas].map(([name, value]) => [name, value]), places, numbered.map(plainEnum)]),
  )
  .digest()
  .readInt32LE(0);

function plainEnum({ name, values }) {
  return [name, values.map((each) => [each.name, each.value])];
}

const capital = (name) => name.charAt(0).toUpperCase() + name.slice(1);
const screaming = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

function cpp() {
  const line = (text, doc) => (doc ? [`// ${doc}`, text] : [text]);
  const constant = (name, value) => `constexpr uint32_t k${capital(name)} = ${value};`;
  return [
    `// ${NOTICE}`,
    "#pragma once",
    "",
    "#include <cstddef>",
    "#include <cstdint>",
    "",
    "namespace em {",
    "",
    `constexpr int32_t kLayoutHash = ${hash};`,
    ...[...constants, ...quotas].flatMap(([name, value, doc]) => line(constant(name, value), doc)),
    "",
    ...places.flatMap(({ name, at, doc }) => line(`constexpr size_t k${capital(name)}At = ${at};`, doc)),
    `constexpr size_t kControlSize = ${end};`,
    ...numbered.flatMap(({ name, base, scoped, prefix = "", doc, values }) => [
      "",
      `// ${doc}`,
      `enum ${scoped ? "class " : ""}${name} : ${base} {`,
      ...values.flatMap((each) => {
        const label = scoped ? each.name : `k${capital(prefix)}${capital(each.name)}`;
        return line(`${label} = ${each.value},`, each.doc).map((text) => `  ${text}`);
      }),
      "};",
    ]),
    "",
    "}  // namespace em",
    "",
  ].join("\n");
}

const line = (text, doc) => (doc ? [`/** ${doc} */`, text] : [text]);
const constant = (name, value) => `export const ${screaming(name)} = ${value};`;
const constantLines = (list) => list.flatMap(([name, value, doc]) => line(constant(name, value), doc));

function typescript() {
  return [
    `// ${NOTICE}`,
    "",
    `export const LAYOUT_HASH = ${hash};`,
    ...constantLines(constants),
    "",
    ...places.flatMap(({ name, at, doc }) => line(`export const ${screaming(name)}_AT = ${at};`, doc)),
    `export const CONTROL_SIZE = ${end};`,
    ...numbered.flatMap(({ name, doc, values }) => [
      "",
      `/** ${doc} */`,
      `export const ${name} = {`,
      ...values.flatMap((each) => line(`${each.name}: ${each.value},`, each.doc).map((text) => `  ${text}`)),
      "} as const;",
    ]),
    "",
  ].join("\n");
}

function write(path, text) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
}

write("native/core/layout.h", cpp());
if (existsSync(fileURLToPath(new URL("../src", import.meta.url)))) {
  write("src/engine/native/layout.ts", typescript());
  write("src/base/quotas.ts", [`// ${NOTICE}`, "", ...constantLines(quotas), ""].join("\n"));
}
