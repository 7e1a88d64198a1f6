import { resolve } from "node:path";
import { checkBoolean, checkObject } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkNames, type Names } from "../base/known_names.js";
import { STOPPED } from "../connection/reasons.js";
import type { Core } from "../core/core.js";
import type { ChangeSink, Tracker } from "./change_sink.js";
import { FileTracker } from "./file_tracker.js";
import { FolderTracker } from "./folder_tracker.js";
import { missing, stateOf } from "./node_watcher.js";
import { Watch } from "./watch.js";
import { WatchLife } from "./watch_life.js";

/** What is watched, with how. */
export interface FileWatchTarget {
  /** A file or a folder. Relative to the folder that is the process's when the watch begins. */
  path: string;
  /** Of a folder: whatever is below it, too, at any depth; links to folders are not followed. Default false. */
  recursive?: boolean;
}

const TARGET: Names<FileWatchTarget> = { path: true, recursive: true };

/**
 * A watch of a file, or of a folder and what is in it: extend it, override what you need, and hand the class to `watchFile`.
 * (EventMachine::FileWatch.)
 *
 * A file is watched by its path: whatever stands there. One that an editor replaces, by renaming another over it or by moving it away and
 * writing anew, was modified; one that is gone may come back, and is created then. Of a folder each callback has the name of what it is about,
 * below the folder, and none where it is the folder itself.
 *
 * What is reported is what has changed since the last look, in a turn of the reactor's: several changes of one name in between are one. A file that came
 * and went in between is not reported, and of times, size and attributes only that they are others counts, not what did it.
 */
export class FileWatch extends Watch {
  #path = "";
  #tracker: Tracker | undefined;

  // Callbacks ----------------------------------------------------------------------------------------------------

  /** The content is another, or another file stands there. (file_modified, which did not say which file of a folder.) */
  fileModified(_name?: string): unknown {
    return undefined;
  }

  /** Permissions, owner or the like have changed, and the content has not. */
  fileAttributesChanged(_name?: string): unknown {
    return undefined;
  }

  /** Something new is there: in a folder, or the file that was gone. */
  fileCreated(_name?: string): unknown {
    return undefined;
  }

  /**
   * The file was moved away; in a folder something has the name `name` that had the name `from`. What leaves the folder is deleted, and what comes from
   * elsewhere is created. (file_moved.)
   */
  fileMoved(_name?: string, _from?: string): unknown {
    return undefined;
  }

  /** It is gone. (file_deleted, after which the original ended the watch; here it goes on.) */
  fileDeleted(_name?: string): unknown {
    return undefined;
  }

  // State --------------------------------------------------------------------------------------------------------

  /** What is watched, as an absolute path; empty in the constructor. */
  get path(): string {
    return this.#path;
  }

  /** @internal Begins; throws SystemError where the path cannot be watched. */
  static begin(watch: FileWatch, core: Core, target: Required<FileWatchTarget>): void {
    const { path, recursive } = target;
    const state = stateOf(path, true);
    if (state === undefined) throw missing(path);
    if (recursive && !state.isFolder) throw new ArgumentError(`recursive is for folders, and ${path} is none`);
    watch.#path = path;
    const life = new WatchLife(core, watch, () => watch.#tracker?.close());
    const sink: ChangeSink = {
      modified: (name) => life.call(() => watch.fileModified(name)),
      attributes: (name) => life.call(() => watch.fileAttributesChanged(name)),
      created: (name) => life.call(() => watch.fileCreated(name)),
      deleted: (name) => life.call(() => watch.fileDeleted(name)),
      moved: (name, from) => life.call(() => watch.fileMoved(name, from)),
      failed: (error) => life.end({ kind: "system-error", error }),
    };
    try {
      watch.#tracker = state.isFolder
        ? new FolderTracker(path, state, recursive, life, sink)
        : new FileTracker(path, life, sink);
    } catch (error) {
      core.members.delete(life);
      throw error;
    }
    Watch.begins(watch, life);
    if (!core.isAccepting) life.end(STOPPED);
    else life.call(() => watch.postInit());
  }
}

/** Checks what `watchFile` is given. */
export function checkFileWatch(target: string | FileWatchTarget): Required<FileWatchTarget> {
  const given: FileWatchTarget = typeof target === "string" ? { path: target } : target;
  checkObject(given, "path");
  checkNames(given, TARGET, "path");
  const { path, recursive = false } = given;
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw new ArgumentError(`path must be text without NULs, and not empty, not ${describe(path)}`);
  }
  return { path: resolve(path), recursive: checkBoolean(recursive, "recursive") };
}
