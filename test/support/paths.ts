import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's folder, wherever the compiled test lies. */
export const ROOT = dirname(createRequire(import.meta.url).resolve("eventmachine/package.json"));

/** A file of the sources: scripts in other languages are not compiled along. */
export function source(path: string): string {
  return join(ROOT, "test", path);
}

/** A compiled program beside the calling module: `program(import.meta.url, "./programs/echo.js")`. */
export function program(base: string, path: string): string {
  return fileURLToPath(new URL(path, base));
}
