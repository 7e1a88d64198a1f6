// Builds a variant of the native core for tests, and runs tests on it alone.
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** `flags` are install.mjs's, `args` test.mjs's. Ends this process with the tests' exit code. */
export function runVariant(flags, args, env) {
  const built = execFileSync(process.execPath, ["scripts/install.mjs", ...flags], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const addon = built.trim().split("\n").at(-1); // It ends with the path of what it built.
  const { status, error } = spawnSync(process.execPath, ["scripts/test.mjs", ...args], {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      EVENTMACHINE_ADDON: fileURLToPath(new URL(`../${addon}`, import.meta.url)),
      EVENTMACHINE_ENGINE: "native",
      EVENTMACHINE_ENGINES: "native",
      ...env,
    },
  });
  if (error !== undefined) throw error;
  process.exit(status ?? 1);
}

/** What a Node that is not sanitized itself needs to load an addon that is. Node's own leaks are no concern of ours. */
export function sanitizerEnvironment() {
  const compiler = process.env.CXX ?? "g++";
  const library = execFileSync(compiler, ["-print-file-name=libasan.so"], { encoding: "utf8" }).trim();
  return {
    LD_PRELOAD: library,
    ASAN_OPTIONS: "detect_leaks=0",
    UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
  };
}
