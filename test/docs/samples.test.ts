import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import * as eventmachine from "eventmachine";
import { type CodeBlock, codeBlocks, ROOT, readDocument } from "./markdown.js";

/**
 * Every TypeScript block of the documents compiles as it stands, and every one in a docstring with what it takes for granted; those marked `complete` run to their end, and print what
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

const written: Sample[] = DOCUMENTS.flatMap((document) =>
  codeBlocks(readDocument(document))
    .filter(({ language }) => language === "ts")
    .map((block) => ({
      place: `${document}:${block.line}`,
      file: `${document.replace(/[/.]/g, "_")}_${block.line}`,
      block,
    })),
);

/** What the examples of docstrings take for granted: the package, some of Node, and that there are a reactor and a connection. */
const GRANTED = `
import { spawn as spawnProgram } from "node:child_process";
import type { X509Certificate } from "node:crypto";
import { closeSync, createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { Duplex } from "node:stream";
import { TransformStream } from "node:stream/web";
import type { ConnectAddress, TlsVerdict } from "eventmachine";
import { HttpConnection, type HttpRequest, type HttpResponse, serveHttp } from "eventmachine/http";
import { ${Object.keys(eventmachine)
  .filter((name) => name !== "reactor")
  .join(", ")} } from "eventmachine";
declare const reactor: Reactor;
declare const connection: Connection;
declare const context: TlsContext;
declare const ADDRESS: ConnectAddress;
declare const PINNED: string;
export {};
`;

/** Members stand in a class of their own. */
function example(code: string): string {
  return /^(?:override|#)/.test(code) ? `class Example extends LineText2 {\n${code}}\nvoid Example;\n` : code;
}

/** The examples in the docstrings of a source file. */
function examples(source: string): Sample[] {
  const text = readDocument(source).replace(/^ *(?:\/\*)?\*(?: |$)/gm, "");
  return codeBlocks(text)
    .filter(({ language }) => language === "ts")
    .map((block) => ({
      place: `${source}:${block.line}`,
      file: `${source.replace(/[/.]/g, "_")}_${block.line}`,
      block: { ...block, text: GRANTED + example(block.text) },
    }));
}

const SOURCES = readdirSync(`${ROOT}src`, { recursive: true })
  .map((name) => `src/${String(name)}`)
  .filter((name) => name.endsWith(".ts"));
const told = SOURCES.flatMap(examples);
const samples = [...written, ...told];

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
  assert.ok(written.length > 10, `only ${written.length} samples were found`);
  assert.ok(told.length > 30, `only ${told.length} examples were found`);
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
