import { type FSWatcher, lstatSync, statSync, watch } from "node:fs";
import { constants } from "node:os";
import { isCode } from "../base/error_code.js";
import { SystemError } from "../base/system_error.js";
import { FileState } from "./file_state.js";

/** Told that something has happened; `isChange` says that it was to the content or the attributes. `name` may be missing. */
export type Happened = (isChange: boolean, name: string | undefined) => void;

/** Watches one file or folder by node:fs. Throws SystemError. */
export function watchPath(path: string, happened: Happened, failed: (error: SystemError) => void): FSWatcher {
  try {
    const watcher = watch(path, { persistent: false }, (event, name) => {
      happened(event === "change", typeof name === "string" ? name : undefined);
    });
    watcher.on("error", (error) => failed(systemError(error, path)));
    return watcher;
  } catch (error) {
    throw systemError(error, path);
  }
}

/** What is there now; undefined where nothing is. `follow`: of a link, what it leads to. Throws SystemError. */
export function stateOf(path: string, follow: boolean): FileState | undefined {
  try {
    return new FileState((follow ? statSync : lstatSync)(path, { bigint: true }));
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw systemError(error, path);
  }
}

/** Nothing is there. */
export function missing(path: string): SystemError {
  return new SystemError(-constants.errno.ENOENT, "watch", { address: path });
}

export function systemError(error: unknown, path: string): SystemError {
  const { errno, code, syscall } = error as NodeJS.ErrnoException;
  if (typeof errno !== "number" || !isCode(code)) throw error;
  return new SystemError(errno, syscall ?? "watch", { address: path, cause: error });
}
