/** Bytes that wait for a verdict, or for a backend. */
export class Kept {
  #chunks: Uint8Array[] = [];
  bytes = 0;

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  /** All of it, with `more` behind. */
  take(more?: Buffer): Buffer {
    const all = more === undefined ? this.#chunks : [...this.#chunks, more];
    this.#chunks = [];
    this.bytes = 0;
    return all.length === 1 ? (all[0] as Buffer) : Buffer.concat(all);
  }
}
