import { closeSync, type FSWatcher, fstatSync, openSync, realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { SystemError } from "../base/system_error.js";
import type { Timer } from "../timers/timer.js";
import type { ChangeSink, Tracker } from "./change_sink.js";
import type { FileState } from "./file_state.js";
import { isUnseen, linksAlong, stateOf, watchLinks, watchPath } from "./node_watcher.js";
import type { WatchLife } from "./watch_life.js";

/** How long a file may be away before that is told: editors move it away, or delete it, and write another. */
const REPLACE_TIME = 50;

/** Linux: a descriptor that says which file, needs no permission to read it and keeps its number from being used again. */
const O_PATH = 0o10000000;

/**
 * Watches one path, whatever file stands there: the file itself, and the folders in which it, or what its links lead to, is named. What
 * they tell of is looked up.
 */
export class FileTracker implements Tracker {
  readonly #path: string;
  readonly #life: WatchLife;
  readonly #sink: ChangeSink;
  #watchers: FSWatcher[] = [];
  /** Of the file that was seen last. */
  #fd: number | undefined;
  #seen: FileState | undefined;
  /** The file is away, and this is the time it has to come back. */
  #away: Timer | undefined;
  #isTold = false;
  #isLookDue = false;
  #isClosed = false;

  /** Throws SystemError where it cannot be watched. */
  constructor(path: string, life: WatchLife, sink: ChangeSink) {
    this.#path = path;
    this.#life = life;
    this.#sink = sink;
    try {
      this.#open(stateOf(path, true));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get state(): FileState | undefined {
    return this.#seen;
  }

  close(): void {
    this.#isClosed = true;
    this.#shut();
  }

  #shut(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#away?.cancel();
    this.#away = undefined;
  }

  #open(state: FileState | undefined): void {
    this.#shut();
    this.#seen = state;
    const path = this.#path;
    const name = basename(path);
    const target = targetOf(path);
    const failed = (error: SystemError): void => this.#life.later(() => this.#sink.failed(error));
    const isLinked = target !== path;
    const here = (isChange: boolean, what: string | undefined): void => {
      // Along a link any folder or link may be another now.
      if (what === undefined || what === name || (isLinked && !isChange)) this.#touch(isChange);
    };
    const there = (isChange: boolean, what: string | undefined): void => {
      if (what === undefined || what === basename(target)) this.#touch(isChange);
    };
    const places: [string, typeof here][] = [[dirname(path), here]];
    if (dirname(target) !== dirname(path)) places.push([dirname(target), there]);
    if (state !== undefined) places.push([path, (isChange) => this.#touch(isChange)]);
    let refused: unknown;
    for (const [place, happened] of places) {
      try {
        this.#watchers.push(watchPath(place, happened, failed));
      } catch (error) {
        // One that may not be read says nothing; another may. What has gone meanwhile is looked for again.
        const isClosed = error instanceof SystemError && error.code === "EACCES";
        if (!isClosed && !(isUnseen(error) && place !== dirname(path))) throw error;
        refused = error;
      }
    }
    this.#watchers.push(...watchLinks(linksAlong(dirname(path)), () => this.#touch(false)));
    if (this.#watchers.length === 0) throw refused;
    if (state !== undefined) this.#fd = hold(path);
  }

  #touch(isChange: boolean): void {
    this.#isTold ||= isChange;
    if (this.#isLookDue || this.#isClosed) return;
    this.#isLookDue = true;
    this.#life.later(() => this.#look());
  }

  #look(): void {
    this.#isLookDue = false;
    if (this.#isClosed) return;
    const isTold = this.#isTold;
    this.#isTold = false;
    try {
      this.#compare(stateOf(this.#path, true), isTold);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#sink.failed(error);
    }
  }

  #compare(now: FileState | undefined, isTold: boolean): void {
    const before = this.#seen;
    if (now === undefined) {
      if (before !== undefined) this.#away ??= this.#life.core.addTimer(REPLACE_TIME, () => this.#gone());
      return;
    }
    if (before === undefined) {
      this.#open(now);
      this.#sink.created();
      this.#touch(false);
      return;
    }
    this.#away?.cancel();
    this.#away = undefined;
    if (!before.isSame(now)) {
      this.#open(now);
      this.#sink.modified();
      // Something may have happened while nobody watched.
      this.#touch(false);
      return;
    }
    this.#seen = now;
    const { content, attributes } = before.changes(now, isTold);
    if (content) this.#sink.modified();
    if (attributes) this.#sink.attributes();
  }

  /** It may have come back, in its time. */
  #gone(): void {
    this.#away = undefined;
    if (this.#life.isOver) return;
    try {
      this.#tellGone();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#sink.failed(error);
    }
  }

  #tellGone(): void {
    const now = stateOf(this.#path, true);
    if (now !== undefined) {
      this.#compare(now, false);
      return;
    }
    const isMoved = this.#fd !== undefined && fstatSync(this.#fd).nlink > 0;
    try {
      this.#open(undefined);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#tell(isMoved);
      this.#sink.failed(error);
      return;
    }
    this.#tell(isMoved);
    this.#touch(false);
  }

  #tell(isMoved: boolean): void {
    if (isMoved) this.#sink.moved();
    else this.#sink.deleted();
  }
}

/** What its links lead to; itself where that is not there. */
function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** A descriptor of the file, on Linux; undefined where it is gone already. */
function hold(path: string): number | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return openSync(path, O_PATH);
  } catch {
    return undefined;
  }
}
