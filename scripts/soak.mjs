// The long runs: connections that churn (test/soak), or with --fuzz the fuzzers at length, an hour unless told otherwise.
//   npm run soak -- --seconds 600
//   npm run soak -- --fuzz --seconds 600
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const LENGTH = "3600";

const args = process.argv.slice(2);
const fuzzes = args.includes("--fuzz");
const others = args.filter((argument) => argument !== "--fuzz");
const command = fuzzes
  ? ["scripts/fuzz.mjs", ...(others.includes("--seconds") ? [] : ["--seconds", LENGTH]), ...others]
  : [".build/test/soak/soak.js", ...args];
const root = fileURLToPath(new URL("..", import.meta.url));
const { status, error } = spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" });
if (error !== undefined) throw error;
process.exitCode = status ?? 1;
