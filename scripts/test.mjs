// Runs the compiled tests: every test/**/*.test.ts, or those whose path contains one of the arguments.
//   npm test                      all of them
//   npm test -- conformance cli   those of two folders
//   npm test -- --list conformance
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

// For what hangs outside of any test: tests have limits of their own. The longest file takes a minute of CPU time.
const FILE_TIMEOUT = 600_000;
const FILES_AT_ONCE = 2;

const root = fileURLToPath(new URL("..", import.meta.url));
const { values, positionals: filters } = parseArgs({ options: { list: { type: "boolean" } }, allowPositionals: true });

// From the sources: what an earlier compilation left behind is no test any more.
const sources = readdirSync(join(root, "test"), { recursive: true })
  .map((name) => join("test", name).split(sep).join("/"))
  .filter((name) => name.endsWith(".test.ts"))
  .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
  .sort();
const files = sources.map((name) => join(".build", name.replace(/\.ts$/, ".js")));

if (files.length === 0) fail(`no test file matches: ${filters.join(" ")}`);
const missing = files.filter((file) => !existsSync(join(root, file)));
if (missing.length > 0) fail(`not compiled (npm run build:test): ${missing.join(" ")}`);

if (values.list) {
  console.log(sources.join("\n"));
} else {
  const { status, error } = spawnSync(
    process.execPath,
    [
      `--import=${new URL("test_deadline.mjs", import.meta.url)}`,
      "--test",
      "--test-reporter=spec",
      `--test-concurrency=${FILES_AT_ONCE}`,
      `--test-timeout=${FILE_TIMEOUT}`,
      ...files,
    ],
    { cwd: root, stdio: "inherit", env: { ...process.env, TEST_FILE_TIMEOUT: String(FILE_TIMEOUT) } },
  );
  if (error !== undefined) throw error;
  process.exitCode = status ?? 1;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
