/** What is asked of a connection before it is open: bytes to send and things to do, in the order of the calls. */
export class OpeningQueue {
  #entries: (Uint8Array | (() => void))[] = [];
  /** Bytes among it. */
  size = 0;

  /** Copies the bytes: the caller may reuse its buffer. */
  add(data: Uint8Array): void {
    this.#entries.push(Buffer.from(data));
    this.size += data.length;
  }

  addAction(action: () => void): void {
    this.#entries.push(action);
  }

  /** The connection is open: everything takes its turn. */
  run(write: (data: Uint8Array) => void): void {
    for (const entry of this.#entries) {
      if (typeof entry === "function") entry();
      else write(entry);
    }
  }
}
