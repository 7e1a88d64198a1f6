import { close, constants, fstatSync, openSync } from "node:fs";
import { describe } from "../base/addresses.js";
import { codeOf } from "../base/error_code.js";
import { ArgumentError, EventMachineError } from "../base/errors.js";
import { withKnownSize } from "./unsized_files.js";

/** Opened without it, a FIFO would block the whole process until somebody writes to it. Windows has neither. */
const { O_RDONLY, O_NONBLOCK = 0 } = constants;

/** An open file that is being sent. */
export interface OpenFile {
  readonly fd: number;
  readonly size: number;
}

/**
 * Opens a regular file for sending. Opening is synchronous on purpose: the file takes its place in the order of the
 * connection's output at the very call, and a local open is a matter of microseconds.
 */
export function openForSending(path: string): OpenFile {
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw new ArgumentError(`path must be a non-empty string without NUL, not ${describe(path)}`);
  }
  let fd: number;
  try {
    fd = openSync(path, O_RDONLY | O_NONBLOCK);
  } catch (cause) {
    throw fileError(path, cause);
  }
  const found = fstatSync(fd);
  if (!found.isFile()) {
    closeFile(fd);
    throw new EventMachineError("ERR_EM_NOT_A_FILE", `${path} is not a regular file`, { address: path });
  }
  try {
    return withKnownSize(fd);
  } catch (cause) {
    throw cause instanceof EventMachineError ? cause : fileError(path, cause);
  }
}

export function closeFile(fd: number): void {
  close(fd, () => {});
}

function fileError(path: string, cause: unknown): EventMachineError {
  const { message } = cause as NodeJS.ErrnoException;
  const { syscall = "open" } = cause as NodeJS.ErrnoException;
  return new EventMachineError(codeOf(cause) ?? "EIO", message, { cause, syscall, address: path });
}

interface Send {
  readonly file: OpenFile;
  readonly resolve: (bytes: number) => void;
  readonly reject: (error: EventMachineError) => void;
}

/** The files queued on one connection, in order; each has its promise settled and its descriptor closed once. */
export class FileSends {
  #queue: Send[] = [];

  get size(): number {
    return this.#queue.length;
  }

  /** Resolves with the file's length when its last byte is with the kernel. */
  add(file: OpenFile): Promise<number> {
    const sent = new Promise<number>((resolve, reject) => this.#queue.push({ file, resolve, reject }));
    // A connection that ends under a file says so through unbind; a caller who ignores the promise has missed nothing.
    sent.catch(() => {});
    return sent;
  }

  /** The oldest one is sent. */
  finishOne(): void {
    const send = this.#queue.shift();
    if (send === undefined) return;
    closeFile(send.file.fd);
    send.resolve(send.file.size);
  }

  /** The connection has ended. */
  fail(error: EventMachineError): void {
    for (const send of this.#queue) {
      closeFile(send.file.fd);
      send.reject(error);
    }
    this.#queue = [];
  }
}
