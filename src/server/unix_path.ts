import { type BigIntStats, linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { EventMachineError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";
import { showUnixName, type UnixName } from "../base/unix_name.js";

/**
 * What stands at the path of a Unix listener that is to start. Binding a name that is taken fails; this decides what is
 * there. A socket nobody listens on is stale and may go, a live one and anything that is not a socket is never touched.
 * (EventMachine unlinked whatever stood there.) The listener's own file is the engine's.
 */

/** Identifies a file whatever its name. An inode's number alone is not enough: it is given out again at once. */
interface FileId {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
}

/** The folder relative paths start from; a SystemError where it was removed. */
export function workingFolder(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw fileFailure(error, ".");
  }
}

/** The socket file at a path; undefined where nothing is, and an error where something else stands. */
export function socketFileAt(path: UnixName): FileId | undefined {
  let found: BigIntStats;
  try {
    found = lstatSync(path, { bigint: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fileFailure(error, path);
  }
  if (!found.isSocket()) {
    const address = showUnixName(path);
    throw new EventMachineError("ERR_EM_NOT_A_SOCKET", `${address} exists and is not a socket: it is left alone`, {
      address,
    });
  }
  return { dev: found.dev, ino: found.ino, mtimeNs: found.mtimeNs };
}

/**
 * Takes a stale socket file away. Of several that try, one wins: the file is renamed first, and put back if it is not the
 * one that was found stale but a newcomer's that took its place in that instant.
 */
export function removeStale(path: UnixName, stale: FileId): void {
  if (!isSame(socketFileAt(path), stale)) return;
  const aside = sibling(path);
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw fileFailure(error, path);
  }
  if (!isSame(socketFileAt(aside), stale)) putBack(aside, path);
  unlinkSync(aside);
}

function putBack(aside: UnixName, path: UnixName): void {
  try {
    linkSync(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fileFailure(error, path);
  }
}

/** A name of nobody's in the same folder. */
function sibling(path: UnixName): UnixName {
  const ending = `.${process.pid}.${Math.random().toString(36).slice(2, 8)}`;
  return typeof path === "string" ? `${path}${ending}` : Buffer.concat([path, Buffer.from(ending)]);
}

function isSame(found: FileId | undefined, expected: FileId): boolean {
  return (
    found !== undefined &&
    found.dev === expected.dev &&
    found.ino === expected.ino &&
    found.mtimeNs === expected.mtimeNs
  );
}

function fileFailure(cause: unknown, path: UnixName): SystemError {
  const { errno = -5, syscall = "stat" } = cause as NodeJS.ErrnoException;
  return new SystemError(errno, syscall, { address: showUnixName(path), cause });
}
