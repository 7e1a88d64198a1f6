/** Cuts a stream of TLS into its records. */
export class RecordCutter {
  #held: Buffer = Buffer.alloc(0);

  take(data: Buffer): Buffer[] {
    this.#held = Buffer.concat([this.#held, data]);
    const records: Buffer[] = [];
    while (this.#held.length >= 5) {
      const size = 5 + this.#held.readUInt16BE(3);
      if (this.#held.length < size) break;
      records.push(this.#held.subarray(0, size));
      this.#held = this.#held.subarray(size);
    }
    return records;
  }

  /** What came and is no whole record. */
  rest(): Buffer {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }
}
