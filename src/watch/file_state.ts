import type { BigIntStats } from "node:fs";

/** The longest step of the clock that file times are taken from, with room: a change within one may show in no time. */
const TIME_STEP = 20;

/** What of a file shows that it has changed, as it was when it was looked at. */
export class FileState {
  readonly isFolder: boolean;
  /** A regular one. */
  readonly isFile: boolean;
  readonly size: bigint;
  readonly #stats: BigIntStats;
  readonly #seenAt = Date.now();

  constructor(stats: BigIntStats) {
    this.#stats = stats;
    this.isFolder = stats.isDirectory();
    this.isFile = stats.isFile();
    this.size = stats.size;
  }

  /** Which file it is: device, number, and the time of its birth, for a number is used again at once. */
  get identity(): string {
    const { dev, ino, birthtimeNs } = this.#stats;
    return `${dev}:${ino}:${birthtimeNs}`;
  }

  /** Whether it is the file of this state. */
  isSame(later: FileState): boolean {
    return this.identity === later.identity;
  }

  /** Whether the file was moved here from where it had this state: the same, and nothing but its place has changed. */
  isMoved(later: FileState): boolean {
    return this.isSame(later) && this.size === later.size && this.#stats.mtimeNs === later.#stats.mtimeNs;
  }

  /** What has changed since; `isTold`: the system says that something has. */
  changes(later: FileState, isTold: boolean): { content: boolean; attributes: boolean } {
    const [a, b] = [this.#stats, later.#stats];
    const isRewritten = a.size !== b.size || a.mtimeNs !== b.mtimeNs;
    const isOtherwise = a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid;
    const attributes = isOtherwise || (!isRewritten && a.ctimeNs !== b.ctimeNs);
    // What was written right after it was looked at may have left the times as they were.
    const mayBe = isTold && !attributes && this.#seenAt - Number(a.mtimeNs / 1_000_000n) < TIME_STEP;
    return { content: isRewritten || mayBe, attributes };
  }
}
