import { Duplex, type Readable, type Writable } from "node:stream";

/** How much is read ahead of what the connection takes: as much as the kernel holds in a pipe. */
const READ_AHEAD = 64 * 1024;

/** What becomes of the pipes to a child. */
export interface PipesOwner {
  /** The child has closed the pipe it reads from. */
  readerLeft(): void;
  /** The pipe it writes to has ended; what was read of it may still wait. */
  outputOver(): void;
}

/**
 * The pipes to and from a child process as one stream. The end of either is the child's affair and fails nothing: a program may close its
 * input and go on, or its output.
 */
export class ChildPipes extends Duplex {
  readonly #input: Writable | null;
  readonly #output: Readable;
  readonly #owner: PipesOwner;
  #isUnread = false;
  #isOver = false;

  constructor(input: Writable | null, output: Readable, owner: PipesOwner) {
    super({ readableHighWaterMark: READ_AHEAD, autoDestroy: false });
    this.#input = input;
    this.#output = output;
    this.#owner = owner;
    input?.on("error", () => this.#readerLeft());
    input?.on("close", () => this.#readerLeft());
    const over = (): void => this.#over();
    output.on("end", over).on("error", over).on("close", over);
    output.on("data", (chunk: Buffer) => {
      if (!this.#isOver && !this.push(chunk)) output.pause();
    });
  }

  /** Whether the pipe has ended; what was read of it may still wait. */
  get isOver(): boolean {
    return this.#isOver;
  }

  override _read(): void {
    this.#output.resume();
  }

  /** What nobody reads is never reported as written. */
  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (!this.#isUnread) this.#input?.write(chunk, (error) => error ?? callback());
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#input?.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#input?.destroy();
    this.#output.destroy();
    this.#over();
    callback(error);
  }

  /** Closes the pipe that the child reads from, with what waits for it. */
  dropInput(): void {
    this.#input?.destroy();
  }

  #readerLeft(): void {
    if (this.#isUnread) return;
    this.#isUnread = true;
    if (!this.writableEnded) this.#owner.readerLeft();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.destroyed) this.push(null);
    this.#owner.outputOver();
  }
}
