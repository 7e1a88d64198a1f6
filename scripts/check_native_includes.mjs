// Checks that the includes of the native core run downward only:  node scripts/check_native_includes.mjs
//
// A file includes files of its own room and of those below. The floors are written here and nowhere else.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The rooms of native/ from the top down, and what each knows that those below it do not. */
const FLOORS = [
  "face", // JavaScript's values and calls
  "loop", // Node's loop, and the rounds of a reactor
  "tls", // OpenSSL
  "net", // streams and listeners
  "core", // handles, the shared memory, what is to be done
  "poll", // the kernel's readiness interface
];

const folder = fileURLToPath(new URL("../native", import.meta.url));
const roomOf = (path) => (path.includes("/") ? path.slice(0, path.indexOf("/")) : "");

/** What is wrong in the text of a file, one line each. */
function faults(name, text) {
  const floor = FLOORS.indexOf(roomOf(name));
  if (floor < 0) return [`native/${name}: must be in one of the rooms ${FLOORS.join(", ")}`];
  const found = [];
  for (const [index, line] of text.split("\n").entries()) {
    const included = /^\s*#\s*include\s*"([^"]+)"/.exec(line)?.[1];
    if (included === undefined) continue;
    const below = FLOORS.indexOf(roomOf(included));
    const where = `native/${name}:${index + 1}: "${included}"`;
    if (below < 0) found.push(`${where} is in none of the rooms ${FLOORS.join(", ")}`);
    else if (below < floor)
      found.push(`${where} is above: ${FLOORS[below]} may include ${FLOORS[floor]}, not the reverse`);
  }
  return found;
}

/** A check that finds nothing anywhere would pass as well. */
function proveItself() {
  const good = [
    ["net/proof.cc", '#include "net/stream.h"'],
    ["net/proof.cc", '#include "core/core.h"'],
    ["face/proof.h", '#include "poll/poller.h"'],
    ["core/proof.cc", "#include <vector>"],
  ];
  const bad = [
    ["core/proof.cc", '#include "net/stream.h"'],
    ["poll/proof.h", ' # include "face/args.h"'],
    ["net/proof.cc", '#include "tls/tls_connection.h"'],
    ["net/proof.cc", '#include "stream.h"'],
    ["net/proof.cc", '#include "../tls/tls_connection.h"'],
    ["attic/proof.cc", ""],
    ["proof.cc", ""],
  ];
  for (const [name, text] of good) if (faults(name, text).length > 0) throw new Error(`not at fault: ${name} ${text}`);
  for (const [name, text] of bad) if (faults(name, text).length === 0) throw new Error(`not found: ${name} ${text}`);
}

proveItself();
const files = readdirSync(folder, { recursive: true }).filter((name) => /\.(?:cc|h)$/.test(name));
const found = files.flatMap((name) => faults(name, readFileSync(join(folder, name), "utf8")));
if (found.length > 0) {
  console.error(found.join("\n"));
  process.exit(1);
}
console.log(`${files.length} files of the native core include downward only: ${FLOORS.join(" > ")}`);
