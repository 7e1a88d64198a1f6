// Builds a variant of the native core for tests, and runs tests on it alone.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Builds a variant by install.mjs's flag; its path. */
function buildVariant(flag) {
  const built = execFileSync(process.execPath, ["scripts/install.mjs", flag], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return join(root, built.trim().split("\n").at(-1)); // It ends with the path of what it built.
}

const FOLDERS = { "--sanitize": "build-asan", "--torture": "build-torture" };

/** The path of a variant, which is built unless it is newer than everything it is made of. */
export function freshVariant(flag) {
  const path = join(root, FOLDERS[flag], "eventmachine.node");
  const sources = [
    "binding.gyp",
    "scripts/install.mjs",
    ...readdirSync(join(root, "native"), { recursive: true }).map((name) => `native/${name}`),
  ];
  const changed = (name) => statSync(join(root, name)).mtimeMs;
  if (existsSync(path) && sources.every((name) => changed(name) < statSync(path).mtimeMs)) return path;
  return buildVariant(flag);
}

/** `flag` is install.mjs's, `args` are test.mjs's. Ends this process with the tests' exit code. */
export function runVariant(flag, args, env) {
  const addon = freshVariant(flag);
  const { status, error } = spawnSync(process.execPath, ["scripts/test.mjs", ...args], {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      EVENTMACHINE_ADDON: addon,
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
