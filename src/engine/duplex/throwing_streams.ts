import { type Duplex, Writable } from "node:stream";
import { Ended } from "../streams.js";

/** Who is told that a stream failed. */
interface Failing {
  failed(ended: Ended, error: NodeJS.ErrnoException | undefined): void;
}

/** Calls a stream's method: what it throws is the stream's failure, as an `error` event is. */
export function attempt(owner: Failing, action: () => unknown): void {
  try {
    action();
  } catch (error) {
    owner.failed(Ended.error, asError(error));
  }
}

/** What a stream threw or failed with need not be an Error. */
export function asError(thrown: unknown): NodeJS.ErrnoException {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}

/**
 * Node calls `_write` and `_writev` again from the callback of the write before, where what they throw would be nobody's to
 * catch: here it becomes the failure of the write.
 */
export function guardWrites(duplex: Duplex): void {
  const { _write: write, _writev: writev } = duplex;
  // Of its own kind alone: one that is no Writable of Node's is called by its `write`.
  if (!(duplex instanceof Writable)) return;
  duplex._write = (chunk, encoding, callback) => {
    try {
      write.call(duplex, chunk, encoding, callback);
    } catch (error) {
      callback(asError(error));
    }
  };
  if (typeof writev !== "function") return;
  duplex._writev = (chunks, callback) => {
    try {
      writev.call(duplex, chunks, callback);
    } catch (error) {
      callback(asError(error));
    }
  };
}
