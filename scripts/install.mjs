// Builds the native engine. Runs by itself when the package is installed, and must never fail that: without the engine
// the package runs on the portable one, and says so here in one line.
//
//   node scripts/install.mjs                build if possible, exit 0 in any case
//   node scripts/install.mjs --required     a failure shows the whole log and exits 1
//   node scripts/install.mjs --sanitize     with AddressSanitizer and UBSan, into build-asan/
//   node scripts/install.mjs --torture      with faults injected into system calls, into build-torture/
//
// The variants can be combined (build-asan-torture/); both imply --required.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import "./make_layout.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const flags = new Set(process.argv.slice(2));
const sanitize = flags.has("--sanitize");
const torture = flags.has("--torture");
const required = flags.has("--required") || sanitize || torture;

/** Ends with the reason: one line and success on install, the log and failure where the engine is required. */
function giveUp(reason, log = "") {
  if (required) {
    if (log !== "") process.stderr.write(`${log.trimEnd()}\n`);
    console.error(`eventmachine: the native engine was not built: ${reason}`);
    process.exit(1);
  }
  console.log(`eventmachine: the portable engine will serve, the native one was not built: ${reason}`);
  process.exit(0);
}

/** Runs a command to its end; returns its log, and whether it succeeded. */
function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (result.error !== undefined) return { ok: false, log: String(result.error), missing: true };
  return { ok: result.status === 0, log: `${result.stdout}${result.stderr}`, missing: false };
}

/** The folder above `include/node`: what npm was told, or where this very runtime was installed. */
function headers() {
  const named = process.env.npm_config_nodedir;
  if (named !== undefined && existsSync(path.join(named, "include/node/node_api.h"))) return named;
  const prefix = path.dirname(path.dirname(process.execPath));
  return existsSync(path.join(prefix, "include/node/node_api.h")) ? prefix : undefined;
}

/** npm puts node-gyp on the PATH of its scripts, and brings one along for when this script is run by hand. */
function nodeGyp() {
  const named = process.env.npm_config_node_gyp;
  if (named !== undefined && existsSync(named)) return named;
  const prefix = path.dirname(path.dirname(process.execPath));
  for (const modules of [path.join(root, "node_modules"), path.join(prefix, "lib/node_modules")]) {
    for (const place of ["node-gyp", "npm/node_modules/node-gyp"]) {
      const file = path.join(modules, place, "bin/node-gyp.js");
      if (existsSync(file)) return file;
    }
  }
  try {
    return createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js");
  } catch {
    return undefined;
  }
}

function lastLine(log) {
  const lines = log.split("\n").filter((line) => /error|ERR!|not found/i.test(line) && !/node-gyp|npm/i.test(line));
  return (lines[0] ?? log.trim().split("\n").at(-1) ?? "").trim().slice(0, 200);
}

function buildRelease() {
  const gyp = nodeGyp();
  const args = ["rebuild", "--loglevel=warn"];
  const nodedir = headers();
  if (nodedir !== undefined) args.push(`--nodedir=${nodedir}`);
  const result = gyp === undefined ? run("node-gyp", args) : run(process.execPath, [gyp, ...args]);
  if (result.missing) giveUp("node-gyp was not found", result.log);
  if (!result.ok) giveUp(lastLine(result.log), result.log);
}

/** The variants are for tests alone: straight to the compiler, with the sources and flags that binding.gyp names. */
function buildVariant() {
  const target = JSON.parse(readFileSync(path.join(root, "binding.gyp"), "utf8")).targets[0];
  const nodedir = headers();
  if (nodedir === undefined) giveUp("Node's headers were not found (npm config nodedir)");
  const folder = ["build", sanitize ? "-asan" : "", torture ? "-torture" : ""].join("");
  const output = path.join(folder, "eventmachine.node");
  mkdirSync(path.join(root, folder), { recursive: true });
  const args = [...target.cflags_cc, ...target.defines.map((define) => `-D${define}`), "-g", "-fPIC", "-shared"];
  args.push(...target.ldflags, "-D_GLIBCXX_ASSERTIONS");
  if (sanitize) args.push("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer");
  // The sanitizers do not see what was never set; a pattern in its place is no pointer to anything.
  if (sanitize) args.push("-ftrivial-auto-var-init=pattern");
  // The checked copies of glibc's functions are not the ones that AddressSanitizer watches.
  if (sanitize) args.push("-U_FORTIFY_SOURCE");
  if (torture) args.push("-DEM_TORTURE");
  args.push(
    ...target.include_dirs.map((folder) => `-I${folder}`),
    `-I${path.join(nodedir, "include/node")}`,
    ...target.sources,
    "-o",
    `${output}.new`,
  );
  const result = run(process.env.CXX ?? "g++", args);
  if (!result.ok) giveUp(lastLine(result.log), result.log);
  // At once, so that a test that runs meanwhile finds the old one or the new one.
  renameSync(path.join(root, `${output}.new`), path.join(root, output));
  console.log(output);
}

if (process.platform !== "linux") giveUp(`it needs Linux, this is ${process.platform}`);
if ("Bun" in globalThis || "Deno" in globalThis || process.versions.electron !== undefined) {
  giveUp("it needs Node.js itself");
}
if (sanitize || torture) buildVariant();
else buildRelease();
