/** The shape of a code: a word that a program compares, never a sentence. */
const CODE = /^[A-Z][A-Z0-9_]*$/;

export function isCode(code: unknown): code is string {
  return typeof code === "string" && CODE.test(code);
}

/** The code of an error of somebody else's; undefined where it has none, or something else in its place. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return isCode(code) ? code : undefined;
}
