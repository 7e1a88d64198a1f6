import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { type CodeBlock, codeBlocks, ROOT, readDocument } from "./markdown.js";

/**
 * Every TypeScript block of the documents compiles as it stands; those marked `complete` run to their end, and print what
 * the `text` block behind them says. They run in a folder with the test certificates.
 */

const DOCUMENTS = ["README.md", ...readdirSync(`${ROOT}docs`).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);
/** Within the package, so that samples find it by its name. */
const FOLDER = mkdtempSync(`${ROOT}.build/samples-`);
const RUN_LIMIT = 20_000;

const run = promisify(execFile);

interface Sample {
  readonly place: string;
  readonly file: string;
  readonly block: CodeBlock;
}

const samples: Sample[] = DOCUMENTS.flatMap((document) =>
  codeBlocks(readDocument(document))
    .filter(({ language }) => language === "ts")
    .map((block) => ({
      place: `${document}:${block.line}`,
      file: `${document.replace(/[/.]/g, "_")}_${block.line}`,
      block,
    })),
);

const CONFIGURATION = {
  extends: "../../tsconfig.json",
  compilerOptions: {
    rootDir: ".",
    outDir: "out",
    typeRoots: ["../../node_modules/@types"],
    declaration: false,
    sourceMap: false,
    inlineSources: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
    skipLibCheck: true,
  },
  include: ["*.ts"],
  exclude: [],
};

/** What the compiler said, by the file it said it of. */
let complaints: string[] = [];

before(async () => {
  cpSync(`${ROOT}test/support/pki`, FOLDER, { recursive: true });
  writeFileSync(`${FOLDER}/tsconfig.json`, JSON.stringify(CONFIGURATION));
  for (const { file, block } of samples) writeFileSync(`${FOLDER}/${file}.ts`, block.text);
  const compiler = `${ROOT}node_modules/typescript/bin/tsc`;
  try {
    await run(process.execPath, [compiler, "-p", FOLDER, "--pretty", "false"], { cwd: FOLDER });
  } catch (error) {
    complaints = (error as { stdout: string }).stdout.split("\n").filter((line) => line !== "");
    if (complaints.length === 0) throw error;
  }
});

test("there are samples, and every complaint is about one of them", () => {
  assert.ok(samples.length > 10, `only ${samples.length} samples were found`);
  const known = samples.map(({ file }) => `${file}.ts(`);
  const stray = complaints.filter((line) => !line.startsWith(" ") && !known.some((file) => line.startsWith(file)));
  assert.deepEqual(stray, []);
});

after(() => rmSync(FOLDER, { recursive: true }));

for (const { place, file, block } of samples) {
  test(`${place} compiles`, () => {
    assert.deepEqual(
      complaints.filter((line) => line.startsWith(`${file}.ts(`)),
      [],
    );
  });
  if (!block.marks.includes("complete")) continue;
  test(`${place} runs to its end`, async () => {
    const { stdout } = await run(process.execPath, [`${FOLDER}/out/${file}.js`], { timeout: RUN_LIMIT, cwd: FOLDER });
    if (block.next?.language === "text") assert.equal(stdout, block.next.text);
  });
}
