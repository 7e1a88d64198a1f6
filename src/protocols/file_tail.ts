import { readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { checkObject } from "../base/checks.js";
import type { CloseReason } from "../base/close_reason.js";
import { describe } from "../base/describe.js";
import { ArgumentError, type LimitError, StateError } from "../base/errors.js";
import { checkNames, type Names } from "../base/known_names.js";
import { ROTATED_LIMIT } from "../base/limits.js";
import { SystemError } from "../base/system_error.js";
import type { Core } from "../core/core.js";
import type { Timer } from "../timers/timer.js";
import type { ChangeSink } from "../watch/change_sink.js";
import type { FileState } from "../watch/file_state.js";
import { FileTracker } from "../watch/file_tracker.js";
import { FolderTracker } from "../watch/folder_tracker.js";
import { missing, stateOf } from "../watch/node_watcher.js";
import { WatchLife } from "../watch/watch_life.js";
import { type Glob, readGlob } from "./glob.js";
import { LineCodec, type LineOptions } from "./line_codec.js";
import { TailedFile, type TailReader } from "./tailed_file.js";

/** How far a file has been read. */
export interface TailPosition {
  /** Which file it was: device, number and birth. */
  readonly file: string;
  /** Bytes from its beginning to behind the last line that was delivered. */
  readonly offset: number;
}

/** What is tailed, and how. */
export interface FileTailTarget extends Pick<LineOptions, "delimiter" | "maxLineLength" | "encoding"> {
  /** A file, which need not be there yet, while its folder must. */
  path?: string;
  /** In its place, files: `*`, `?`, `[a-z]` in names, `**` for any folders. */
  glob?: string;
  /** Where files are begun that are there when the tail begins, and have no position: those that come later are read whole. Default "end". */
  from?: "start" | "end";
  /** How far they had been read, by path: what `positions` said. */
  positions?: Readonly<Record<string, TailPosition>>;
}

const TARGET: Names<FileTailTarget> = {
  path: true,
  glob: true,
  from: true,
  positions: true,
  delimiter: true,
  maxLineLength: true,
  encoding: true,
};

/** What a tail is told, checked and complete. */
export interface FileTailSettings {
  readonly path: string | undefined;
  readonly glob: Glob | undefined;
  readonly from: "start" | "end";
  readonly positions: Readonly<Record<string, TailPosition>>;
  readonly lines: LineOptions;
}

/** How often a file that was rotated is looked at for what is still written to it. */
const ROTATED_LOOK = 200;

/** A path and the file that stands there now. */
interface Place {
  readonly path: string;
  tracker: FileTracker | undefined;
  file: TailedFile | undefined;
}

/**
 * Reads files as they grow, in lines: extend it, override `receiveLine`, and hand the class to `tailFile`. (The gem eventmachine-tail.)
 *
 * It follows the path: when another file takes its place (rotation), what is left of the old one is delivered first, and what is still written
 * to that within 5 s as well; a file that was cut off is read from its beginning. Links are followed. What the end of a file has of a line waits for
 * the rest of it, and is a line when there will be no more.
 *
 * ```ts
 * class Errors extends FileTail {
 *   override receiveLine(line: string, path: string) {
 *     if (line.includes("ERROR")) console.log(path, line);
 *   }
 * }
 * tailFile({ glob: "/var/log/app/*.log" }, Errors);
 * ```
 */
export class FileTail {
  #tailing: Tailing | undefined;

  // Callbacks ----------------------------------------------------------------------------------------------------

  /** The tail has begun. */
  postInit(): unknown {
    return undefined;
  }

  /** A line, without its delimiter, and the path of its file. */
  receiveLine(_line: string, _path: string): unknown {
    return undefined;
  }

  /** A file cannot be read. This throws the error, which then goes to `onError`; an override that returns goes on with the others. */
  fileFailed(error: SystemError, _path: string): unknown {
    throw error;
  }

  /** The tail has ended: as `FileWatch.unbind`. */
  unbind(_reason: CloseReason): unknown {
    return undefined;
  }

  /** A callback threw, a file failed, or a line passed `maxLineLength` (LimitError): as `Connection.onError`. */
  onError(_error: unknown): unknown {
    return false;
  }

  // State --------------------------------------------------------------------------------------------------------

  /**
   * How far each file has been read: store it where you store what came of the lines, and give it back as `positions`. In `receiveLine` it is behind that
   * line. A new object each time.
   */
  get positions(): Record<string, TailPosition> {
    return this.#living("positions").positions();
  }

  /** Whether it has not ended. */
  get isWatching(): boolean {
    return this.#tailing?.life.isOver === false;
  }

  /** Why it has ended; undefined until then. */
  get closeReason(): CloseReason | undefined {
    return this.#tailing?.life.reason;
  }

  /** No line from this moment until `resume`. */
  pause(): void {
    this.#living("pause").pause();
  }

  /** What has come meanwhile is delivered in a later turn. */
  resume(): void {
    this.#living("resume").resume();
  }

  /** Whether no line is delivered until `resume`. */
  get isPaused(): boolean {
    return this.#tailing?.isPaused === true;
  }

  /** Ends the tail: nothing more is delivered, and `unbind` follows. Harmless where it has ended. */
  stopWatching(): void {
    this.#living("stopWatching").life.end(Object.freeze({ kind: "local-close", lingerExpired: false }));
  }

  #living(method: string): Tailing {
    if (this.#tailing !== undefined) return this.#tailing;
    throw new StateError("ERR_EM_NOT_ATTACHED", `${method}: the tail has not begun yet (use postInit)`);
  }

  /** @internal Begins; throws SystemError where it cannot be watched. */
  static begin(tail: FileTail, core: Core, settings: FileTailSettings): void {
    const tailing = new Tailing(tail, core, settings);
    tail.#tailing = tailing;
    if (core.isAccepting) {
      tailing.life.call(() => tail.postInit());
      tailing.begin();
    } else tailing.life.end(Object.freeze({ kind: "stop" }));
  }
}

/** A tail at work. */
class Tailing implements TailReader {
  readonly life: WatchLife;
  isPaused = false;
  readonly #tail: FileTail;
  readonly #settings: FileTailSettings;
  readonly #places = new Map<string, Place>();
  /** Files that have lost their place, with what ends them. */
  readonly #rotated = new Map<TailedFile, { isLast: boolean; timer: Timer }>();
  /** Positions that were given back, until they are used. */
  readonly #given: Map<string, TailPosition>;
  #folders: FolderTracker | undefined;

  constructor(tail: FileTail, core: Core, settings: FileTailSettings) {
    this.#tail = tail;
    this.#settings = settings;
    this.#given = new Map(Object.entries(settings.positions));
    this.life = new WatchLife(core, tail, () => this.#release());
    try {
      const { path, glob } = settings;
      if (path !== undefined) {
        if (stateOf(dirname(path), true) === undefined) throw missing(dirname(path));
        this.#places.set(path, this.#place(path));
      } else if (glob !== undefined) this.#watchFolders(glob);
    } catch (error) {
      this.#release();
      core.members.delete(this.life);
      throw error;
    }
  }

  /** Opens what is there. */
  begin(): void {
    const { glob, from } = this.#settings;
    if (glob === undefined) for (const place of this.#places.values()) this.#open(place, from);
    else
      for (const path of this.#folders?.paths() ?? [])
        if (glob.matches(path)) this.#found(join(glob.folder, path), from);
  }

  #watchFolders(glob: Glob): void {
    const state = stateOf(glob.folder, true);
    if (state === undefined) throw missing(glob.folder);
    const appeared = (name: string | undefined): void => {
      if (name !== undefined && glob.matches(name)) this.#found(join(glob.folder, name), "start");
    };
    this.#folders = new FolderTracker(glob.folder, state, glob.isDeep, this.life, {
      created: appeared,
      moved: appeared,
      modified: appeared,
      attributes() {},
      deleted() {},
      failed: (error) => this.life.end({ kind: "system-error", error }),
    });
  }

  #place(path: string): Place {
    const place: Place = { path, tracker: undefined, file: undefined };
    const changed = (): void => this.#look(place);
    const sink: ChangeSink = {
      modified: changed,
      created: changed,
      attributes() {},
      moved: () => this.#left(place),
      deleted: () => this.#left(place),
      failed: (error) => {
        if (this.#settings.glob === undefined) this.life.end({ kind: "system-error", error });
        else this.#forget(place);
      },
    };
    place.tracker = new FileTracker(path, this.life, sink);
    return place;
  }

  /** A file that the pattern means: one that is read already has another name now. */
  #found(path: string, from: "start" | "end"): void {
    const state = stateOf(path, true);
    if (!state?.isFile || this.life.isOver) return;
    const known = this.#places.get(path);
    if (known !== undefined) {
      this.#look(known);
      return;
    }
    const place = this.#place(path);
    this.#places.set(path, place);
    const file = this.#fileOf(state.identity);
    if (file === undefined) {
      this.#open(place, from);
      return;
    }
    const before = this.#places.get(file.path);
    if (before?.file === file) before.file = undefined;
    this.#rotated.get(file)?.timer.cancel();
    this.#rotated.delete(file);
    file.path = path;
    place.file = file;
    file.poke();
    if (before !== undefined) this.#look(before);
  }

  #fileOf(identity: string): TailedFile | undefined {
    for (const { file } of this.#places.values()) if (file?.identity === identity) return file;
    for (const file of this.#rotated.keys()) if (file.identity === identity) return file;
    return undefined;
  }

  /** Something has happened at the place: more is in the file, or another file stands there. */
  #look(place: Place): void {
    const { file } = place;
    const state = stateOf(place.path, true);
    if (state === undefined || this.life.isOver) return;
    if (file !== undefined && file.identity === state.identity) file.poke();
    else {
      if (file !== undefined) this.#rotate(place, file);
      this.#open(place, "start");
    }
  }

  #left(place: Place): void {
    if (place.file !== undefined) this.#rotate(place, place.file);
    // Its folder's watch tells when it comes back.
    if (this.#settings.glob !== undefined) this.#forget(place);
  }

  #forget(place: Place): void {
    place.tracker?.close();
    place.file?.close();
    this.#places.delete(place.path);
  }

  /** The file of the place, from where it was left or from where it is to begin. */
  #open(place: Place, from: "start" | "end"): void {
    if (!stateOf(place.path, true)?.isFile || place.file !== undefined) return;
    const position = this.#given.get(place.path);
    this.#given.delete(place.path);
    place.file = this.#openFile(place.path, (state) => {
      if (position === undefined) return from === "end" ? Number(state.size) : 0;
      const isSame = position.file === state.identity;
      if (!isSame) this.#readRotated(place.path, position);
      return isSame && position.offset <= Number(state.size) ? position.offset : 0;
    });
    place.file?.poke();
  }

  #openFile(path: string, begin: (state: FileState) => number): TailedFile | undefined {
    try {
      const file = new TailedFile(path, begin, this.#settings.lines, this);
      if (this.isPaused) file.stop();
      return file;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // It is gone again: that is told by itself.
      if (error.code !== "ENOENT") this.life.call(() => this.#tail.fileFailed(error, path));
      return undefined;
    }
  }

  /** The file that was read last has another name in its folder by now: what is left of it comes first. */
  #readRotated(path: string, position: TailPosition): void {
    const folder = dirname(path);
    for (const name of readdirSync(folder)) {
      const state = stateOf(join(folder, name), true);
      if (state?.identity !== position.file || this.#fileOf(position.file) !== undefined) continue;
      const file = this.#openFile(join(folder, name), () => position.offset);
      if (file === undefined) return;
      file.path = path;
      this.#follow(file);
      return;
    }
  }

  #rotate(place: Place, file: TailedFile): void {
    place.file = undefined;
    this.#follow(file);
  }

  /** Reads on for a while: whoever writes to it learns later that it has lost its place. */
  #follow(file: TailedFile): void {
    let looks = 0;
    const look = (): void => {
      looks++;
      file.poke();
      if (looks * ROTATED_LOOK < ROTATED_LIMIT || this.isPaused) again();
      else this.#rotated.set(file, { isLast: true, timer: this.life.core.addTimer(0, () => {}) });
    };
    const again = (): void => {
      this.#rotated.set(file, { isLast: false, timer: this.life.core.addTimer(ROTATED_LOOK, look) });
    };
    again();
    file.poke();
  }

  // What the files tell ------------------------------------------------------------------------------------------------

  later(event: () => void): void {
    this.life.later(event);
  }

  line(text: string, file: TailedFile): void {
    this.life.call(() => this.#tail.receiveLine(text, file.path));
    if (this.life.isOver) file.stop();
  }

  tooLong(error: LimitError): void {
    this.life.call(() => {
      throw error;
    });
  }

  failed(error: SystemError, file: TailedFile): void {
    const place = this.#places.get(file.path);
    if (place?.file === file) place.file = undefined;
    file.close();
    this.life.call(() => this.#tail.fileFailed(error, file.path));
  }

  atEnd(file: TailedFile): void {
    if (this.#rotated.get(file)?.isLast !== true) return;
    this.#rotated.delete(file);
    file.finish();
  }

  // What the user asks -------------------------------------------------------------------------------------------------

  positions(): Record<string, TailPosition> {
    const positions: Record<string, TailPosition> = {};
    for (const { path, file } of this.#places.values()) {
      if (file !== undefined) positions[path] = { file: file.identity, offset: file.position };
    }
    return positions;
  }

  *#files(): Generator<TailedFile, void, undefined> {
    for (const { file } of this.#places.values()) if (file !== undefined) yield file;
    yield* this.#rotated.keys();
  }

  pause(): void {
    if (this.isPaused || this.life.isOver) return;
    this.isPaused = true;
    for (const file of this.#files()) file.stop();
  }

  resume(): void {
    if (!this.isPaused || this.life.isOver) return;
    this.isPaused = false;
    this.life.later(() => {
      for (const file of [...this.#files()]) if (!this.isPaused) file.resume();
    });
  }

  #release(): void {
    for (const { timer } of this.#rotated.values()) timer.cancel();
    for (const file of this.#files()) file.close();
    for (const { tracker } of this.#places.values()) tracker?.close();
    this.#folders?.close();
  }
}

/** Checks what `tailFile` is given. */
export function checkFileTail(target: string | FileTailTarget): FileTailSettings {
  const given: FileTailTarget = typeof target === "string" ? { path: target } : target;
  checkObject(given, "path");
  checkNames(given, TARGET, "path");
  const { path, glob, from = "end", positions = {}, ...lines } = given;
  if ((path === undefined) === (glob === undefined)) throw new ArgumentError("a tail must have a path or a glob");
  for (const [name, value] of [
    ["path", path],
    ["glob", glob],
  ] as const) {
    const isText = value === undefined || (typeof value === "string" && value !== "" && !value.includes("\0"));
    if (!isText) throw new ArgumentError(`${name} must be text without NULs, and not empty, not ${describe(value)}`);
  }
  if (from !== "start" && from !== "end")
    throw new ArgumentError(`from must be "start" or "end", not ${describe(from)}`);
  // Its options are checked where it is made.
  new LineCodec({ line() {}, binaryData() {}, endOfBinaryData() {}, lineTooLong() {} }, lines);
  return {
    path: path === undefined ? undefined : resolve(path),
    glob: glob === undefined ? undefined : readGlob(glob),
    from,
    positions: checkPositions(positions),
    lines,
  };
}

function checkPositions(positions: unknown): Readonly<Record<string, TailPosition>> {
  checkObject(positions, "positions");
  for (const [path, position] of Object.entries(positions as object)) {
    const { file, offset } = Object(position) as { file?: unknown; offset?: unknown };
    if (typeof file === "string" && Number.isSafeInteger(offset) && (offset as number) >= 0) continue;
    throw new ArgumentError(
      `positions must be what \`positions\` of a tail was: ${describe(position)} of ${path} is not`,
    );
  }
  return { ...(positions as Record<string, TailPosition>) };
}
