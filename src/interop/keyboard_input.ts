import { constants } from "node:os";
import { Duplex } from "node:stream";
import type { ReadStream } from "node:tty";
import { isMainThread } from "node:worker_threads";
import { StateError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";

/** Standard input, as much of a terminal's as it is, or of a pipe's or a file's. */
type Input = NodeJS.ReadStream & Partial<Pick<ReadStream, "setRawMode" | "isRaw" | "unref" | "ref">>;

let isTaken = false;

/**
 * The standard input of this process as a stream of its own, which can be closed and opened again: Node's own is left as it was. What is read is taken in as it
 * comes; nothing can be written.
 */
export class KeyboardInput extends Duplex {
  readonly #input: Input = process.stdin;
  readonly #wasRaw: boolean;
  readonly #take = (chunk: Buffer): void => {
    if (!this.push(chunk)) this.#input.pause();
  };
  readonly #over = (): void => void this.push(null);
  readonly #failed = (error: Error): void => void this.destroy(error);

  /** Throws StateError and SystemError where it cannot be had, or not so. */
  constructor(raw: boolean) {
    super({ autoDestroy: false });
    const input = checkInput(this.#input, raw);
    this.#wasRaw = input.isRaw === true;
    if (input.isTTY) input.setRawMode?.(raw);
    isTaken = true;
    input.on("data", this.#take).on("end", this.#over).on("close", this.#over).on("error", this.#failed);
    // The reactor keeps the process alive, as long as it wants to.
    input.unref?.();
  }

  override _read(): void {
    this.#input.resume();
  }

  override _write(_chunk: unknown, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const input = this.#input;
    input.off("data", this.#take).off("end", this.#over).off("close", this.#over).off("error", this.#failed);
    input.pause();
    input.ref?.();
    if (input.isTTY && !input.destroyed) input.setRawMode?.(this.#wasRaw);
    isTaken = false;
    callback(error);
  }
}

function checkInput(input: Input, raw: boolean): Input {
  if (!isMainThread) {
    throw new StateError(
      "ERR_EM_MAIN_THREAD_ONLY",
      "openKeyboard is for the main thread: a worker has no standard input",
    );
  }
  if (isTaken) throw new StateError("ERR_EM_DESCRIPTOR_OWNED", "openKeyboard: it is open already");
  if (input.readableEncoding !== null) {
    throw new StateError("ERR_EM_CLAIMED", "openKeyboard: somebody else reads process.stdin (setEncoding)");
  }
  if (input.destroyed || input.readableEnded) {
    throw new StateError("ERR_EM_CLOSED", "openKeyboard: the standard input has ended");
  }
  if (raw && !input.isTTY) throw new SystemError(-constants.errno.ENOTTY, "tcsetattr", { address: "/dev/stdin" });
  return input;
}
