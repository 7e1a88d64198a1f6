/** What a child puts out, kept until it has ended. */
export class Gathered {
  readonly #output: Buffer[] = [];
  readonly #errorOutput: Buffer[] = [];

  add(chunk: Buffer): void {
    this.#output.push(chunk);
  }

  addError(chunk: Buffer): void {
    this.#errorOutput.push(chunk);
  }

  get output(): Buffer {
    return Buffer.concat(this.#output);
  }

  get errorOutput(): Buffer {
    return Buffer.concat(this.#errorOutput);
  }
}
