import { type FSWatcher, lstatSync, readlinkSync, statSync, watch } from "node:fs";
import { constants } from "node:os";
import { basename, dirname, resolve, sep } from "node:path";
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

/** What keeps one entry from being looked at, and no other: it is gone, another kind of thing by now, closed to us, or too deep for a path. */
const UNSEEN = new Set(["ENOENT", "ENOTDIR", "EACCES", "ELOOP", "ENAMETOOLONG"]);

export function isUnseen(error: unknown): boolean {
  return error instanceof SystemError && UNSEEN.has(error.code);
}

/** What stands at one entry of a folder, and is no link's target; undefined for nothing that can be seen. */
export function entryState(path: string): FileState | undefined {
  try {
    return stateOf(path, false);
  } catch (error) {
    if (isUnseen(error)) return undefined;
    throw error;
  }
}

/** As many as the kernel follows. */
const MOST_LINKS = 40;

/** The links along a path, and along what they lead to: whoever changes one leads the path elsewhere. */
export function linksAlong(path: string): string[] {
  const links: string[] = [];
  const walk = (each: string): void => {
    const parts = each.split(sep);
    for (let count = 2; count <= parts.length && links.length < MOST_LINKS; count++) {
      const part = parts.slice(0, count).join(sep);
      const target = linkTarget(part);
      if (target === undefined) continue;
      links.push(part);
      walk([resolve(dirname(part), target), ...parts.slice(count)].join(sep));
      return;
    }
  };
  walk(path);
  return links;
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Watches the folders that hold links, for those links. One that cannot be watched says nothing. */
export function watchLinks(links: readonly string[], changed: () => void): FSWatcher[] {
  const byFolder = new Map<string, Set<string>>();
  for (const link of links) {
    const names = byFolder.get(dirname(link)) ?? new Set();
    byFolder.set(dirname(link), names.add(basename(link)));
  }
  const watchers: FSWatcher[] = [];
  for (const [folder, names] of byFolder) {
    const happened: Happened = (_, name) => {
      if (name === undefined || names.has(name)) changed();
    };
    try {
      watchers.push(watchPath(folder, happened, () => {}));
    } catch (error) {
      if (!isUnseen(error)) {
        for (const watcher of watchers) watcher.close();
        throw error;
      }
    }
  }
  return watchers;
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
