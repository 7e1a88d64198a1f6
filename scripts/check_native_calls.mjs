// Checks how the native core uses Node-API, where any call can fail because the environment is stopping:
// - node_api.h is included by native/loop/napi.h alone, with which the compiler refuses a status that is not looked at;
// - a variable of a Node-API type has a value from the beginning, for a call that fails leaves it as it is.
//
//   node scripts/check_native_calls.mjs
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FACE = "loop/napi.h";
const folder = fileURLToPath(new URL("../native", import.meta.url));

/** A declaration of variables that Node-API may fill: an environment and a callback are given, never filled. */
const DECLARATION = /^\s*(?:static |const |mutable )*napi_(?!env\b|callback\b)\w+ +(\w[^;(]*);/;

/** What is wrong in the text of a file, one line each. */
function faults(name, text) {
  const found = [];
  for (const [index, line] of text.split("\n").entries()) {
    const code = line.replace(/\/\/.*$/, "");
    const where = `native/${name}:${index + 1}`;
    if (/#\s*include\s*[<"](?:js_native_api|node_api)\.h/.test(code) && name !== FACE) {
      found.push(`${where}: include "${FACE}" instead, which makes the compiler check every status`);
    }
    const declared = DECLARATION.exec(code);
    if (declared === null) continue;
    for (const variable of declared[1].split(",")) {
      if (!variable.includes("=")) found.push(`${where}: ${variable.trim()} begins without a value`);
    }
  }
  return found;
}

/** A check that finds nothing anywhere would pass as well. */
function proveItself() {
  const bad = [
    "#include <node_api.h>",
    "  napi_value result;",
    "  napi_value callee, receiver = nullptr;",
    "  napi_value parts[4];",
    "  napi_handle_scope scope;",
    "  napi_typedarray_type type;",
  ];
  const good = [
    '#include "napi.h"',
    "  napi_value result = nullptr;",
    "  napi_value callee = nullptr, receiver = nullptr;",
    "  const napi_value parts[] = {integer(env, 1), text(env, words)};",
    "napi_value integer(napi_env env, int64_t number) {",
    "  Loop(Addon& addon, Region& region, napi_ref dispatch, napi_ref ticks, uint32_t seed);",
    "napi_value throw_error(napi_env env, const char* message);",
  ];
  for (const line of bad) if (faults("proof.cc", line).length === 0) throw new Error(`not found: ${line}`);
  for (const line of good) if (faults("proof.cc", line).length > 0) throw new Error(`not at fault: ${line}`);
}

proveItself();
const files = readdirSync(folder, { recursive: true }).filter((name) => /\.(?:cc|h)$/.test(name));
const found = files.flatMap((name) => faults(name, readFileSync(join(folder, name), "utf8")));
if (found.length > 0) {
  console.error(found.join("\n"));
  process.exit(1);
}
console.log(`${files.length} files of the native core initialise what Node-API fills, and check every status`);
