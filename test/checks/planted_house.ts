import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Child } from "../support/child.js";
import { ROOT } from "../support/paths.js";

/** Long enough for a tool of npm to load on a busy machine. */
const PATIENCE = 60_000;
const SETTINGS = [".dependency-cruiser.cjs", "package.json", "tsconfig.json"];

/** A folder with the project's settings and these sources, given by path. Gone with its block (`using`). */
export class PlantedHouse implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "em-planted-"));

  constructor(sources: Readonly<Record<string, string>>) {
    for (const name of SETTINGS) copyFileSync(join(ROOT, name), join(this.#folder, name));
    for (const name of ["src", "native"]) mkdirSync(join(this.#folder, name));
    for (const [path, text] of Object.entries(sources)) {
      mkdirSync(dirname(join(this.#folder, path)), { recursive: true });
      writeFileSync(join(this.#folder, path), text);
    }
  }

  /** Runs one of the tools of npm here: what it printed, and whether it found nothing. */
  async run(tool: string, args: readonly string[]): Promise<{ passes: boolean; output: string }> {
    await using child = new Child(join(ROOT, "node_modules/.bin", tool), args, { cwd: this.#folder });
    const lines = await child.rest(PATIENCE);
    const { code } = await child.ended();
    return { passes: code === 0, output: lines.join("\n") + child.stderr };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
