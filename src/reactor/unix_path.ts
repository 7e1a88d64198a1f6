import { type BigIntStats, chmodSync, linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { EventMachineError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";

/**
 * The file of a Unix listener. Binding a name that is taken fails; this decides what stands there. A socket nobody
 * listens on is stale and may go, a live one and anything that is not a socket is never touched. (EventMachine unlinked
 * whatever stood there.)
 */

/** Identifies a file whatever its name. An inode's number alone is not enough: it is given out again at once. */
interface FileId {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
}

/** The socket file at a path; undefined where nothing is, and an error where something else stands. */
export function socketFileAt(path: string): FileId | undefined {
  let found: BigIntStats;
  try {
    found = lstatSync(path, { bigint: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fileFailure(error, path);
  }
  if (!found.isSocket()) {
    throw new EventMachineError("ERR_EM_NOT_A_SOCKET", `${path} exists and is not a socket: it is left alone`, {
      address: path,
    });
  }
  return { dev: found.dev, ino: found.ino, mtimeNs: found.mtimeNs };
}

/**
 * Takes a stale socket file away. Of several that try, one wins: the file is renamed first, and put back if it is not the
 * one that was found stale but a newcomer's that took its place meanwhile.
 */
export function removeStale(path: string, stale: FileId): void {
  const aside = `${path}.${process.pid}.${Math.random().toString(36).slice(2, 8)}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw fileFailure(error, path);
  }
  if (!isSame(socketFileAt(aside), stale)) putBack(aside, path);
  unlinkSync(aside);
}

function putBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fileFailure(error, path);
  }
}

/** Removes our own socket file, and only ours: another server may have taken the name over. */
export function removeOwn(path: string, own: FileId | undefined): void {
  try {
    if (own !== undefined && isSame(socketFileAt(path), own)) unlinkSync(path);
  } catch {
    // Gone already, or no longer a socket: there is nothing of ours to remove.
  }
}

export function setMode(path: string, mode: number): void {
  try {
    chmodSync(path, mode);
  } catch (error) {
    throw fileFailure(error, path);
  }
}

function isSame(found: FileId | undefined, expected: FileId): boolean {
  return (
    found !== undefined &&
    found.dev === expected.dev &&
    found.ino === expected.ino &&
    found.mtimeNs === expected.mtimeNs
  );
}

function fileFailure(cause: unknown, path: string): SystemError {
  const { errno = -5, syscall = "stat" } = cause as NodeJS.ErrnoException;
  return new SystemError(errno, syscall, { address: path, cause });
}
