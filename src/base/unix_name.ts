import { isUtf8 } from "node:buffer";
import { isAbsolute } from "node:path";

/**
 * The name of a Unix socket: a path, or behind a leading NUL a name of Linux's abstract space. The kernel's names are
 * bytes. A name is text where its bytes are UTF-8, and a Buffer where they are not, never the other way round.
 */
export type UnixName = string | Buffer;

/** A name of bytes, copied. */
export function unixName(bytes: Uint8Array): UnixName {
  return isUtf8(bytes) ? Buffer.from(bytes).toString() : Buffer.from(bytes);
}

export function unixNameBytes(name: UnixName): Buffer {
  return typeof name === "string" ? Buffer.from(name) : name;
}

export function isAbstractName(name: UnixName): boolean {
  return name[0] === "\0" || name[0] === 0;
}

/** For messages and logs: what is not printable ASCII in a name of bytes is shown as `\xff`. */
export function showUnixName(name: UnixName): string {
  if (typeof name === "string") return name;
  return name.toString("latin1").replace(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** A path that means the same wherever the process changes its folder to; `..` and links stay the kernel's business. */
export function absoluteUnixPath(path: UnixName, folder: () => string): UnixName {
  if (typeof path === "string") return isAbsolute(path) ? path : `${folder()}/${path.replace(/^(\.\/+)+/, "")}`;
  return path[0] === "/".charCodeAt(0) ? path : Buffer.concat([Buffer.from(`${folder()}/`), path]);
}
