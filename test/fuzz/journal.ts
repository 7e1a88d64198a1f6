import { closeSync, openSync, writeSync } from "node:fs";

/**
 * What a round does, operation by operation, each noted before it is done. It goes straight to a file: where the process
 * crashes or hangs, the last lines say over what.
 */
export class Journal {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "w");
  }

  note(line: string): void {
    writeSync(this.#file, `${line}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}
