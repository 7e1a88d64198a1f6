import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository's root, seen from the compiled tests. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface CodeBlock {
  readonly language: string;
  /** The words behind the language. */
  readonly marks: readonly string[];
  readonly text: string;
  /** The line of the opening fence, from 1. */
  readonly line: number;
  /** The code block that follows with nothing but blank lines between. */
  next: CodeBlock | undefined;
}

export function readDocument(name: string): string {
  return readFileSync(`${ROOT}${name}`, "utf8");
}

export function codeBlocks(markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  const lines = markdown.split("\n");
  let endedAt = -1;
  for (let at = 0; at < lines.length; at++) {
    const fence = /^```(\S*)(.*)$/.exec(lines[at] as string);
    if (fence === null) continue;
    const end = lines.indexOf("```", at + 1);
    if (end === -1) throw new Error(`the code block of line ${at + 1} has no end`);
    const [, language = "", marks = ""] = fence;
    const block: CodeBlock = {
      language,
      marks: marks.split(/\s+/).filter((mark) => mark !== ""),
      text: `${lines.slice(at + 1, end).join("\n")}\n`,
      line: at + 1,
      next: undefined,
    };
    const before = blocks.at(-1);
    if (before !== undefined && lines.slice(endedAt + 1, at).every((line) => line.trim() === "")) before.next = block;
    blocks.push(block);
    endedAt = end;
    at = end;
  }
  return blocks;
}

/** The document without its code blocks. */
export function prose(markdown: string): string {
  return markdown.replace(/^```.*\n[\s\S]*?^```$/gm, "");
}

/** The text of every heading of a level. */
export function headings(markdown: string, level: number): string[] {
  return [...prose(markdown).matchAll(new RegExp(`^${"#".repeat(level)} (.+)$`, "gm"))].map(
    ([, text]) => text as string,
  );
}

/** The cells of every table row under a heading (of any level), the head and its rule left out. */
export function tableUnder(markdown: string, heading: string): string[][] {
  const lines = prose(markdown).split("\n");
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, "") === heading);
  if (start === -1) throw new Error(`there is no heading ${JSON.stringify(heading)}`);
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => /^#+ /.test(line));
  return (end === -1 ? rest : rest.slice(0, end))
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) => cells(line));
}

function cells(row: string): string[] {
  return row
    .slice(1, row.lastIndexOf("|"))
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}
