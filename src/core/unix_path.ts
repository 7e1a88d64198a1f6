import { type BigIntStats, linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { EventMachineError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";
import { showUnixName, type UnixName } from "../base/unix_name.js";
import type { Core } from "./core.js";

/**
 * What stands at the path of a Unix socket that is to be bound. Binding a name that is taken fails; this decides what is
 * there. A socket nobody has is stale and may go, a live one and anything that is not a socket is never touched.
 * (EventMachine unlinked whatever stood there.) The new socket's own file is the engine's.
 */

/** A socket that looked stale is asked once more after this: its server may be between bind and listen. */
const STALE_CONFIRM_DELAY = 50;
/** How often a name that others fight for is tried. */
const TRIES = 8;

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

/**
 * Binds by `open`, after the stale socket file at `path` (an absolute one) was taken away, where one stands there. `isDead` asks
 * whether nobody has the socket; `isSame` whether the name that `open` binds is that file's yet.
 */
export async function bindOverStale<T>(
  core: Core,
  path: UnixName,
  open: () => Promise<T>,
  isDead: () => Promise<boolean>,
  isSame: () => boolean,
): Promise<T> {
  for (let left = TRIES; ; left--) {
    try {
      return await open();
    } catch (error) {
      if (left <= 1 || (error as SystemError).code !== "EADDRINUSE") throw error;
      if (!(await clearStale(core, path, isDead)) || !isSame()) throw error;
    }
  }
}

/** Whether the name is free to try again: nothing stood there any more, or a stale socket that is gone now. */
async function clearStale(core: Core, path: UnixName, isDead: () => Promise<boolean>): Promise<boolean> {
  const found = socketFileAt(path);
  if (found === undefined) return true;
  for (const delay of [STALE_CONFIRM_DELAY, 0]) {
    if (!(await isDead())) return false;
    if (delay > 0) await new Promise<void>((resolve) => core.addTimer(delay, () => resolve()));
  }
  removeStale(path, found);
  return true;
}

/** The socket file at a path; undefined where nothing is, and an error where something else stands. */
function socketFileAt(path: UnixName): FileId | undefined {
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
function removeStale(path: UnixName, stale: FileId): void {
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
