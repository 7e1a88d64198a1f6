import { type Duplex, Writable } from "node:stream";

/** Who is told that a stream failed. */
export interface Failing {
  failed(error: NodeJS.ErrnoException): void;
}

/** Calls a stream's method: what it throws is the stream's failure, as an `error` event is. */
export function attempt<Name extends string>(
  owner: Failing,
  stream: Readonly<Record<Name, () => unknown>>,
  name: Name,
): void {
  try {
    stream[name]();
  } catch (error) {
    owner.failed(asError(error));
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
