import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Child } from "../support/child.js";
import { ROOT } from "../support/paths.js";

/** One that does not hold, so that it is seen that they are read. */
const PLANTED = `interface Promised { kept(): void }
export declare class Broken implements Promised {}
`;

test("the package's declarations hold for a program whose compiler checks its libraries, as by default", async () => {
  const folder = mkdtempSync(join(ROOT, ".build/declarations-"));
  try {
    const compilerOptions = { noEmit: true, rootDir: ROOT, skipLibCheck: false };
    const settings = { extends: join(ROOT, "tsconfig.json"), compilerOptions, include: ["*.ts"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
    writeFileSync(join(folder, "program.ts"), 'export * from "eventmachine";\nexport * from "eventmachine/http";\n');
    writeFileSync(join(folder, "planted.d.ts"), PLANTED);
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    await using child = new Child(process.execPath, [compiler, "-p", folder, "--pretty", "false"]);
    const complaints = (await child.rest(120_000)).filter((line) => line.includes("error TS"));
    await child.ended();
    assert.match(complaints.join("\n"), /^.*planted\.d\.ts\(2,22\): error TS2420.*$/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
