import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unlessMissing } from "../support/programs.js";
import { makeCertificate } from "./servers/program.js";

/** A certificate for localhost that signs itself, and its key, as node:tls takes them. */
export interface Identity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export function makeIdentity(): Identity {
  return unlessMissing(makeOne);
}

function makeOne(): Identity {
  const folder = mkdtempSync(join(tmpdir(), "em-identity-"));
  try {
    const { cert, key } = makeCertificate(folder);
    return { cert: readFileSync(cert), key: readFileSync(key) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
