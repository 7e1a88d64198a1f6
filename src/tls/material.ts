import { readFileSync, statSync } from "node:fs";
import { describe } from "../base/describe.js";
import { ArgumentError, TlsError } from "../base/errors.js";
import { MAX_TLS_FILE_SIZE } from "../base/limits.js";

/** Where a key or certificate comes from: PEM text or bytes, or, where a string is one line without PEM, the path of a file. */
export type TlsMaterial = string | Uint8Array;

/** Reads it, synchronously: contexts are made once. `name` is the option it was given as. */
export function readMaterial(value: unknown, name: string): Buffer {
  if (value instanceof Uint8Array) return checkCount(Buffer.from(value), name);
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw new ArgumentError(`${name} must be a file's path, PEM text or PEM bytes, not ${describe(value)}`);
  }
  // A text that is damaged is no path, and would stand in the error: it may be a key.
  if (value.includes("-----BEGIN ") || /[\r\n]/.test(value)) return checkCount(Buffer.from(value), name);
  return readFile(value, name);
}

/** Reads a file of at most the size a context takes. */
export function readFile(path: string, name: string): Buffer {
  let bytes: Buffer;
  try {
    if (statSync(path).size > MAX_TLS_FILE_SIZE) throw tooLarge(`${name}: ${path}`);
    bytes = readFileSync(path);
  } catch (cause) {
    if (cause instanceof ArgumentError) throw cause;
    const { code = "EIO", syscall = "open" } = cause as NodeJS.ErrnoException;
    const message = `${name}: ${path} cannot be read: ${code}`;
    throw new TlsError("ERR_EM_TLS_FILE", message, { cause, syscall, address: path });
  }
  return checkCount(bytes, name);
}

function checkCount(bytes: Buffer, name: string): Buffer {
  if (bytes.length > MAX_TLS_FILE_SIZE) throw tooLarge(name);
  return bytes;
}

function tooLarge(what: string): ArgumentError {
  return new ArgumentError(`${what} has more than ${MAX_TLS_FILE_SIZE} bytes`);
}
