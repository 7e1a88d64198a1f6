import { type FSWatcher, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { SystemError } from "../base/system_error.js";
import type { ChangeSink, Tracker } from "./change_sink.js";
import type { FileState } from "./file_state.js";
import {
  entryState,
  isUnseen,
  linksAlong,
  missing,
  stateOf,
  systemError,
  watchLinks,
  watchPath,
} from "./node_watcher.js";
import type { WatchLife } from "./watch_life.js";

interface Folder {
  readonly watcher: FSWatcher;
  readonly entries: Map<string, FileState>;
}

/** An entry, by its path below the root. */
interface Entry {
  readonly path: string;
  readonly state: FileState;
}

/**
 * Watches a folder: what the system says of a name is looked up, and what has changed since the name was last looked at is reported. So
 * nothing is told that is not so, and many changes of one name in a turn are one.
 */
export class FolderTracker implements Tracker {
  readonly #root: string;
  /** The root's when the watch began. */
  readonly #state: FileState;
  readonly #recursive: boolean;
  readonly #life: WatchLife;
  readonly #sink: ChangeSink;
  /** Where the path to the root leads along links. */
  #links: FSWatcher[] = [];
  /** By their path below the root; the root's is empty. */
  readonly #folders = new Map<string, Folder>();
  /** Names that something happened to, by folder; whether the system says that it was a change of content or attributes. */
  #touched = new Map<string, Map<string, boolean>>();
  #isLookDue = false;
  /** In the look under way: what stands no more where it stood, and what stands where it did not. */
  #gone: Entry[] = [];
  #come: Entry[] = [];

  /** Throws SystemError where the folder, or one below it, cannot be watched. */
  constructor(root: string, state: FileState, recursive: boolean, life: WatchLife, sink: ChangeSink) {
    this.#root = root;
    this.#state = state;
    this.#recursive = recursive;
    this.#life = life;
    this.#sink = sink;
    try {
      this.#links = watchLinks(linksAlong(root), () => this.#touch("", undefined, false));
      this.#open("", undefined);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** What is there, by its path below the root. */
  *paths(): Generator<string, void, undefined> {
    for (const [path, { entries }] of this.#folders) {
      for (const [name, state] of entries) if (!state.isFolder) yield below(path, name);
    }
  }

  close(): void {
    for (const watcher of this.#links.splice(0)) watcher.close();
    for (const { watcher } of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  /** `found` is called for each entry of a folder that is new. */
  #open(path: string, found: ((path: string) => void) | undefined): void {
    const full = join(this.#root, path);
    const happened = (isChange: boolean, name: string | undefined): void => this.#touch(path, name, isChange);
    // Before it is read, so that what comes in between is told.
    const watcher = watchPath(full, happened, (error) => this.#lost(path, error));
    const entries = new Map<string, FileState>();
    this.#folders.set(path, { watcher, entries });
    for (const name of namesIn(full)) {
      const state = entryState(join(full, name));
      if (state === undefined) continue;
      entries.set(name, state);
      found?.(below(path, name));
      // Whoever was told may have ended it.
      if (this.#life.isOver) return;
      if (state.isFolder && this.#recursive) this.#descend(below(path, name), found);
    }
  }

  /** A folder below may be gone already, or closed to us: that is no reason to see nothing of the others. */
  #descend(path: string, found: ((path: string) => void) | undefined): void {
    if (this.#life.isOver) return;
    try {
      this.#open(path, found);
    } catch (error) {
      if (!isUnseen(error)) throw error;
      this.#drop(path);
    }
  }

  #drop(path: string): void {
    const folder = this.#folders.get(path);
    if (folder === undefined) return;
    folder.watcher.close();
    this.#folders.delete(path);
    for (const [name, state] of folder.entries) if (state.isFolder) this.#drop(below(path, name));
  }

  #lost(path: string, error: SystemError): void {
    this.#life.later(() => {
      if (path === "") this.#sink.failed(error);
      else this.#drop(path);
    });
  }

  #touch(path: string, name: string | undefined, isChange: boolean): void {
    let names = this.#touched.get(path);
    if (names === undefined) {
      names = new Map();
      this.#touched.set(path, names);
    }
    const key = name ?? "";
    names.set(key, isChange || names.get(key) === true);
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    this.#life.later(() => this.#look());
  }

  #look(): void {
    this.#isLookDue = false;
    // The upper folders first: what is below one that is another now is read anew.
    const touched = [...this.#touched].sort(([a], [b]) => a.length - b.length);
    this.#touched = new Map();
    try {
      for (const [path, names] of touched) {
        for (const [name, isChange] of names) {
          // A folder tells of itself by its own name.
          if (path === "" && (name === "" || name === basename(this.#root)) && this.#isRootGone()) return;
          if (name !== "") this.#check(path, name, isChange);
          else this.#checkAll(path);
        }
      }
      this.#tellPlaces();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#sink.failed(error);
    }
  }

  #isRootGone(): boolean {
    const now = stateOf(this.#root, true);
    if (now !== undefined && this.#state.isSame(now)) return false;
    this.#sink.deleted();
    this.#sink.failed(missing(this.#root));
    return true;
  }

  #checkAll(path: string): void {
    const folder = this.#folders.get(path);
    if (folder === undefined) return;
    const names = new Set([...folder.entries.keys(), ...this.#namesBelow(path)]);
    for (const name of names) this.#check(path, name, false);
  }

  /** Of a folder that is gone by now nothing is there. */
  #namesBelow(path: string): string[] {
    try {
      return namesIn(join(this.#root, path));
    } catch (error) {
      if (path !== "" && isUnseen(error)) return [];
      throw error;
    }
  }

  #check(path: string, name: string, isTold: boolean): void {
    const entries = this.#folders.get(path)?.entries;
    if (entries === undefined || this.#life.isOver) return;
    const place = below(path, name);
    const before = entries.get(name);
    const now = entryState(join(this.#root, place));
    if (now !== undefined) entries.set(name, now);
    else entries.delete(name);
    if (before !== undefined && now !== undefined && before.isSame(now)) {
      const { content, attributes } = before.changes(now, isTold);
      // What changes in a folder is told by the names in it.
      if (content && !now.isFolder) this.#sink.modified(place);
      if (attributes && !(now.isFolder && content)) this.#sink.attributes(place);
      return;
    }
    if (before?.isFolder) this.#drop(place);
    if (before !== undefined) this.#gone.push({ path: place, state: before });
    if (now !== undefined) this.#come.push({ path: place, state: now });
  }

  /** What has gone from one place and come to another was moved; of the rest each is told by itself. */
  #tellPlaces(): void {
    const gone = new Map(this.#gone.splice(0).map((entry) => [entry.path, entry.state]));
    const come = new Map(this.#come.splice(0).map((entry) => [entry.path, entry.state]));
    const moves = new Map<string, string>();
    // A file with several links may have gone from several places.
    const places = new Map<string, string[]>();
    for (const [path, { identity }] of gone) {
      const same = places.get(identity);
      if (same === undefined) places.set(identity, [path]);
      else same.push(path);
    }
    for (const [path, state] of come) {
      const same = places.get(state.identity) ?? [];
      const at = same.findIndex((each) => state.isFolder || gone.get(each)?.isMoved(state));
      const [from] = at < 0 ? [] : same.splice(at, 1);
      if (from === undefined) continue;
      moves.set(from, path);
      gone.delete(from);
    }
    const taken = new Set(moves.values());
    this.#tellMoves(moves);
    for (const [path, before] of gone) {
      const now = come.get(path);
      if (now === undefined || (!taken.has(path) && (before.isFolder || now.isFolder))) this.#sink.deleted(path);
    }
    for (const [path, now] of come) {
      const before = gone.get(path);
      const isOther = before !== undefined && !before.isFolder && !now.isFolder;
      if (!taken.has(path)) {
        if (isOther) this.#sink.modified(path);
        else this.#sink.created(path);
      }
      if (!now.isFolder || !this.#recursive) continue;
      this.#descend(path, taken.has(path) ? undefined : (each) => this.#sink.created(each));
    }
  }

  /** One whose new place another has just left comes after that one. */
  #tellMoves(moves: Map<string, string>): void {
    for (const [first] of moves) {
      const chain = new Set<string>();
      for (let from: string | undefined = first; from !== undefined && !chain.has(from); from = moves.get(from)) {
        if (moves.has(from)) chain.add(from);
      }
      for (const from of [...chain].reverse()) {
        const to = moves.get(from);
        moves.delete(from);
        this.#sink.moved(to, from);
      }
    }
  }
}

function below(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    throw systemError(error, path);
  }
}
